import assert from "node:assert/strict";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { type PlainDuplex, PlainDuplexBase } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { relay, type RelayResult } from "../../src/streams/relay.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

function joined(options?: Parameters<typeof relay>[2]) {
  const [client, a] = duplexPair();
  const [b, server] = duplexPair();
  return { client, server, a, b, result: relay(a, b, options) };
}

async function readAll(from: PlainDuplex, into = new Uint8Array(8192)): Promise<Bytes> {
  const parts: number[] = [];
  for (let count; (count = await from.read(into)) !== null;) parts.push(...into.subarray(0, count));
  return new Uint8Array(parts);
}

const bytes = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 255);

Deno.test("both ways arrive whole and are counted apart", async () => {
  const { client, server, result } = joined();
  const up = bytes(100_000);
  const down = bytes(70_001, 7);
  const send = async (to: PlainDuplex, data: Bytes) => {
    await to.write(data);
    await to.closeWrite();
  };
  const [, , atServer, atClient] = await Promise.all([
    send(client, up),
    send(server, down),
    readAll(server),
    readAll(client),
  ]);
  assert.deepEqual(atServer, up);
  assert.deepEqual(atClient, down);
  assert.deepEqual(await result, { reason: "ended", aToB: up.length, bToA: down.length });
});

Deno.test("the end of one direction is passed on while the other goes on", async () => {
  const { client, server, result } = joined();
  await client.write(bytes(5));
  await client.closeWrite();
  assert.deepEqual(await readAll(server), bytes(5));
  for (let i = 0; i < 3; i++) {
    await server.write(bytes(9, i));
    assert.equal(await client.read(new Uint8Array(99)), 9);
  }
  await server.closeWrite();
  assert.equal(await client.read(new Uint8Array(9)), null);
  assert.deepEqual(await result, { reason: "ended", aToB: 5, bToA: 27 });
});

Deno.test("what was written just before both ends still arrives after the relay has closed", async () => {
  const { client, server, result } = joined();
  await client.write(bytes(3000));
  await Promise.all([client.closeWrite(), server.closeWrite()]);
  assert.equal((await result).reason, "ended");
  assert.deepEqual(await readAll(server), bytes(3000));
});

Deno.test("any chunks in both directions arrive as they were", async () => {
  const chunks = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(chunks, chunks, async (up, down) => {
      const { client, server, result } = joined();
      const send = async (to: PlainDuplex, sizes: number[]) => {
        for (const [i, size] of sizes.entries()) await to.write(bytes(size, i));
        await to.closeWrite();
      };
      const [, , atServer, atClient] = await Promise.all([
        send(client, up),
        send(server, down),
        readAll(server),
        readAll(client),
      ]);
      const whole = (sizes: number[]) => sizes.flatMap((size, i) => [...bytes(size, i)]);
      assert.deepEqual([...atServer], whole(up));
      assert.deepEqual([...atClient], whole(down));
      const { aToB, bToA } = await result;
      assert.deepEqual([aToB, bToA], [atServer.length, atClient.length]);
    }),
    { numRuns: 20 },
  );
});

Deno.test("web streams are relayed as well as plain ones", async () => {
  const { client, server, result } = (() => {
    const [client, a] = duplexPair();
    const [b, server] = duplexPair();
    const streams = { readable: a.readable, writable: a.writable };
    return { client, server, result: relay(streams, b) };
  })();
  await client.write(bytes(50_000));
  await client.closeWrite();
  await server.closeWrite();
  assert.deepEqual(await readAll(server), bytes(50_000));
  assert.deepEqual(await result, { reason: "ended", aToB: 50_000, bToA: 0 });
});

Deno.test("a reader that stops holds the sender: no more than the buffers are taken", async () => {
  const { client, a, b, result } = joined();
  let sent = 0;
  const sending = (async () => {
    for (;;) {
      await client.write(bytes(16_384));
      sent += 16_384;
    }
  })().catch(() => {});
  for (let i = 0; i < 20; i++) await settle();
  assert(sent <= 512 * 1024, `${sent} bytes were taken`);
  const before = sent;
  await settle();
  assert.equal(sent, before);
  a.close();
  b.close();
  await Promise.all([sending, result]);
});

/** Counts operations over a pair's end and breaks at the one with the given number. */
class Faulty extends PlainDuplexBase {
  operations = 0;
  closed = 0;
  readonly largestRead = { size: 0 };
  readonly sizes: number[] = [];

  constructor(readonly inner: PlainDuplex, readonly breakAt = Infinity) {
    super();
  }

  #step(name: string): void {
    if (this.operations++ === this.breakAt) throw new Error(`${name} broke`);
  }

  // deno-lint-ignore require-await -- what is thrown must be a rejection
  async read(into: Bytes): Promise<number | null> {
    this.#step("read");
    this.sizes.push(into.length);
    return this.inner.read(into);
  }

  // deno-lint-ignore require-await
  async write(from: Bytes): Promise<void> {
    this.#step("write");
    return this.inner.write(from);
  }

  // deno-lint-ignore require-await
  async closeWrite(): Promise<void> {
    this.#step("closeWrite");
    return this.inner.closeWrite();
  }

  close(reason?: unknown): void {
    this.closed++;
    this.inner.close(reason);
  }
}

/** Three messages each way through a relay whose one side breaks at operation `at`. */
async function conversation(side: "a" | "b", at: number) {
  const [client, innerA] = duplexPair();
  const [innerB, server] = duplexPair();
  const a = new Faulty(innerA, side === "a" ? at : Infinity);
  const b = new Faulty(innerB, side === "b" ? at : Infinity);
  const result = relay(a, b);
  const talk = async (end: PlainDuplex) => {
    for (let i = 0; i < 3; i++) {
      await end.write(bytes(10));
      await end.read(new Uint8Array(100));
    }
    await end.closeWrite();
    while (await end.read(new Uint8Array(100)) !== null);
  };
  await Promise.allSettled([talk(client), talk(server)]);
  return { result: await result, operations: (side === "a" ? a : b).operations, a, b };
}

Deno.test("a fault at any operation of either side closes both, is reported with its side, and nothing hangs", async () => {
  for (const side of ["a", "b"] as const) {
    const { operations, result } = await conversation(side, Infinity);
    assert.equal(result.reason, "ended");
    assert(operations >= 7);
    const seen = new Set<string>();
    for (let at = 0; at < operations; at++) {
      const { result, a, b } = await conversation(side, at);
      // How reads and writes interleave may leave a run with fewer operations: then it ended well.
      if (result.reason === "ended") continue;
      assert.deepEqual([result.reason, result.fault?.side], ["fault", side], `at ${at}`);
      seen.add(result.fault!.operation);
      assert.match((result.fault!.error as Error).message, new RegExp(`^${result.fault!.operation} broke`));
      assert.deepEqual([a.closed, b.closed], [1, 1]);
    }
    assert.deepEqual([...seen].sort(), ["closeWrite", "read", "write"]);
  }
});

Deno.test("an abort closes both sides with its reason", async () => {
  const controller = new AbortController();
  const { client, server, result } = joined({ signal: controller.signal });
  await client.write(bytes(10));
  await server.read(new Uint8Array(10));
  await settle();
  const reads = [client, server].map((end) => assert.rejects(end.read(new Uint8Array(1)), /session over/));
  controller.abort(new Error("session over"));
  await Promise.all(reads);
  assert.deepEqual(await result, { reason: "aborted", aToB: 10, bToA: 0 });
});

Deno.test("a signal that had aborted before moves nothing", async () => {
  const { client, result } = joined({ signal: AbortSignal.abort(new Error("too late")) });
  assert.deepEqual(await result, { reason: "aborted", aToB: 0, bToA: 0 });
  await assert.rejects(client.read(new Uint8Array(1)), /too late/);
});

Deno.test("a connection whose reads never settle does not hold up the result of an abort", async () => {
  const controller = new AbortController();
  const stuck: PlainDuplex = {
    ...duplexPair()[0],
    readable: new ReadableStream(),
    writable: new WritableStream(),
    read: () => new Promise(() => {}),
    write: () => new Promise(() => {}),
    closeWrite: () => new Promise(() => {}),
    close: () => {},
  };
  const result = relay(stuck, duplexPair()[0], { signal: controller.signal });
  controller.abort();
  assert.equal((await result).reason, "aborted");
});

Deno.test("silence in both directions ends the relay; a byte in either keeps it", async () => {
  const clock = new FakeClock();
  const { client, server, result } = joined({ idle: { ms: 1000, clock } });
  let ended: RelayResult | undefined;
  result.then((value) => ended = value);
  for (const [from, to] of [[client, server], [server, client]]) {
    await clock.advance(999);
    await from.write(bytes(1));
    await to.read(new Uint8Array(1));
    await settle();
  }
  await clock.advance(999);
  assert.equal(ended, undefined);
  await clock.advance(1);
  assert.deepEqual(ended, { reason: "idle", aToB: 1, bToA: 1 });
  assert.equal(clock.pending, 0);
});

Deno.test("no timer is left when the relay ends before it is idle", async () => {
  const clock = new FakeClock();
  const { client, server, result } = joined({ idle: { ms: 1000, clock } });
  await client.closeWrite();
  await server.closeWrite();
  await result;
  assert.equal(clock.pending, 0);
});

Deno.test("buffers start small, grow with full reads, and shrink when little comes", async () => {
  const sizes: number[] = [];
  /** Fills reads until `full` have been, then gives 64 bytes each, then ends. */
  const source = (full: number, small: number): PlainDuplex =>
    Object.assign(duplexPair()[0], {
      read: (into: Bytes) => {
        sizes.push(into.length);
        if (sizes.length <= full) return Promise.resolve(into.length);
        return Promise.resolve(sizes.length <= full + small ? 64 : null);
      },
    });
  const sink: PlainDuplex = Object.assign(duplexPair()[0], {
    read: () => Promise.resolve(null),
    write: () => Promise.resolve(),
  });
  await relay(source(6, 40), sink);
  const kib = sizes.map((size) => size / 1024);
  assert.deepEqual(kib.slice(0, 7), [4, 16, 64, 128, 128, 128, 128]);
  assert.equal(Math.max(...kib), 128);
  assert.equal(kib.at(-1), 4);
  assert.equal(kib.filter((size) => size === 32).length, 4);
});

Deno.test("live counts add up to the result", async () => {
  const live = { aToB: 0, bToA: 0 };
  const { client, server, result } = joined({ onBytes: (direction, count) => live[direction] += count });
  await client.write(bytes(12_345));
  await client.closeWrite();
  await server.write(bytes(77));
  await server.closeWrite();
  await Promise.all([readAll(client), readAll(server)]);
  const { aToB, bToA } = await result;
  assert.deepEqual(live, { aToB, bToA });
});

Deno.test("a side that is closed ends the relay once what came from it has been passed on", async () => {
  const [client, a] = duplexPair();
  const [b, server] = duplexPair();
  const closed = Promise.withResolvers<void>();
  const relayed = relay(Object.assign(a, { closed: closed.promise }), b);
  await client.write(new Uint8Array(5));
  closed.resolve();
  await client.closeWrite();
  // The server says nothing and never ends.
  assert.deepEqual(await relayed, { reason: "closed", closedBy: "a", aToB: 5, bToA: 0 });
  const received = new Uint8Array(10);
  assert.equal(await server.read(received), 5);
});

Deno.test("an error that says a side was closed is no fault", async () => {
  const [client, a] = duplexPair();
  const [b] = duplexPair();
  const relayed = relay(a, b);
  client.close(Object.assign(new Error("gone"), { code: "closed" }));
  assert.deepEqual(await relayed, { reason: "closed", closedBy: "a", aToB: 0, bToA: 0 });
});
