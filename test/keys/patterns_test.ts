import assert from "node:assert/strict";
import { inBlock, matchesSourceAddress, matchFrom } from "../../src/keys/addresses.ts";
import { matchesPattern, matchPatternList } from "../../src/keys/patterns.ts";

Deno.test("stars stand for any characters, question marks for one", () => {
  const table: [text: string, pattern: string, matches: boolean][] = [
    ["host", "host", true],
    ["host", "hos", false],
    ["host", "hosts", false],
    ["host", "*", true],
    ["", "*", true],
    ["", "", true],
    ["", "?", false],
    ["host", "h?st", true],
    ["host", "h*t", true],
    ["host", "*st", true],
    ["host", "h*x", false],
    ["web.example.com", "*.example.com", true],
    ["example.com", "*.example.com", false],
    ["a.b.example.com", "*.example.com", true],
    ["aXbXc", "*X*X*", true],
    ["ab", "***a***b***", true],
    ["a.b", "a?b", true],
    ["axb", "a.b", false],
  ];
  for (const [text, pattern, matches] of table) {
    assert.equal(matchesPattern(text, pattern), matches, `${text} ~ ${pattern}`);
  }
});

Deno.test("a pattern of many stars ends in time", () => {
  assert.equal(matchesPattern("a".repeat(2000), "*a".repeat(200) + "b"), false);
});

Deno.test("a negated pattern beats all others and grants nothing by itself", () => {
  assert.equal(matchPatternList("web.example.com", "*.example.com"), "match");
  assert.equal(matchPatternList("bad.example.com", "*.example.com,!bad.example.com"), "negated");
  assert.equal(matchPatternList("bad.example.com", "!bad.example.com,*.example.com"), "negated");
  assert.equal(matchPatternList("web.example.com", "!bad.example.com"), "none");
  assert.equal(matchPatternList("", ""), "none");
  assert.equal(matchPatternList("Web", "web"), "none");
});

Deno.test("addresses are found in blocks, in one spelling each", () => {
  const table: [address: string, block: string, inside: boolean][] = [
    ["10.1.2.3", "10.0.0.0/8", true],
    ["11.1.2.3", "10.0.0.0/8", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3", "0.0.0.0/0", true],
    ["::ffff:10.1.2.3", "10.0.0.0/8", true],
    ["2001:db8::1", "2001:db8::/32", true],
    ["2001:DB8:0:0::1", "2001:db8::1", true],
    ["fe80::1%eth0", "fe80::/10", true],
    ["2001:db8::1", "0.0.0.0/0", false],
    ["10.1.2.3", "::/0", false],
    // Blocks that are not what they seem.
    ["10.1.2.3", "10.1.2.3/8", false],
    ["10.1.2.3", "10.0.0.0/33", false],
    ["10.1.2.3", "10.0.0.0/", false],
    ["10.1.2.3", "10.0.0.0/8/8", false],
    ["10.1.2.3", "10.0.0.0/-1", false],
    ["10.0.0.1", "10.1", false],
    ["8.0.0.1", "010.0.0.1", false],
    ["127.0.0.1", "0x7f000001", false],
    ["not an address", "0.0.0.0/0", false],
    ["", "::/0", false],
  ];
  for (const [address, block, inside] of table) {
    assert.equal(inBlock(address, block), inside, `${address} in ${block}`);
  }
});

Deno.test("source-address is a list of addresses and blocks; anything else lets nobody in", () => {
  assert.equal(matchesSourceAddress("10.1.2.3", "192.0.2.0/24,10.0.0.0/8"), true);
  assert.equal(matchesSourceAddress("10.1.2.3", "192.0.2.0/24"), false);
  for (
    const list of ["", "10.0.0.0/8,", "10.0.0.0/8,*", "*", "!192.0.2.1,10.0.0.0/8", "10.0.0.0/8 ", "host"]
  ) {
    assert.equal(matchesSourceAddress("10.1.2.3", list), false, list);
  }
  assert.equal(matchesSourceAddress(undefined, "0.0.0.0/0"), false);
});

Deno.test("from= takes patterns of addresses and names, blocks and negation", () => {
  const peer = { address: "10.1.2.3", host: "Web.example.com" };
  const table: [list: string, verdict: string][] = [
    ["10.1.2.3", "match"],
    ["10.1.*", "match"],
    ["10.1.2.?", "match"],
    ["10.0.0.0/8", "match"],
    ["*.example.com", "match"],
    ["*.EXAMPLE.com,!10.0.0.0/8", "negated"],
    ["!web.example.com,*", "negated"],
    ["!192.0.2.1,*", "match"],
    ["192.0.2.0/24", "none"],
    ["", "none"],
    ["!10.0.0.0/33,*", "negated"],
    ["10.1.2.3/8,*", "negated"],
  ];
  for (const [list, verdict] of table) assert.equal(matchFrom(peer, list), verdict, list);
  assert.equal(matchFrom({ address: "10.1.2.3" }, "web.example.com"), "none");
  assert.equal(matchFrom({}, "*"), "none");
  assert.equal(matchFrom({ address: "::ffff:10.1.2.3" }, "10.1.*"), "match");
  assert.equal(matchFrom({ address: "2001:DB8::1" }, "2001:db8:*"), "match");
});
