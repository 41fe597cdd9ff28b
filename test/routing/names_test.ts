import assert from "node:assert/strict";
import fc from "fast-check";
import {
  fullName,
  ipAddress,
  isLoopbackOrAny,
  NameError,
  normalizeName,
  shortName,
} from "../../src/routing/names.ts";

Deno.test("a name has one spelling", () => {
  const table: [string, string][] = [
    ["web", "web"],
    ["Web.Example.COM.", "web.example.com"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["BÜCHER.example", "xn--bcher-kva.example"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["XN--BCHER-KVA.example", "xn--bcher-kva.example"],
    ["a。b", "a.b"],
    ["ｗｅｂ.example", "web.example"],
    ["1and1.com", "1and1.com"],
    ["4.example", "4.example"],
    ["a".repeat(63), "a".repeat(63)],
  ];
  for (const [text, name] of table) assert.equal(normalizeName(text), name, text);
});

Deno.test("what is no host name is refused with a sentence", () => {
  const table = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a..",
    "-a",
    "a-",
    "a_b",
    "a b",
    "a\tb",
    "a\n",
    "a/b",
    "a?b",
    "a#b",
    "a@b",
    "a:22",
    "a%41",
    "[::1]",
    "*",
    "*.a",
    "a\u0000b",
    "a\u200bb.example",
    "a\u202eb.example",
    "bü/cher",
    "bü@cher",
    "bü:22",
    "bü%41",
    "xn--a",
    "xn--",
    "a".repeat(64),
    "a.".repeat(127) + "bc",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "1.2.3",
    "a.1",
    "１２７.0.0.1",
    "０x7f.1",
    "ü".repeat(2000),
  ];
  for (const text of table) assert.throws(() => normalizeName(text), NameError, JSON.stringify(text));
});

Deno.test("normalising is done once: a second time changes nothing, and the result is plain ASCII", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.domain(), fc.string({ unit: "grapheme", maxLength: 20 }), fc.string({ maxLength: 20 })),
      (text) => {
        let name: string;
        try {
          name = normalizeName(text);
        } catch {
          return;
        }
        assert.match(name, /^[a-z0-9.-]{1,253}$/);
        assert.equal(normalizeName(name), name);
        assert.equal(ipAddress(name), undefined);
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("a short name is an alias under the domain", () => {
  assert.equal(fullName("web", "mesh.example"), "web.mesh.example");
  assert.equal(fullName("web.other", "mesh.example"), "web.other");
  assert.equal(fullName("web", "localhost"), "web.localhost");
  assert.equal(fullName("localhost", "localhost"), "localhost");
  assert.equal(shortName("web.mesh.example", "mesh.example"), "web");
  assert.equal(shortName("a.web.mesh.example", "mesh.example"), undefined);
  assert.equal(shortName("mesh.example", "mesh.example"), undefined);
  assert.equal(shortName("webmesh.example", "mesh.example"), undefined);
});

Deno.test("addresses are recognised in plain notation only", () => {
  const table: [string, string | undefined][] = [
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "::1"],
    ["[::1]", "::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["127.1", undefined],
    ["[127.0.0.1]", undefined],
    ["fe80::1%eth0", undefined],
    ["web", undefined],
  ];
  for (const [text, address] of table) assert.equal(ipAddress(text), address, text);
  assert.deepEqual(["127.9.9.9", "::1", "0.0.0.0", "::"].map(isLoopbackOrAny), [true, true, true, true]);
  assert.deepEqual(["10.0.0.1", "fd00::1", "0.0.0.1"].map(isLoopbackOrAny), [false, false, false]);
});
