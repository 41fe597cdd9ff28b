import assert from "node:assert/strict";
import { memoryUsage } from "node:process";
import fc from "fast-check";
import { ByteQueue } from "../../src/streams/byte_queue.ts";

/** Bytes that tell their place. */
function numbered(from: number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (from + i) % 251);
}

Deno.test("whatever the sizes of pushes and shifts, bytes come out as they went in", () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 60_000, max: 200_000 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), size), { maxLength: 20 }), (steps) => {
      const queue = new ByteQueue();
      let pushed = 0;
      let shifted = 0;
      for (const [push, size] of steps) {
        if (push) {
          const bytes = numbered(pushed, size);
          queue.push(bytes);
          // The queue has its own copy.
          bytes.fill(255);
          pushed += size;
        } else {
          const into = new Uint8Array(size);
          const count = queue.shift(into);
          assert.equal(count, Math.min(size, pushed - shifted));
          assert.deepEqual(into.subarray(0, count), numbered(shifted, count));
          shifted += count;
        }
        assert.equal(queue.length, pushed - shifted);
      }
      assert.equal(queue.clear(), pushed - shifted);
      assert.equal(queue.shift(new Uint8Array(1)), 0);
    }),
    { numRuns: 60 },
  );
});

Deno.test("a queue with a few bytes holds little memory, however they came", () => {
  const before = memoryUsage().external;
  const queues = Array.from({ length: 4096 }, () => new ByteQueue());
  for (const queue of queues) for (let i = 0; i < 9; i++) queue.push(new Uint8Array([i]));
  const each = (memoryUsage().external - before) / queues.length;
  assert.ok(each < 8 * 1024, `${each} bytes`);
  const into = new Uint8Array(99);
  assert.equal(queues.at(-1)!.shift(into), 9);
  assert.deepEqual(into.subarray(0, 9), new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7, 8]));
});
