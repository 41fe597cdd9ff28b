import assert from "node:assert/strict";
import fc from "fast-check";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { readAhead, streamOf, TRANSFER_REQUESTS, writeBehind } from "../../../src/ssh/sftp/transfer.ts";

const pattern = (length: number): Bytes => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

async function collect(source: AsyncIterable<Bytes>): Promise<Bytes> {
  const parts: number[] = [];
  for await (const part of source) parts.push(...part);
  return new Uint8Array(parts);
}

Deno.test("reading ahead gives the file in order, however short the server's reads and wrong the size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(300),
      fc.nat(400),
      fc.nat(320),
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.nat(5), { minLength: 1, maxLength: 8 }),
      async (size, expectedEnd, offset, chunk, delays) => {
        const file = pattern(size);
        let call = 0;
        const read = async (at: number, length: number) => {
          const turns = delays[call++ % delays.length];
          for (let i = 0; i < turns; i++) await Promise.resolve();
          const short = 1 + (length - 1) % (turns + 1);
          return at >= size ? null : file.slice(at, at + short);
        };
        const got = await collect(readAhead(read, { offset, end: Infinity, expectedEnd, chunk }));
        assert.deepEqual(got, file.slice(offset));
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("reading ahead stops where it is told", async () => {
  const file = pattern(100);
  const read = (at: number, length: number) => Promise.resolve(file.slice(at, at + length));
  const got = await collect(readAhead(read, { offset: 10, end: 35, expectedEnd: 100, chunk: 10 }));
  assert.deepEqual(got, file.slice(10, 35));
});

Deno.test("reading ahead keeps at most its window outstanding, and one beyond the expected end", async () => {
  let outstanding = 0;
  let most = 0;
  let mostBeyond = 0;
  const size = 1000;
  const read = async (at: number, length: number) => {
    outstanding++;
    most = Math.max(most, outstanding);
    if (at >= 900) mostBeyond = Math.max(mostBeyond, outstanding);
    await new Promise((resolve) => setTimeout(resolve, 0));
    outstanding--;
    return at >= size ? null : new Uint8Array(Math.min(length, size - at));
  };
  const all = await collect(readAhead(read, { offset: 0, end: Infinity, expectedEnd: 900, chunk: 1 }));
  assert.equal(all.length, size);
  assert.equal(most, TRANSFER_REQUESTS);
  assert.ok(mostBeyond <= 2);
});

Deno.test("a failed read fails the stream once everything outstanding has settled", async () => {
  let outstanding = 0;
  const read = async (at: number) => {
    outstanding++;
    await new Promise((resolve) => setTimeout(resolve, at % 3));
    outstanding--;
    if (at >= 20) throw new Error(`at ${at}`);
    return new Uint8Array(10);
  };
  const stream = streamOf(readAhead(read, { offset: 0, end: 200, expectedEnd: 200, chunk: 10 }));
  await assert.rejects(collect(stream), /at 20/);
  assert.equal(outstanding, 0);
});

Deno.test("a cancelled stream waits for what is outstanding", async () => {
  let outstanding = 0;
  const read = async () => {
    outstanding++;
    await new Promise((resolve) => setTimeout(resolve, 0));
    outstanding--;
    return new Uint8Array(10);
  };
  const stream = streamOf(readAhead(read, { offset: 0, end: 2000, expectedEnd: 2000, chunk: 10 }));
  const reader = stream.getReader();
  await reader.read();
  assert.ok(outstanding > 1);
  await reader.cancel();
  assert.equal(outstanding, 0);
});

async function* pieces(all: Bytes, ...sizes: number[]): AsyncGenerator<Bytes> {
  // One buffer for all, as a reader that reuses its own would do.
  const buffer = new Uint8Array(Math.max(...sizes));
  for (let at = 0, i = 0; at < all.length; i++) {
    const part = all.subarray(at, at + sizes[i % sizes.length]);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    at += part.length;
    await Promise.resolve();
  }
}

Deno.test("writing behind puts every byte where it belongs, within the window", async () => {
  const source = pattern(5000);
  const written = new Uint8Array(5100);
  let outstanding = 0;
  let most = 0;
  const write = async (data: Bytes, at: number) => {
    assert.ok(data.length <= 16);
    written.set(data, at);
    most = Math.max(most, ++outstanding);
    await new Promise((resolve) => setTimeout(resolve, 0));
    outstanding--;
  };
  const count = await writeBehind(write, pieces(source, 1, 40, 7), { offset: 100, chunk: 16 });
  assert.equal(count, 5000);
  assert.deepEqual(written.subarray(100), source);
  assert.equal(most, TRANSFER_REQUESTS);
  assert.equal(outstanding, 0);
});

Deno.test("a failed write stops the source and rejects once everything outstanding has settled", async () => {
  let outstanding = 0;
  let asked = 0;
  let stopped = false;
  const write = async (_: Bytes, at: number) => {
    outstanding++;
    await new Promise((resolve) => setTimeout(resolve, 0));
    outstanding--;
    if (at >= 50) throw new Error("disk full");
  };
  async function* source() {
    try {
      for (; asked < 100_000; asked++) {
        yield new Uint8Array(10);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    } finally {
      stopped = true;
    }
  }
  await assert.rejects(writeBehind(write, source(), { offset: 0, chunk: 10 }), /disk full/);
  assert.ok(asked < 1000 && stopped);
  assert.equal(outstanding, 0);
});

Deno.test("a failing source rejects once everything outstanding has settled", async () => {
  let outstanding = 0;
  const write = async () => {
    outstanding++;
    await new Promise((resolve) => setTimeout(resolve, 0));
    outstanding--;
  };
  async function* source() {
    yield new Uint8Array(50);
    await Promise.resolve();
    throw new Error("no more");
  }
  await assert.rejects(writeBehind(write, source(), { offset: 0, chunk: 10 }), /no more/);
  assert.equal(outstanding, 0);
});
