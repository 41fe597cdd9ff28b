import assert from "node:assert/strict";
import fc from "fast-check";
import { EMPTY } from "../../src/bytes/bytes.ts";
import { decodeHex, encodeHex } from "../../src/bytes/encoding.ts";
import { MalformedError } from "../../src/bytes/reader.ts";
import {
  boolean,
  codec,
  counted,
  nameList,
  rest,
  sequence,
  string,
  struct,
  text,
  uint32,
  utf8,
} from "../../src/bytes/struct.ts";

const inner = struct({ text, echo: boolean });
const everything = codec(struct({
  flag: boolean,
  number: uint32,
  blob: string,
  name: utf8,
  names: nameList,
  prompts: counted(inner),
  rest,
}));

Deno.test("fields stand in the order of their table", () => {
  const value = {
    flag: true,
    number: 258,
    blob: decodeHex("ff"),
    name: "é",
    names: ["a", "b"],
    prompts: [{ text: "?", echo: false }],
    rest: decodeHex("0102"),
  };
  const hex = "01 00000102 00000001ff 00000002c3a9 00000003612c62 00000001 000000013f 00 0102";
  assert.equal(encodeHex(everything.encode(value)), hex.replaceAll(" ", ""));
  assert.deepEqual(everything.decode(decodeHex(hex)), value);
});

Deno.test("what is written is read again", () => {
  const plain = { noNullPrototype: true };
  const value = fc.record({
    flag: fc.boolean(),
    number: fc.nat(),
    blob: fc.uint8Array().map((bytes) => new Uint8Array(bytes)),
    name: fc.string({ unit: "grapheme" }),
    names: fc.array(fc.constantFrom("a", "ssh-ed25519", "none")),
    prompts: fc.array(fc.record({ text: fc.string(), echo: fc.boolean() }, plain), { maxLength: 5 }),
    rest: fc.uint8Array().map((bytes) => new Uint8Array(bytes)),
  }, plain);
  fc.assert(
    fc.property(value, (given) => {
      assert.deepEqual(everything.decode(everything.encode(given).slice()), given);
    }),
    { numRuns: 100 },
  );
});

Deno.test("every cut, and a byte too many, is malformed", () => {
  const { encode, decode } = codec(struct({ blob: string, items: counted(uint32), last: utf8 }));
  const whole = encode({ blob: decodeHex("01"), items: [1, 2], last: "x" }).slice();
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decode(whole.slice(0, length)), MalformedError, `${length} bytes`);
  }
  assert.throws(() => decode(decodeHex(encodeHex(whole) + "00")), MalformedError);
});

Deno.test("a sequence ends with the bytes, and has a bound", () => {
  const { encode, decode } = codec(sequence(utf8, 2));
  assert.deepEqual(decode(encode([])), []);
  assert.deepEqual(decode(encode(["a", "b"])), ["a", "b"]);
  assert.throws(() => decode(encode(["a", "b", "c"])), MalformedError);
  assert.throws(() => decode(decodeHex("00000001")), MalformedError);
});

Deno.test("a false count ends with the bytes, not with the memory", () => {
  assert.throws(() => codec(counted(text)).decode(decodeHex("ffffffff")), MalformedError);
  assert.deepEqual(codec(counted(text)).decode(decodeHex("00000000")), []);
  assert.deepEqual(codec(struct({})).decode(EMPTY), {});
});
