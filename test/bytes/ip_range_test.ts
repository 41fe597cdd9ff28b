import assert from "node:assert/strict";
import fc from "fast-check";
import { parseIp } from "../../src/bytes/ip_address.ts";
import { addressInRange, parseAddressRange } from "../../src/bytes/ip_range.ts";

const inside = (range: string, address: string) =>
  addressInRange(parseAddressRange(range), parseIp(address)!);

Deno.test("only plain notations are IP addresses, and mapped ones become IPv4", () => {
  assert.equal(parseIp("10.1.2.3")?.toString(), "10.1.2.3");
  assert.equal(parseIp("::ffff:10.1.2.3")?.toString(), "10.1.2.3");
  assert.equal(parseIp("FD00::1")?.toString(), "fd00::1");
  for (
    const text of [
      "127.1",
      "0x7f.0.0.1",
      "2130706433",
      "0177.0.0.1",
      "fe80::1%eth0",
      "[::1]",
      "",
      "a.b",
      "1.2.3.4.5",
      "1.2.3.256",
    ]
  ) {
    assert.equal(parseIp(text), undefined, text);
  }
});

Deno.test("address ranges are exact, and a slip in the host bits is named", () => {
  assert.equal(inside("10.0.0.0/8", "10.255.255.255"), true);
  assert.equal(inside("10.0.0.0/8", "11.0.0.0"), false);
  assert.equal(inside("10.0.0.7", "10.0.0.7"), true);
  assert.equal(inside("10.0.0.7", "10.0.0.8"), false);
  assert.equal(inside("fd00::/8", "fdff::1"), true);
  assert.equal(inside("::/0", "10.0.0.1"), false);
  assert.equal(inside("0.0.0.0/0", "::1"), false);
  assert.throws(() => parseAddressRange("10.0.0.1/8"), /did you mean 10\.0\.0\.0\/8/);
  assert.throws(() => parseAddressRange("fd00::1/8"), /did you mean fd00::\/8/);
  for (
    const text of ["", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10/8", "fd00::/129", "10.0.0.0/8/8", "*"]
  ) {
    assert.throws(() => parseAddressRange(text), TypeError, text);
  }
});

Deno.test("a range of mapped addresses is refused: its prefix is not what it seems", () => {
  assert.equal(inside("::ffff:10.0.0.7", "10.0.0.7"), true);
  for (const text of ["::ffff:10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:0.0.0.0/0"]) {
    assert.throws(() => parseAddressRange(text), /with its own prefix length/, text);
  }
});

Deno.test("every address lies in its own network of any length, and its neighbour beyond does not", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 1, max: 32 }), (text, prefix) => {
      const address = parseIp(text)!;
      const bits = address.bytes.reduce((sum, byte) => sum * 256 + byte, 0);
      const step = 2 ** (32 - prefix);
      const write = (value: number) =>
        [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
      const network = Math.floor(bits / step) * step;
      const range = parseAddressRange(`${write(network)}/${prefix}`);
      assert(addressInRange(range, address));
      if (network + step < 2 ** 32) assert(!addressInRange(range, parseIp(write(network + step))!));
    }),
    { numRuns: 200 },
  );
});
