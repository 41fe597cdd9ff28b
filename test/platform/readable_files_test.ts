import assert from "node:assert/strict";
import { decodeText } from "../../src/bytes/bytes.ts";
import { systemFiles } from "../../src/deno/files.ts";
import { readableFiles } from "../../src/deno/readable_files.ts";
import { FilesError, type FilesErrorCode, type ReadableFiles } from "../../src/platform/files.ts";
import { ifThere, readWholeFile } from "../../src/platform/whole_file.ts";
import { temporaryFolder } from "../support/folder.ts";

/** Names until there are no more. */
async function names(files: ReadableFiles, path: string): Promise<string[]> {
  const folder = await files.list(path);
  try {
    const found: string[] = [];
    for (let more = await folder.next(2); more.length > 0; more = await folder.next(2)) found.push(...more);
    return found.sort();
  } finally {
    await folder.close();
  }
}

const isRefusal = (code: FilesErrorCode) => (error: unknown) =>
  error instanceof FilesError && error.code === code;

for (const [name, files] of Object.entries({ readableFiles, systemFiles })) {
  Deno.test(`${name}: a file is read whole, whatever it says of its size`, async () => {
    using folder = temporaryFolder();
    const large = "0123456789abcdef".repeat(20_000);
    assert.equal(decodeText((await readWholeFile(files, folder.write("large", large))).bytes), large);
    assert.equal((await readWholeFile(files, folder.write("empty", ""))).bytes.length, 0);
    const { bytes } = await readWholeFile(files, "/proc/self/status");
    assert.match(decodeText(bytes), new RegExp(`^Pid:\\s+${Deno.pid}$`, "m"));
  });

  Deno.test(`${name}: reading starts where it is told to`, async () => {
    using folder = temporaryFolder();
    const file = await files.open(folder.write("digits", "0123456789"), { read: true });
    const into = new Uint8Array(4);
    for (const [position, text] of [[6, "6789"], [0, "0123"], [8, "89"], [10, ""]] as const) {
      assert.equal(decodeText(into.subarray(0, await file.read(into, position))), text);
    }
    await file.close();
  });

  Deno.test(`${name}: a file is described`, async () => {
    using folder = temporaryFolder();
    const path = folder.write("file", "12345");
    await Deno.chmod(path, 0o640);
    await Deno.utime(path, 1_000_000_000, 1_000_000_001);
    const expected = await systemFiles.stat(path);
    assert.deepEqual(await files.stat(path), expected);
    assert.deepEqual([expected.size, expected.mode, expected.modified], [5, 0o100640, 1_000_000_001]);
    const file = await files.open(path, { read: true });
    assert.deepEqual((await file.stat()).identity, expected.identity);
    await file.close();
  });

  Deno.test(`${name}: folders are listed and links followed`, async () => {
    using folder = temporaryFolder();
    for (const file of ["a", "b", "c"]) folder.write(file, "");
    await Deno.symlink("a", folder.at("link"));
    assert.deepEqual(await names(files, folder.path), ["a", "b", "c", "link"]);
    assert.equal(await files.realpath(folder.at("link")), await Deno.realPath(folder.at("a")));
  });

  Deno.test(`${name}: what is no file to read is refused, and a pipe waits for nobody`, async () => {
    using folder = temporaryFolder();
    folder.write("file", "");
    const read = (at: string) => readWholeFile(files, folder.at(at));
    await assert.rejects(read("none"), isRefusal("not-found"));
    await assert.rejects(read("file/below"), isRefusal("not-directory"));
    await assert.rejects(readWholeFile(files, folder.path), isRefusal("is-directory"));
    await assert.rejects(names(files, folder.at("none")), isRefusal("not-found"));
    await assert.rejects(files.realpath(folder.at("none")), isRefusal("not-found"));
    await assert.rejects(files.stat(folder.at("none")), isRefusal("not-found"));
    assert.equal(await ifThere(read("none")), undefined);
    const { success } = await new Deno.Command("mkfifo", { args: [folder.at("pipe")] }).output();
    assert.ok(success);
    await assert.rejects(read("pipe"), FilesError);
  });
}
