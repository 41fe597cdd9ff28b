import assert from "node:assert/strict";
import { type Bytes, encodeText } from "../../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import { MalformedError, Reader } from "../../../src/bytes/reader.ts";
import {
  attributesReply,
  DATA_OFFSET,
  dataReply,
  decodeReply,
  extendedReply,
  handleReply,
  initPacket,
  nameReply,
  readVersion,
  type Reply,
  statusReply,
  versionPacket,
} from "../../../src/ssh/sftp/reply.ts";

function data(text: string): Bytes {
  const buffer = new Uint8Array(100);
  buffer.set(encodeText(text), DATA_OFFSET);
  return dataReply(5, buffer, text.length);
}

const entry = { name: "a", longName: "-a", attributes: { mode: 0o644 } };

/** Packet, what it means, and its bytes with the length. */
const VECTORS: [Bytes, Reply, string][] = [
  [
    statusReply(5, 2, "no"),
    { type: "status", status: 2, message: "no" },
    "00000013 65 00000005 00000002 00000002 6e6f 00000000",
  ],
  [
    handleReply(5, decodeHex("0102")),
    { type: "handle", handle: decodeHex("0102") },
    "0000000b 66 00000005 00000002 0102",
  ],
  [data("hey"), { type: "data", data: encodeText("hey") }, "0000000c 67 00000005 00000003 686579"],
  [
    nameReply(5, [entry]),
    { type: "name", entries: [entry] },
    "0000001c 68 00000005 00000001 0000000161 000000022d61 00000004 000001a4",
  ],
  [attributesReply(5, {}), { type: "attributes", attributes: {} }, "00000009 69 00000005 00000000"],
  [
    extendedReply(5, (writer) => writer.byte(9)),
    { type: "extended", content: decodeHex("09") },
    "00000006 c9 00000005 09",
  ],
];

for (const [packet, reply, hex] of VECTORS) {
  Deno.test(`a ${reply.type} reply has the wire form of the draft, both ways`, () => {
    assert.equal(encodeHex(packet), hex.replaceAll(" ", ""));
    const decoded = decodeReply(packet.slice(4));
    assert.equal(decoded.id, 5);
    assert.deepEqual(decoded.reply, reply);
  });

  Deno.test(`a ${reply.type} reply cut short or with any bit flipped is a reply or malformed`, () => {
    const body = packet.slice(4);
    const variants = Array.from(body, (_, length) => body.subarray(0, length));
    for (let bit = 0; bit < 8 * body.length; bit++) {
      const flipped = body.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      variants.push(flipped);
    }
    for (const variant of variants) {
      try {
        decodeReply(variant);
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }
  });
}

Deno.test("a name reply that claims more names than fit is malformed before anything is allocated", () => {
  assert.throws(() => decodeReply(decodeHex("68 00000005 ffffffff 00000000")), MalformedError);
});

Deno.test("a status without message, as old servers send it, is read", () => {
  assert.deepEqual(decodeReply(decodeHex("65 00000005 00000001")).reply, {
    type: "status",
    status: 1,
    message: "",
  });
});

Deno.test("INIT and VERSION carry the version and the extensions", () => {
  assert.equal(encodeHex(initPacket()), "000000050100000003");
  const packet = versionPacket([["a@b", "1"], ["c", "2"]]);
  const { version, extensions } = readVersion(new Reader(packet.slice(5)));
  assert.equal(version, 3);
  assert.deepEqual([...extensions], [["a@b", "1"], ["c", "2"]]);
});
