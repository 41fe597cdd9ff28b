import assert from "node:assert/strict";
import { FilesError } from "../../../src/platform/files.ts";
import { HandleTable, type OpenHandle } from "../../../src/ssh/sftp/handles.ts";
import { MemoryFiles } from "./memory_files.ts";

const hasCode = (code: string) => (error: unknown) => error instanceof FilesError && error.code === code;

async function openFile(files: MemoryFiles): Promise<OpenHandle> {
  const file = await files.open("/f", { read: true });
  return { kind: "file", file, identity: "1", append: false };
}

Deno.test("a handle is found until it is closed, and closed once", async () => {
  const files = new MemoryFiles({ "/f": "" });
  const table = new HandleTable(4);
  const name = await table.add(() => openFile(files));
  assert.equal(table.file(name).identity, "1");
  assert.throws(() => table.directory(name), hasCode("bad-handle"));
  await table.close(name);
  assert.equal(files.openHandles, 0);
  assert.throws(() => table.file(name), hasCode("bad-handle"));
  await assert.rejects(table.close(name), hasCode("bad-handle"));
});

Deno.test("handles of the wrong length or never given out are not open", () => {
  const table = new HandleTable(4);
  for (const length of [0, 3, 4, 5, 256]) assert.equal(table.find(new Uint8Array(length)), undefined);
});

Deno.test("the cap holds for opens in parallel, and a failed open frees its place", async () => {
  const files = new MemoryFiles({ "/f": "" });
  const table = new HandleTable(2);
  await assert.rejects(
    table.add(() => Promise.reject(new FilesError("permission", ""))),
    hasCode("permission"),
  );
  const results = await Promise.allSettled([1, 2, 3].map(() => table.add(() => openFile(files))));
  assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "fulfilled", "rejected"]);
  assert.equal(files.openHandles, 2);
  await table.closeAll();
  assert.equal(files.openHandles, 0);
  assert.equal(table.size, 0);
});
