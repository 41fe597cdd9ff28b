import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Bytes,
  compare,
  concat,
  decodeText,
  decodeTextStrictly,
  EMPTY,
  encodeText,
  equal,
  equalConstantTime,
  randomBytes,
} from "../../src/bytes/bytes.ts";
import {
  decodeBase64,
  decodeBase64Url,
  decodeHex,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
} from "../../src/bytes/encoding.ts";
import { BufferPool } from "../../src/bytes/pool.ts";

const some = fc.uint8Array({ maxLength: 200 }).map((array) => new Uint8Array(array) as Bytes);

Deno.test("concatenation keeps order and leaves its parts alone", () => {
  const a = new Uint8Array([1]);
  const joined = concat(a, EMPTY, new Uint8Array([2, 3]));
  joined[0] = 9;
  assert.deepEqual([joined, a], [new Uint8Array([9, 2, 3]), new Uint8Array([1])]);
  assert.equal(concat().length, 0);
});

Deno.test("both comparisons agree with each other and with the order of byte strings", () => {
  fc.assert(fc.property(some, some, (a, b) => {
    const same = encodeHex(a) === encodeHex(b);
    assert.deepEqual([equal(a, b), equalConstantTime(a, b), compare(a, b) === 0], [same, same, same]);
    assert.equal(Math.sign(compare(a, b)), -Math.sign(compare(b, a)) || 0);
    assert.ok(equal(a, a.slice()) && equalConstantTime(a, a.slice()));
  }));
  assert.ok(compare(new Uint8Array([1]), new Uint8Array([1, 0])) < 0);
  assert.ok(compare(new Uint8Array([2]), new Uint8Array([1, 255])) > 0);
});

Deno.test("text that is not UTF-8 is replaced, or refused where strictness is asked for", () => {
  assert.equal(decodeText(new Uint8Array([0x61, 0xff])), "a\ufffd");
  assert.throws(() => decodeTextStrictly(new Uint8Array([0xc3])), TypeError);
  // A byte order mark is text like any other: two names must not read the same.
  assert.equal(decodeTextStrictly(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])), "\ufeffa");
  assert.equal(decodeText(encodeText("žluťoučký 🐎")), "žluťoučký 🐎");
});

Deno.test("random bytes are as many as asked for, also beyond the system's limit at once", () => {
  for (const length of [0, 1, 65_536, 65_537, 200_000]) assert.equal(randomBytes(length).length, length);
  assert.ok(randomBytes(70_000).subarray(65_536).some((byte) => byte !== 0));
});

Deno.test("base64 and hexadecimal come back as they went in, and what is neither is refused", () => {
  fc.assert(fc.property(some, (bytes) => {
    assert.deepEqual(decodeBase64(encodeBase64(bytes)), bytes);
    assert.deepEqual(decodeBase64Url(encodeBase64Url(bytes)), bytes);
    assert.deepEqual(decodeHex(encodeHex(bytes)), bytes);
    assert.doesNotMatch(encodeBase64Url(bytes), /[^\w-]/);
  }));
  assert.equal(encodeBase64(randomBytes(100_000)).length, 133_336);
  for (const text of ["a", "====", "ab*d", "a=bc"]) assert.throws(() => decodeBase64(text), TypeError, text);
  for (const text of ["a", "0g", "0x00"]) assert.throws(() => decodeHex(text), TypeError, text);
  assert.deepEqual(decodeHex("0A ff\n"), new Uint8Array([10, 255]));
});

Deno.test("a pool gives its own buffers back, a bounded number of them, and takes no strangers", () => {
  const pool = new BufferPool(64, 2);
  const [a, b, c] = [pool.take(), pool.take(), pool.take()];
  for (const buffer of [a, b, c]) pool.give(buffer);
  pool.give(new Uint8Array(65));
  assert.deepEqual([pool.take(), pool.take()].map((buffer) => buffer === a || buffer === b), [true, true]);
  assert.equal(pool.take() === c, false);
});
