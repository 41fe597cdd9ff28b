import assert from "node:assert/strict";
import { decodeHex, encodeHex } from "../../src/bytes/encoding.ts";
import { MalformedError } from "../../src/bytes/reader.ts";
import {
  decodeAllowDial,
  decodeInstance,
  decodeRefused,
  decodeUserCas,
  encodeAllowDial,
  encodeInstance,
  encodeRefused,
} from "../../src/mesh/requests.ts";

Deno.test("each request has one form on the wire", () => {
  assert.equal(encodeHex(encodeInstance("a1")), "000000026131");
  assert.equal(encodeHex(encodeAllowDial(["a", "bc"])), "0000000161" + "000000026263");
  const refused = encodeRefused({ host: "web", port: 22 }, "no");
  assert.equal(encodeHex(refused), "00000003776562" + "00000016" + "000000026e6f");
});

Deno.test("what one end writes the other reads", () => {
  assert.equal(decodeInstance(encodeInstance("5f0c")), "5f0c");
  assert.deepEqual(decodeAllowDial(encodeAllowDial(["10.0.0.0/8:5432"])), ["10.0.0.0/8:5432"]);
  assert.deepEqual(decodeAllowDial(encodeAllowDial([])), []);
  assert.deepEqual(decodeUserCas(decodeHex("00000001aa00000000")).map(encodeHex), ["aa", ""]);
  assert.deepEqual(decodeRefused(encodeRefused({ host: "web", port: 22 }, "taken")), {
    asked: { host: "web", port: 22 },
    sentence: "taken",
  });
});

Deno.test("a sentence of the gateway cannot write on a terminal", () => {
  const { sentence } = decodeRefused(encodeRefused({ host: "", port: 0 }, "no\x1b[2J\nok"));
  assert.equal(sentence, "no\\u{1b}[2J\\u{a}ok");
});

Deno.test("instance ids are bounded, and so are lists", () => {
  for (const id of ["", "x".repeat(129)]) {
    assert.throws(() => decodeInstance(encodeInstance(id)), MalformedError, `${id.length} characters`);
  }
  const ranges = new Array(257).fill("10.0.0.0/8:22");
  assert.throws(() => decodeAllowDial(encodeAllowDial(ranges)), MalformedError);
  assert.throws(() => decodeUserCas(new Uint8Array(4 * 65)), MalformedError);
});

Deno.test("every cut, and a byte too many, is malformed", () => {
  const whole = encodeRefused({ host: "web", port: 22 }, "taken").slice();
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decodeRefused(whole.slice(0, length)), MalformedError, `${length} bytes`);
  }
  assert.throws(() => decodeRefused(new Uint8Array([...whole, 0])), MalformedError);
  assert.throws(() => decodeInstance(decodeHex("00000002613100")), MalformedError);
});
