import assert from "node:assert/strict";
import { type Bytes, decodeText, encodeText } from "../../src/bytes/bytes.ts";
import { systemAccounts, systemFiles as files } from "../../src/deno/files.ts";
import { FilesError, type FilesErrorCode, FileType, isType } from "../../src/platform/files.ts";
import { temporaryFolder } from "../support/folder.ts";

const hasCode = (code: FilesErrorCode) => (error: unknown) =>
  error instanceof FilesError && error.code === code;

async function content(path: string): Promise<string> {
  const file = await files.open(path, { read: true });
  try {
    const buffer = new Uint8Array(1000);
    return decodeText(buffer.subarray(0, await file.read(buffer, 0)));
  } finally {
    await file.close();
  }
}

Deno.test("parallel reads and writes of one handle stay where they belong", async () => {
  using folder = temporaryFolder();
  const file = await files.open(folder.at("f"), { read: true, write: true, create: true });
  const blocks = Array.from({ length: 50 }, (_, i) => new Uint8Array(4000).fill(i));
  await Promise.all(blocks.map((block, i) => file.write(block, 4000 * i)));
  const read = await Promise.all(blocks.map(async (_, i): Promise<Bytes> => {
    const into = new Uint8Array(4000);
    assert.equal(await file.read(into, 4000 * i), 4000);
    return into;
  }));
  assert.deepEqual(read, blocks);
  assert.equal(await file.read(new Uint8Array(10), 4000 * 50 - 3), 3);
  assert.equal(await file.read(new Uint8Array(10), 4000 * 50), 0);
  assert.equal((await file.stat()).size, 4000 * 50);
  await file.close();
});

Deno.test("offsets beyond 4 GiB reach where they say", async () => {
  using folder = temporaryFolder();
  const file = await files.open(folder.at("sparse"), { read: true, write: true, create: true });
  const far = 2 ** 33 + 5;
  await file.write(encodeText("far"), far);
  const into = new Uint8Array(5);
  assert.equal(await file.read(into, far - 2), 5);
  assert.equal(decodeText(into), "\0\0far");
  assert.equal((await file.stat()).size, far + 3);
  await file.close();
});

Deno.test("an open file can be changed, flushed and asked for its file system", async () => {
  using folder = temporaryFolder();
  const file = await files.open(folder.write("f", "0123456789"), { read: true, write: true });
  await file.change({ size: 4, mode: 0o640, times: { accessed: 1, modified: 2 } });
  await file.sync();
  const stat = await file.stat();
  assert.deepEqual([stat.size, stat.mode & 0o7777, stat.accessed, stat.modified, stat.links], [
    4,
    0o640,
    1,
    2,
    1,
  ]);
  assert.ok(isType(stat, FileType.regular));
  await file.change({ owner: { uid: stat.uid, gid: stat.gid } });
  const [ofHandle, ofPath] = [await file.statFileSystem(), await files.statFileSystem(folder.path)];
  assert.equal(ofHandle.blocks, ofPath.blocks);
  assert.ok(ofPath.blocks >= ofPath.blocksFree && ofPath.fragmentSize > 0);
  await file.close();
});

Deno.test("appending goes to the end, truncating empties, exclusive creation refuses what exists", async () => {
  using folder = temporaryFolder();
  const path = folder.write("f", "one");
  const log = await files.open(path, { write: true, append: true });
  await log.write(encodeText(" two"), 0);
  await log.close();
  assert.equal(await content(path), "one two");
  Deno.symlinkSync("nowhere", folder.at("dangling"));
  for (const taken of [path, folder.at("dangling")]) {
    await assert.rejects(
      files.open(taken, { write: true, create: true, exclusive: true }),
      hasCode("exists"),
    );
  }
  await (await files.open(path, { write: true, truncate: true })).close();
  assert.equal(await content(path), "");
});

Deno.test("a file opened for reading alone is created, kept exclusive and truncated like any other", async () => {
  using folder = temporaryFolder();
  const path = folder.at("f");
  await (await files.open(path, { read: true, create: true, exclusive: true, mode: 0o640 })).close();
  assert.equal((await files.stat(path)).mode & 0o777, 0o640);
  await assert.rejects(files.open(path, { read: true, create: true, exclusive: true }), hasCode("exists"));
  folder.write("f", "content");
  const file = await files.open(path, { read: true, append: true, truncate: true });
  await assert.rejects(file.write(encodeText("x"), 0), hasCode("bad-handle"));
  await file.close();
  assert.equal(await content(path), "");
});

Deno.test("a created file and directory have the mode asked for, within the umask", async () => {
  using folder = temporaryFolder();
  await (await files.open(folder.at("f"), { write: true, create: true, mode: 0o600 })).close();
  await files.mkdir(folder.at("d"), 0o700);
  assert.equal((await files.stat(folder.at("f"))).mode, FileType.regular | 0o600);
  assert.equal((await files.stat(folder.at("d"))).mode, FileType.directory | 0o700);
});

Deno.test("identity is the file's, whatever path leads to it", async () => {
  using folder = temporaryFolder();
  const path = folder.write("f", "x");
  await files.link(path, folder.at("g"));
  await files.symlink("f", folder.at("l"));
  const { identity } = await files.stat(path);
  assert.equal((await files.stat(folder.at("g"))).identity, identity);
  assert.equal((await files.stat(folder.at("l"))).identity, identity);
  assert.notEqual((await files.lstat(folder.at("l"))).identity, identity);
  assert.equal(await files.readlink(folder.at("l")), "f");
  assert.equal(await files.realpath(folder.at("../") + folder.path.split("/").pop() + "/l"), path);
});

Deno.test("changes without following touch the link and not its target", async () => {
  using folder = temporaryFolder();
  const path = folder.write("f", "x", 0o600);
  await files.symlink("f", folder.at("l"));
  const before = await files.stat(path);
  await files.lchange(folder.at("l"), { times: { accessed: 5, modified: 6 } });
  await files.lchange(folder.at("l"), { owner: { uid: before.uid, gid: before.gid } });
  assert.equal((await files.lstat(folder.at("l"))).modified, 6);
  assert.deepEqual((await files.stat(path)).modified, before.modified);
  await assert.rejects(files.lchange(folder.at("l"), { mode: 0o777 }), hasCode("unsupported"));
  await assert.rejects(files.lchange(folder.at("l"), { size: 0 }), hasCode("unsupported"));
  await files.lchange(path, { mode: 0o640 });
  assert.equal((await files.stat(path)).mode & 0o7777, 0o640);
  await files.change(folder.at("l"), { mode: 0o4755, size: 0, times: { accessed: 1, modified: 7 } });
  const after = await files.stat(path);
  assert.deepEqual([after.mode & 0o7777, after.size, after.modified], [0o4755, 0, 7]);
});

Deno.test("rename refuses an existing target, replace replaces it", async () => {
  using folder = temporaryFolder();
  const [a, b] = [folder.write("a", "A"), folder.write("b", "B")];
  await assert.rejects(files.rename(a, b), hasCode("exists"));
  assert.equal(await content(a) + await content(b), "AB");
  await files.replace(a, b);
  assert.equal(await content(b), "A");
  await files.rename(b, folder.at("c"));
  assert.equal(await content(folder.at("c")), "A");
  await assert.rejects(files.stat(b), hasCode("not-found"));
  await assert.rejects(files.rename(b, a), hasCode("not-found"));
});

Deno.test("rename moves directories and links, and refuses an existing target of these too", async () => {
  using folder = temporaryFolder();
  await files.mkdir(folder.at("d"), 0o700);
  await files.mkdir(folder.at("e"), 0o700);
  await files.symlink("nowhere", folder.at("l"));
  await assert.rejects(files.rename(folder.at("d"), folder.at("e")), hasCode("exists"));
  await assert.rejects(files.rename(folder.at("d"), folder.at("l")), hasCode("exists"));
  await files.rename(folder.at("d"), folder.at("x"));
  await files.rename(folder.at("l"), folder.at("m"));
  assert.ok(isType(await files.stat(folder.at("x")), FileType.directory));
  assert.equal(await files.readlink(folder.at("m")), "nowhere");
});

Deno.test("a listing comes in portions and has every name, odd ones too", async () => {
  using folder = temporaryFolder();
  const names = [" ", "new\nline", "ünï", "-", ...Array.from({ length: 20 }, (_, i) => `f${i}`)];
  for (const name of names) folder.write(name, "");
  const listing = await files.list(folder.path);
  const seen: string[] = [];
  for (let portion; (portion = await listing.next(7)).length > 0;) {
    assert.ok(portion.length <= 7);
    seen.push(...portion);
  }
  assert.deepEqual(await listing.next(7), []);
  await listing.close();
  assert.deepEqual(seen.sort(), names.sort());
});

Deno.test("a listing given up early is closed", async () => {
  using folder = temporaryFolder();
  for (const name of ["a", "b", "c"]) folder.write(name, "");
  const listing = await files.list(folder.path);
  assert.equal((await listing.next(1)).length, 1);
  await listing.close();
});

Deno.test("opening a FIFO that nobody else has open does not wait", async () => {
  using folder = temporaryFolder();
  assert.ok(new Deno.Command("mkfifo", { args: [folder.at("p")] }).outputSync().success);
  await (await files.open(folder.at("p"), { read: true })).close();
  await assert.rejects(files.open(folder.at("p"), { write: true }), FilesError);
});

Deno.test("what goes wrong has a code", async () => {
  using folder = temporaryFolder();
  const file = folder.write("f", "");
  const { at } = folder;
  await files.mkdir(at("full"), 0o700);
  folder.write("full/x", "");
  await files.symlink("loop", at("loop"));
  const failures: [FilesErrorCode, () => Promise<unknown>][] = [
    ["not-found", () => files.stat(at("no"))],
    ["not-found", () => files.open(at("no"), { read: true })],
    ["not-found", () => files.list(at("no"))],
    ["not-found", () => files.unlink(at("no"))],
    ["not-found", () => files.realpath(at("no"))],
    ["not-directory", () => files.stat(`${file}/x`)],
    ["not-directory", () => files.list(file)],
    ["not-directory", () => files.rmdir(file)],
    ["exists", () => files.mkdir(file, 0o700)],
    ["exists", () => files.symlink("x", file)],
    ["exists", () => files.link(file, at("full"))],
    ["not-empty", () => files.rmdir(at("full"))],
    ["is-directory", () => files.open(folder.path, { write: true })],
    ["is-directory", () => files.unlink(at("full"))],
    ["loop", () => files.stat(at("loop"))],
    ["name-too-long", () => files.stat(at("x".repeat(300)))],
    ["invalid", () => files.readlink(file)],
    ["invalid", () => files.stat("a\0b")],
  ];
  for (const [code, operation] of failures) await assert.rejects(operation, hasCode(code), code);
});

Deno.test("unlink leaves an empty directory alone", async () => {
  using folder = temporaryFolder();
  await files.mkdir(folder.at("d"), 0o700);
  await assert.rejects(files.unlink(folder.at("d")), hasCode("is-directory"));
  await files.rmdir(folder.at("d"));
});

Deno.test("a full disk is no-space", async () => {
  const full = await files.open("/dev/full", { write: true });
  await assert.rejects(full.write(encodeText("x"), 0), hasCode("no-space"));
  await full.close();
});

Deno.test("accounts are known by number and name", async () => {
  assert.deepEqual(await systemAccounts.users([0, 4294967294]), ["root", undefined]);
  assert.equal((await systemAccounts.groups([0])).length, 1);
  assert.match(await systemAccounts.home("root") ?? "", /^\//);
  assert.equal(await systemAccounts.home("no such user"), undefined);
});
