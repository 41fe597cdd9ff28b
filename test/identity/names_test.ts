import assert from "node:assert/strict";
import fc from "fast-check";
import { isDnsName } from "../../src/bytes/dns_name.ts";
import { meaningOf, normalizeDomain, workloadName } from "../../src/identity/names.ts";
import { normalizeName } from "../../src/routing/names.ts";

const domains: readonly [written: string, normal: string | undefined][] = [
  ["MyCorp.COM.", "mycorp.com"],
  ["localhost", "localhost"],
  ["bücher.example", "xn--bcher-kva.example"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["xn--a.example", undefined],
  ["", undefined],
  [".", undefined],
  ["a..b", undefined],
  ["-a.b", undefined],
  ["a_b.c", undefined],
  ["a b", undefined],
  ["a,b", undefined],
  ["*.mycorp.com", undefined],
  ["10.0.0.1", undefined],
  ["127.1", undefined],
  ["mycorp.0x7f", undefined],
  ["mycorp.com:443", undefined],
  ["ann@mycorp.com", undefined],
  ["my\u200bcorp.com", undefined],
  ["ｍycorp.com/x", undefined],
  [`${"a".repeat(64)}.com`, undefined],
  [Array(128).fill("ab").join("."), undefined],
];

for (const [written, normal] of domains) {
  Deno.test(`the domain ${JSON.stringify(written.slice(0, 40))} is ${normal ?? "none"}`, () => {
    assert.equal(normalizeDomain(written), normal);
  });
}

Deno.test("a normalised domain stays as it is, and names of nodes are spelt the same", () => {
  fc.assert(fc.property(fc.oneof(fc.domain(), fc.string(), fc.string({ unit: "grapheme" })), (text) => {
    const normal = normalizeDomain(text);
    if (normal === undefined) return;
    assert.equal(normalizeDomain(normal), normal);
    assert.equal(normalizeName(text), normal);
    assert.ok(isDnsName(normal));
  }));
});

Deno.test("what a principal means depends on whose it is", () => {
  const own = { trustDomain: "td.example", trustDomains: ["td.example", "other.example"] };
  assert.deepEqual(meaningOf("web@shop.TD.example", own), workloadName("web", "shop", "td.example", ""));
  assert.deepEqual(meaningOf("vm-1.td.example", own).fqdn, "vm-1.td.example");
  assert.deepEqual(meaningOf("vm-1.td.example", {}), { name: "vm-1.td.example" });
  assert.deepEqual(meaningOf("Ann@mycorp.com", own), { name: "ann@mycorp.com", email: "ann@mycorp.com" });
  assert.throws(() => meaningOf("web@shop.other.example", own), { code: "email-under-trust-domain" });
  assert.throws(() => meaningOf("web@a.b.td.example", own), { code: "malformed-name" });
});
