import assert from "node:assert/strict";
import { type Access, conflicts, Ordering } from "../../../src/ssh/sftp/ordering.ts";

const read = (file: string, from: number, to: number): Access => ({
  changes: false,
  file,
  range: { from, to },
});
const write = (file: string, from: number, to: number): Access => ({
  changes: true,
  file,
  range: { from, to },
});

const TABLE: [string, Access, Access, boolean][] = [
  ["two reads of one range", read("a", 0, 9), read("a", 0, 9), false],
  ["a read and a write of one range", read("a", 0, 9), write("a", 8, 20), true],
  ["neighbouring writes", write("a", 0, 9), write("a", 9, 20), false],
  ["overlapping writes", write("a", 0, 9), write("a", 8, 9), true],
  ["writes of two files", write("a", 0, 9), write("b", 0, 9), false],
  ["a write and a change of the whole file", write("a", 0, 9), { changes: true, file: "a" }, true],
  ["a write and a look at the whole file", write("a", 5, 9), { changes: false, file: "a" }, true],
  ["a read and a look at any path", read("a", 0, 9), { changes: false }, false],
  ["a write and a look at any path", write("a", 0, 9), { changes: false }, true],
  ["a read and a change of any path", read("a", 0, 9), { changes: true }, true],
  ["two looks at any path", { changes: false }, { changes: false }, false],
];

for (const [what, a, b, expected] of TABLE) {
  Deno.test(`${what} ${expected ? "keep their order" : "may run in parallel"}`, () => {
    assert.equal(conflicts(a, b), expected);
    assert.equal(conflicts(b, a), expected);
  });
}

Deno.test("tasks wait for what conflicts with them, and for nothing else", async () => {
  const ordering = new Ordering();
  const started: string[] = [];
  const finish = new Map<string, () => void>();
  const start = (name: string, ...accesses: Access[]) =>
    ordering.run(accesses, () => {
      started.push(name);
      return new Promise<void>((resolve) => finish.set(name, resolve));
    });
  const settle = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  const all = [
    start("write", write("a", 0, 10)),
    start("read behind it", read("a", 10, 20)),
    start("read of it", read("a", 5, 15)),
    start("close", { changes: true, file: "a" }),
    start("other file", read("b", 0, 5)),
    start("copy", read("b", 0, 5), write("c", 0, 5)),
    start("nothing"),
  ];
  await settle();
  assert.deepEqual(started, ["write", "read behind it", "other file", "copy", "nothing"]);
  finish.get("write")!();
  await settle();
  assert.equal(started.at(-1), "read of it");
  finish.get("read of it")!();
  await settle();
  assert.equal(started.at(-1), "read of it");
  finish.get("read behind it")!();
  await settle();
  assert.equal(started.at(-1), "close");
  for (const done of finish.values()) done();
  await Promise.all(all);
});

Deno.test("a task that fails lets the next one run", async () => {
  const ordering = new Ordering();
  const first = ordering.run([{ changes: true }], () => Promise.reject(new Error("no")));
  const second = ordering.run([{ changes: true }], () => Promise.resolve(2));
  await assert.rejects(first, /no/);
  assert.equal(await second, 2);
});
