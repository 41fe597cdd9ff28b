import assert from "node:assert/strict";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { PlainDuplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { peek, type PeekOptions } from "../../src/streams/peek.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

function options(clock: FakeClock, enough: (seen: Bytes) => boolean): PeekOptions {
  return { clock, enough, limit: 8, timeout: 300 };
}

async function readAll(connection: PlainDuplex, size = 5): Promise<number[]> {
  const all: number[] = [];
  for (let count, into = new Uint8Array(size); (count = await connection.read(into)) !== null;) {
    all.push(...into.subarray(0, count));
  }
  return all;
}

Deno.test("what was looked at is read afterwards, then the rest", async () => {
  const clock = new FakeClock();
  const [near, far] = duplexPair();
  const peeking = peek(near, options(clock, (seen) => seen.length >= 3));
  for (const byte of [1, 2, 3]) {
    await settle();
    await far.write(new Uint8Array([byte]));
  }
  const { connection, seen, reason } = await peeking;
  assert.deepEqual([reason, [...seen]], ["enough", [1, 2, 3]]);
  await far.write(new Uint8Array([4, 5]));
  await far.closeWrite();
  assert.deepEqual(await readAll(connection, 2), [1, 2, 3, 4, 5]);
  assert.equal(await connection.read(new Uint8Array(1)), null);
  assert.equal(clock.pending, 0);
});

Deno.test("a peer that says nothing is waited for until the timeout, and heard afterwards", async () => {
  const clock = new FakeClock();
  const [near, far] = duplexPair();
  const peeking = peek(near, options(clock, () => false));
  await clock.advance(299);
  assert.equal(await Promise.race([peeking, settle()]), undefined);
  await clock.advance(1);
  const { connection, seen, reason } = await peeking;
  assert.deepEqual([reason, seen.length], ["timeout", 0]);
  // The read that was waiting has not swallowed anything.
  const reading = readAll(connection, 3);
  await far.write(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
  await far.closeWrite();
  assert.deepEqual(await reading, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

Deno.test("a few bytes and then silence end with what there is", async () => {
  const clock = new FakeClock();
  const [near, far] = duplexPair();
  const peeking = peek(near, options(clock, () => false));
  await far.write(new Uint8Array([7]));
  await clock.advance(300);
  const { seen, reason } = await peeking;
  assert.deepEqual([reason, [...seen]], ["timeout", [7]]);
});

Deno.test("no more than the limit is looked at", async () => {
  const [near, far] = duplexPair();
  await far.write(new Uint8Array(20).map((_, at) => at));
  await far.closeWrite();
  const { connection, seen, reason } = await peek(near, options(new FakeClock(), () => false));
  assert.deepEqual([reason, seen.length], ["limit", 8]);
  assert.equal((await readAll(connection)).length, 20);
});

Deno.test("the end of input is found, and is the end afterwards too", async () => {
  const clock = new FakeClock();
  const [near, far] = duplexPair();
  await far.write(new Uint8Array([1]));
  await far.closeWrite();
  const { connection, seen, reason } = await peek(near, options(clock, () => false));
  assert.deepEqual([reason, [...seen]], ["end", [1]]);
  assert.deepEqual(await readAll(connection), [1]);
  assert.equal(clock.pending, 0);
});

Deno.test("a connection that breaks says so when it is read", async () => {
  const [near, far] = duplexPair();
  const peeking = peek(near, options(new FakeClock(), () => false));
  await far.write(new Uint8Array([1]));
  await settle();
  far.close(new Error("cut"));
  const { connection, reason } = await peeking;
  assert.equal(reason, "broke");
  assert.equal(await connection.read(new Uint8Array(4)), 1);
  await assert.rejects(connection.read(new Uint8Array(4)), /cut/);
});

Deno.test("writing and closing pass through", async () => {
  const [near, far] = duplexPair();
  await far.write(new Uint8Array([1]));
  const { connection } = await peek(near, options(new FakeClock(), () => true));
  await connection.write(new Uint8Array([2, 3]));
  assert.equal(await far.read(new Uint8Array(4)), 2);
  await connection.closeWrite();
  assert.equal(await far.read(new Uint8Array(4)), null);
  connection.close(new Error("done"));
  await assert.rejects(far.read(new Uint8Array(4)).then(() => far.write(new Uint8Array(1))));
});

Deno.test("however it is cut up, nothing is lost, doubled or moved", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 12 }), { maxLength: 6 }),
      fc.nat(9),
      fc.integer({ min: 1, max: 9 }),
      async (chunks, wanted, readSize) => {
        const [near, far] = duplexPair();
        const sending = (async () => {
          for (const chunk of chunks) {
            await far.write(new Uint8Array(chunk));
            await Promise.resolve();
          }
          await far.closeWrite();
        })();
        const { connection } = await peek(near, options(new FakeClock(), (seen) => seen.length >= wanted));
        assert.deepEqual(await readAll(connection, readSize), chunks.flatMap((chunk) => [...chunk]));
        await sending;
      },
    ),
    { numRuns: 100 },
  );
});
