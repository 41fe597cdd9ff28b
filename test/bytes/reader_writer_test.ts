import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, EMPTY, encodeText } from "../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../src/bytes/encoding.ts";
import { MalformedError, Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";

/** RFC 4251 §5: what is written, the bytes of it, and how it is read. */
const table: [(writer: Writer) => Writer, hex: string, (reader: Reader) => unknown, unknown][] = [
  [(w) => w.byte(0x80), "80", (r) => r.byte(), 0x80],
  [(w) => w.boolean(true), "01", (r) => r.boolean(), true],
  [(w) => w.boolean(false), "00", (r) => r.boolean(), false],
  [(w) => w.uint16(0xfffe), "fffe", (r) => r.uint16(), 0xfffe],
  [(w) => w.uint32(0x29b7f4aa), "29b7f4aa", (r) => r.uint32(), 0x29b7f4aa],
  [(w) => w.uint32(0xffffffff), "ffffffff", (r) => r.uint32(), 0xffffffff],
  [(w) => w.uint64(0xffffffff_00000001n), "ffffffff00000001", (r) => r.uint64(), 0xffffffff_00000001n],
  [(w) => w.string("testing"), "0000000774657374696e67", (r) => r.text(), "testing"],
  [(w) => w.string("é"), "00000002c3a9", (r) => r.utf8(), "é"],
  [(w) => w.string(EMPTY), "00000000", (r) => r.string().length, 0],
  [(w) => w.mpint(EMPTY), "00000000", (r) => encodeHex(r.mpint()), ""],
  [(w) => w.mpint(decodeHex("0000")), "00000000", (r) => encodeHex(r.mpint()), ""],
  [
    (w) => w.mpint(decodeHex("09a378f9b2e332a7")),
    "0000000809a378f9b2e332a7",
    (r) => encodeHex(r.mpint()),
    "09a378f9b2e332a7",
  ],
  [(w) => w.mpint(decodeHex("80")), "000000020080", (r) => encodeHex(r.mpint()), "80"],
  [(w) => w.nameList([]), "00000000", (r) => r.nameList(), []],
  [(w) => w.nameList(["zlib"]), "000000047a6c6962", (r) => r.nameList(), ["zlib"]],
  [(w) => w.nameList(["zlib", "none"]), "000000097a6c69622c6e6f6e65", (r) => r.nameList(), ["zlib", "none"]],
];

for (const [write, hex, read, value] of table) {
  Deno.test(`${hex} is written and read as it should be, and every truncation is malformed`, () => {
    const bytes = write(new Writer(1)).finish();
    assert.equal(encodeHex(bytes), hex);
    const reader = new Reader(bytes);
    assert.deepEqual(read(reader), value);
    reader.end();
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => read(new Reader(bytes.slice(0, length))), MalformedError);
    }
  });
}

Deno.test("what RFC 4251 does not allow is malformed", () => {
  const cases: [string, (reader: Reader) => unknown][] = [
    ["00000002edcc", (r) => r.mpint()], // negative
    ["000000020001", (r) => r.mpint()], // a zero too many
    ["0000000100", (r) => r.mpint()],
    ["00000001ff", (r) => r.utf8()],
    ["000000012c", (r) => r.nameList()], // two empty names
    ["00000003612c2c", (r) => r.nameList()],
    ["ffffffff00", (r) => r.string()],
    ["00", (r) => r.end()],
  ];
  for (const [hex, read] of cases) assert.throws(() => read(new Reader(decodeHex(hex))), MalformedError, hex);
});

Deno.test("any value other than zero is true", () => {
  for (let value = 1; value < 256; value++) assert.equal(new Reader(new Uint8Array([value])).boolean(), true);
});

Deno.test("a value that does not fit leaves the reader where it was", () => {
  const reader = new Reader(new Uint8Array([1, 2, 3]));
  reader.byte();
  assert.throws(() => reader.uint32(), MalformedError);
  assert.deepEqual([reader.offset, reader.remaining], [1, 2]);
  assert.deepEqual(reader.rest(), new Uint8Array([2, 3]));
});

Deno.test("views are of the input, also when that is a view itself", () => {
  const outer = new Uint8Array(20);
  outer.set(encodeText("\0\0\0\x02hi"), 7);
  const view = new Reader(outer.subarray(7, 13)).string();
  outer[11] = 0x48;
  assert.deepEqual(view, encodeText("Hi"));
});

Deno.test("a value for which the buffer has to grow is not lost", () => {
  const rows: [write: (writer: Writer) => Writer, written: string][] = [
    [(writer) => writer.byte(0xab), "ab"],
    [(writer) => writer.boolean(true), "01"],
    [(writer) => writer.uint16(0xabcd), "abcd"],
    [(writer) => writer.uint32(0xabcdef01), "abcdef01"],
    [(writer) => writer.uint64(0xabcdef0123456789n), "abcdef0123456789"],
    [(writer) => writer.bytes(new Uint8Array([0xab, 0xcd])), "abcd"],
    [(writer) => writer.string("hi"), "000000026869"],
    [(writer) => writer.mpint(new Uint8Array([0xab])), "0000000200ab"],
    [(writer) => writer.nameList(["a", "b"]), "00000003612c62"],
  ];
  for (const [write, written] of rows) {
    for (let capacity = 1; capacity < 12; capacity++) {
      // As many as fill it, and one that does not fit.
      const writer = new Writer(capacity);
      let expected = "";
      while (expected.length <= 2 * capacity) {
        write(writer);
        expected += written;
      }
      assert.equal(encodeHex(writer.finish()), expected, `${written} in ${capacity}`);
    }
  }
});

Deno.test("sequences of values of any kind come back as they went in", () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => new Uint8Array(array) as Bytes);
  const value = fc.oneof(
    fc.record({ kind: fc.constant("uint32" as const), value: fc.integer({ min: 0, max: 0xffffffff }) }),
    fc.record({ kind: fc.constant("uint64" as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
    fc.record({ kind: fc.constant("string" as const), value: bytes }),
    fc.record({ kind: fc.constant("mpint" as const), value: bytes }),
    fc.record({ kind: fc.constant("utf8" as const), value: fc.string({ unit: "grapheme" }) }),
  );
  const withoutZeros = (magnitude: Bytes) => {
    const start = magnitude.findIndex((byte) => byte !== 0);
    return start < 0 ? EMPTY : magnitude.slice(start);
  };
  fc.assert(
    fc.property(fc.array(value, { maxLength: 12 }), (values) => {
      const writer = new Writer(4);
      for (const one of values) {
        if (one.kind === "uint32") writer.uint32(one.value);
        else if (one.kind === "uint64") writer.uint64(one.value);
        else if (one.kind === "mpint") writer.mpint(one.value);
        else writer.string(one.value);
      }
      const reader = new Reader(writer.finish());
      for (const { kind, value } of values) {
        const expected = kind === "mpint" ? withoutZeros(value) : value;
        assert.deepEqual(kind === "string" ? reader.string().slice() : sliced(reader[kind]()), expected);
      }
      reader.end();
    }),
    { numRuns: 100 },
  );
  function sliced(value: unknown) {
    return value instanceof Uint8Array ? value.slice() : value;
  }
});
