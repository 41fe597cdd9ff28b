import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeHex, encodeHex } from "../../../src/bytes/encoding.ts";
import { MalformedError, Reader } from "../../../src/bytes/reader.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import {
  type Attributes,
  fromStat,
  readAttributes,
  toChange,
  writeAttributes,
} from "../../../src/ssh/sftp/attributes.ts";

const VECTORS: [Attributes, string][] = [
  [{}, "00000000"],
  [{ size: 0x1_0000_0002 }, "00000001 0000000100000002"],
  [{ owner: { uid: 1000, gid: 4294967295 } }, "00000002 000003e8 ffffffff"],
  [{ mode: 0o100644 }, "00000004 000081a4"],
  [{ times: { accessed: 1, modified: 2 } }, "00000008 00000001 00000002"],
  [
    { size: 3, owner: { uid: 1, gid: 2 }, mode: 0o40755, times: { accessed: 4, modified: 5 } },
    "0000000f 0000000000000003 00000001 00000002 000041ed 00000004 00000005",
  ],
];

function encode(attributes: Attributes): Uint8Array {
  const writer = new Writer();
  writeAttributes(writer, attributes);
  return writer.finish();
}

Deno.test("attributes have the wire form of the draft", () => {
  for (const [attributes, hex] of VECTORS) {
    assert.equal(encodeHex(encode(attributes)), hex.replaceAll(" ", ""));
    const reader = new Reader(decodeHex(hex));
    assert.deepEqual(readAttributes(reader), attributes);
    reader.end();
  }
});

Deno.test("extended attribute pairs are skipped", () => {
  const reader = new Reader(
    decodeHex("80000004 000001a4 00000002 0000000161 00000000 0000000162 0000000163 99"),
  );
  assert.deepEqual(readAttributes(reader), { mode: 0o644 });
  assert.equal(reader.byte(), 0x99);
});

Deno.test("a count of extended attributes beyond the packet is malformed", () => {
  assert.throws(
    () => readAttributes(new Reader(decodeHex("80000000 ffffffff 00000000 00000000"))),
    MalformedError,
  );
});

Deno.test("attributes come back as they were written", () => {
  const uint32 = fc.integer({ min: 0, max: 0xffffffff });
  const any = fc.record({
    size: fc.maxSafeNat(),
    owner: fc.record({ uid: uint32, gid: uint32 }, { noNullPrototype: true }),
    mode: uint32,
    times: fc.record({ accessed: uint32, modified: uint32 }, { noNullPrototype: true }),
  }, { requiredKeys: [], noNullPrototype: true });
  fc.assert(fc.property(any, (attributes) => {
    assert.deepEqual(readAttributes(new Reader(new Uint8Array(encode(attributes)))), attributes);
  }));
});

Deno.test("times of a file outside 32 bits come as the nearest that fits", () => {
  const stat = { identity: "", size: 0, uid: 0, gid: 0, mode: 0, links: 1 };
  assert.deepEqual(fromStat({ ...stat, accessed: -5.5, modified: 2 ** 33 }).times, {
    accessed: 0,
    modified: 0xffffffff,
  });
});

Deno.test("the type bits of a mode are no change", () => {
  assert.equal(toChange({ mode: 0o104755 }).mode, 0o4755);
});
