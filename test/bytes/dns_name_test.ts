import assert from "node:assert/strict";
import { isDnsLabel, isDnsName, toAsciiName } from "../../src/bytes/dns_name.ts";

Deno.test("a label is letters, digits and hyphens inside, at most 63", () => {
  for (const label of ["a", "7", "a-1", "xn--a", "a".repeat(63)]) assert.ok(isDnsLabel(label), label);
  for (const text of ["", "-a", "a-", "A", "a.b", "a_b", "*", "ü", "a\n", "a".repeat(64)]) {
    assert.ok(!isDnsLabel(text), JSON.stringify(text));
  }
});

Deno.test("a host name has one spelling, and none that reads as an address", () => {
  const longest = Array(32).fill("abcdefg").join(".").slice(0, 253);
  for (const name of ["localhost", "web.example.com", "1and1.com", "4.example", longest]) {
    assert.ok(isDnsName(name), name);
  }
  const others = [
    "",
    ".",
    "a..b",
    "a.",
    "Web.example",
    "*.example",
    `${longest}a`,
    "10.0.0.1",
    "127.1",
    "a.1",
  ];
  for (const text of [...others, "0x7f.1", "a.0x7f", "a.0x", "2130706433"]) assert.ok(!isDnsName(text), text);
});

Deno.test("names in other letters have an ASCII spelling, or none", () => {
  const table: [string, string | undefined][] = [
    ["Web.Example", "Web.Example"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["XN--BCHER-KVA.example", "xn--bcher-kva.example"],
    ["ｗｅｂ。example", "web.example"],
    ["xn--a", undefined],
    ["bü/cher", undefined],
    ["bü@cher", undefined],
    ["bü:22", undefined],
    ["bü%41", undefined],
    ["b\u00adücher", undefined],
    ["a\u200bb", undefined],
    ["a\u2066b", undefined],
    ["a\u2028b", undefined],
    ["a\u{e0061}b", undefined],
  ];
  for (const [text, ascii] of table) assert.equal(toAsciiName(text), ascii, JSON.stringify(text));
});
