import assert from "node:assert/strict";
import { X509Error } from "../../src/x509/error.ts";
import { normalizeX509Serial, randomX509Serial } from "../../src/x509/serial.ts";

Deno.test("a serial number has one spelling, however it is printed", () => {
  const cases = [
    ["0A:1B:2C", "0a1b2c"],
    ["A1B", "0a1b"],
    ["00ff", "ff"],
    ["000000ff", "ff"],
    ["1", "01"],
    [" ab ", "ab"],
    ["f".repeat(40), "f".repeat(40)],
  ];
  for (const [text, expected] of cases) assert.equal(normalizeX509Serial(text), expected);
});

Deno.test("what is no serial number is refused", () => {
  for (const text of ["", "0", "00:00", "xyz", "-1", "0x10", "f".repeat(41), "a b"]) {
    assert.throws(() => normalizeX509Serial(text), X509Error, text);
  }
});

Deno.test("random serial numbers are positive, of one length, and never the same", () => {
  const serials = Array.from({ length: 200 }, randomX509Serial);
  assert.equal(new Set(serials).size, serials.length);
  for (const serial of serials) {
    assert.match(serial, /^[4-7][0-9a-f]{31}$/);
    assert.equal(normalizeX509Serial(serial), serial);
  }
});
