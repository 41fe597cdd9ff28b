import assert from "node:assert/strict";
import { parseIp } from "../../src/bytes/ip_address.ts";
import { parseAddressRange } from "../../src/bytes/ip_range.ts";
import {
  dialRangeCoversAddress,
  isSpecialAddress,
  parseDialRange,
  parseDuration,
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
    "::127.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd20:ce::254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
  ];
  for (const address of special) {
    assert.equal(isSpecialAddress(parseIp(address)!), true, address);
    assert.equal(covers("0.0.0.0/0:1-65535", address) || covers("[::/0]:1-65535", address), false, address);
  }
  assert.equal(covers("127.0.0.0/8:80", "127.0.0.1"), true);
  assert.equal(covers("169.254.169.254:80", "169.254.169.254"), true);
  assert.equal(covers("[::1]:80", "::1"), true);
  // Wide enough to be meant for others that lie in it.
  assert.equal(covers("168.63.129.0/24:80", "168.63.129.16"), false);
  assert.equal(covers("[64:ff9b::/96]:80", "64:ff9b::169.254.169.254"), false);
  assert.equal(covers("168.63.129.16:80", "168.63.129.16"), true);
  assert.equal(covers("0.0.0.0/0:80", "10.0.0.1"), true);
  assert.equal(covers("0.0.0.0/0:81", "10.0.0.1"), false);
  const everything = parseDialRange("0.0.0.0/0:80");
  assert.equal(dialRangeCoversAddress(everything, parseIp("127.0.0.1")!, 80, { special: true }), true);
});
