import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addressInRange,
  dialRangeCoversAddress,
  isSpecialAddress,
  parseAddressRange,
  parseDialRange,
  parseDuration,
  parseIp,
  parsePortRange,
  sourceInRanges,
} from "../../src/identity/ranges.ts";

Deno.test("durations are read in milliseconds", () => {
  const table: [string, number][] = [
    ["30s", 30_000],
    ["8h", 28_800_000],
    ["1h30m", 5_400_000],
    ["7d", 604_800_000],
    ["250ms", 250],
  ];
  for (const [text, ms] of table) assert.equal(parseDuration(text), ms, text);
  for (const text of ["", "8", "h", "-1h", "1.5h", "0s", "8 h", "8hours", "1h 30m", "９h"]) {
    assert.throws(() => parseDuration(text), TypeError, text);
  }
});

Deno.test("port ranges are read and bounded", () => {
  assert.deepEqual(parsePortRange("22"), { first: 22, last: 22 });
  assert.deepEqual(parsePortRange("1-65535"), { first: 1, last: 65535 });
  for (const text of ["", "0", "65536", "22-", "-22", "80-22", "22,23", " 22", "+22", "0x16", "1e3"]) {
    assert.throws(() => parsePortRange(text), TypeError, text);
  }
});

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
  const inside = (range: string, address: string) =>
    addressInRange(parseAddressRange(range), parseIp(address)!);
  assert.equal(inside("10.0.0.0/8", "10.255.255.255"), true);
  assert.equal(inside("10.0.0.0/8", "11.0.0.0"), false);
  assert.equal(inside("10.0.0.7", "10.0.0.7"), true);
  assert.equal(inside("10.0.0.7", "10.0.0.8"), false);
  assert.equal(inside("fd00::/8", "fdff::1"), true);
  assert.equal(inside("::/0", "10.0.0.1"), false);
  assert.equal(inside("0.0.0.0/0", "::1"), false);
  assert.throws(() => parseAddressRange("10.0.0.1/8"), /did you mean 10\.0\.0\.0\/8/);
  assert.throws(() => parseAddressRange("fd00::1/8"), /did you mean fd00:0:0:0:0:0:0:0\/8/);
  for (
    const text of ["", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10/8", "fd00::/129", "10.0.0.0/8/8", "*"]
  ) {
    assert.throws(() => parseAddressRange(text), TypeError, text);
  }
});

Deno.test("every address lies in its own network of any length, and its neighbour beyond does not", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 1, max: 32 }), (text, prefix) => {
      const address = parseIp(text)!;
      const bits = address.toByteArray().reduce((sum, byte) => sum * 256 + byte, 0);
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

Deno.test("what is not an address is in no source range", () => {
  assert.equal(sourceInRanges([parseAddressRange("0.0.0.0/0")], "somewhere"), false);
  assert.equal(sourceInRanges([], "10.0.0.1"), false);
});

Deno.test("destinations are read in every form", () => {
  const table: [string, string, number, number][] = [
    ["10.0.0.0/8:5432", "10.0.0.0/8", 5432, 5432],
    ["10.0.0.7:8000-8100", "10.0.0.7", 8000, 8100],
    ["[fd00::]/8:443", "fd00::/8", 443, 443],
    ["[fd00::/8]:443", "fd00::/8", 443, 443],
    ["[::1]:22", "::1", 22, 22],
    ["10.0.0.0/8:5432-5440", "10.0.0.0/8", 5432, 5440],
  ];
  for (const [text, host, first, last] of table) {
    const range = parseDialRange(text);
    assert("addresses" in range.host);
    assert.deepEqual([range.host.addresses.text, range.ports], [host, { first, last }], text);
  }
  assert.deepEqual(parseDialRange("DB1.internal:5432", { names: true }).host, { names: "db1.internal" });
  assert.deepEqual(parseDialRange("*:443", { names: true }).host, { names: "*" });
  for (
    const text of [
      "",
      "10.0.0.0/8",
      ":22",
      "10.0.0.1:",
      "10.0.0.1:0",
      "::1:22",
      "[::1]22",
      "db.internal:22",
      "[db]:22",
      "127.1:22",
      "10.0.0.1:22:23",
    ]
  ) {
    assert.throws(() => parseDialRange(text), TypeError, text);
  }
  assert.throws(() => parseDialRange("127.1:22", { names: true }), TypeError);
});

Deno.test("a range covers addresses that lead back only when it consists of such", () => {
  const covers = (range: string, address: string) =>
    dialRangeCoversAddress(parseDialRange(range), parseIp(address)!, 80);
  const special = [
    "127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "224.0.0.1",
    "255.255.255.255",
  ];
  for (const address of special) {
    assert.equal(isSpecialAddress(parseIp(address)!), true, address);
    assert.equal(covers("0.0.0.0/0:1-65535", address) || covers("[::/0]:1-65535", address), false, address);
  }
  assert.equal(covers("127.0.0.0/8:80", "127.0.0.1"), true);
  assert.equal(covers("169.254.169.254:80", "169.254.169.254"), true);
  assert.equal(covers("[::1]:80", "::1"), true);
  assert.equal(covers("0.0.0.0/0:80", "10.0.0.1"), true);
  assert.equal(covers("0.0.0.0/0:81", "10.0.0.1"), false);
  const everything = parseDialRange("0.0.0.0/0:80");
  assert.equal(dialRangeCoversAddress(everything, parseIp("127.0.0.1")!, 80, { special: true }), true);
});
