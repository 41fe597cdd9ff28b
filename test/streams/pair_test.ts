import assert from "node:assert/strict";
import { duplexPair } from "../../src/streams/pair.ts";
import { deadline } from "../support/wait.ts";

Deno.test("each direction of a pair ends on its own", async () => {
  const [near, far] = duplexPair();
  await near.write(new Uint8Array([1, 2]));
  await near.closeWrite();
  const into = new Uint8Array(8);
  assert.equal(await far.read(into), 2);
  assert.equal(await far.read(into), null);
  await far.write(new Uint8Array([3]));
  assert.equal(await near.read(into), 1);
  await assert.rejects(near.write(new Uint8Array(1)), TypeError);
});

Deno.test("a writer waits at 64 KiB until somebody reads", async () => {
  const [near, far] = duplexPair();
  let done = false;
  const writing = near.write(new Uint8Array(64 * 1024)).then(() => done = true);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(done, false);
  await far.read(new Uint8Array(1));
  await writing;
});

Deno.test("close settles a write that waits, also after the end of the stream was announced", async () => {
  for (const half of [false, true]) {
    const [near] = duplexPair();
    const writing = near.write(new Uint8Array(100_000)).catch(() => {});
    if (half) await near.closeWrite();
    near.close();
    await deadline(writing, "the write");
  }
});

Deno.test("what was written before a proper end survives the close; otherwise both ends break", async () => {
  const into = new Uint8Array(8);
  const [near, far] = duplexPair();
  await near.write(new Uint8Array([1]));
  await near.closeWrite();
  near.close();
  assert.equal(await far.read(into), 1);
  assert.equal(await far.read(into), null);
  await assert.rejects(far.write(new Uint8Array(1)), /closed/);

  const [left, right] = duplexPair();
  await left.write(new Uint8Array([1]));
  left.close(new Error("cut"));
  await assert.rejects(right.read(into), /cut/);
  await assert.rejects(right.write(into), /cut/);
  await assert.rejects(left.read(into), /cut/);
});

Deno.test("the web streams of a pair carry bytes, ends and cancellation", async () => {
  const [near, far] = duplexPair();
  const writer = near.writable.getWriter();
  writer.write(new Uint8Array([1, 2, 3])).then(() => writer.close());
  const got: number[] = [];
  for await (const chunk of far.readable) got.push(...chunk);
  assert.deepEqual(got, [1, 2, 3]);

  const [left, right] = duplexPair();
  await right.readable.cancel(new Error("no more"));
  await assert.rejects(left.write(new Uint8Array(1)), /no more/);
});
