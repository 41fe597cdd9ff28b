import assert from "node:assert/strict";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { packet, PacketPool, PacketReader, PacketWriter } from "../../../src/ssh/sftp/packet.ts";
import { MAX_PACKET } from "../../../src/ssh/sftp/protocol.ts";
import { duplexPair } from "../../../src/streams/pair.ts";

/** Writes `stream` in pieces, ends it, and reads the packets. */
async function readAll(stream: Bytes, piece: number, pool?: PacketPool): Promise<Bytes[]> {
  const [near, far] = duplexPair();
  const writing = (async () => {
    for (let at = 0; at < stream.length; at += piece) await near.write(stream.subarray(at, at + piece));
    await near.closeWrite();
  })();
  writing.catch(() => {}); // the reader may give up first
  const reader = new PacketReader(far, pool);
  const packets: Bytes[] = [];
  try {
    for (let body; (body = await reader.next());) packets.push(body);
  } finally {
    far.close();
  }
  return packets;
}

const isProtocolError = (error: unknown) => error instanceof SshError && error.code === "protocol";

for (const piece of [1, 3, 5, 1000]) {
  Deno.test(`packets arrive whole when the stream comes ${piece} bytes at a time`, async () => {
    const stream = decodeHex("00000001 aa 00000003 bbcc00 00000002 ddee");
    assert.deepEqual((await readAll(stream, piece)).map(encodeHex), ["aa", "bbcc00", "ddee"]);
  });
}

Deno.test("a packet of the largest size arrives, with and without a pool", async () => {
  const big = packet(6, 100, (writer) => writer.bytes(new Uint8Array(MAX_PACKET - 1).fill(7)));
  const stream = new Uint8Array(2 * big.length);
  stream.set(big);
  stream.set(big, big.length);
  for (const pool of [undefined, new PacketPool(2)]) {
    const bodies = await readAll(stream, 40_000, pool);
    assert.deepEqual(bodies.map((body) => body.length), [MAX_PACKET, MAX_PACKET]);
    for (const body of bodies) assert.deepEqual(body, big.subarray(4));
  }
});

for (const [length, hex] of [["0", "00000000"], ["above the cap", "00040001"], ["absurd", "ffffffff"]]) {
  Deno.test(`a length that is ${length} is refused before anything is allocated`, async () => {
    await assert.rejects(readAll(decodeHex(`${hex} 0102`), 100), isProtocolError);
  });
}

Deno.test("a stream that ends within a packet is no clean end, wherever it ends", async () => {
  const stream = decodeHex("00000003 bbcc00");
  for (let length = 1; length < stream.length; length++) {
    await assert.rejects(readAll(stream.subarray(0, length), 100), isProtocolError);
  }
  assert.deepEqual(await readAll(stream.subarray(0, 0), 1), []);
});

Deno.test("a pool gives a large buffer out again, and keeps no more than it may", () => {
  const pool = new PacketPool(1);
  const [first, second] = [pool.take(200_000), pool.take(200_000)];
  assert.notEqual(first.buffer, second.buffer);
  pool.give(first);
  pool.give(second);
  assert.equal(pool.take(MAX_PACKET).buffer, first.buffer);
  assert.notEqual(pool.take(MAX_PACKET).buffer, second.buffer);
});

Deno.test("a pool spends no large buffer on few bytes", () => {
  assert.equal(new PacketPool(1).take(1000).buffer.byteLength, 1000);
});

Deno.test("packets sent at once go out whole and in order, and fail together when the connection breaks", async () => {
  const [near, far] = duplexPair();
  const writer = new PacketWriter(near);
  const sends = [1, 2, 3].map((type) => writer.send(packet(type, 8, () => {})));
  await Promise.all(sends);
  const reader = new PacketReader(far);
  for (const type of [1, 2, 3]) assert.deepEqual(await reader.next(), new Uint8Array([type]));
  near.close(new Error("broken"));
  await assert.rejects(writer.send(packet(4, 8, () => {})), /broken/);
  await assert.rejects(writer.send(packet(5, 8, () => {})), /broken/);
});
