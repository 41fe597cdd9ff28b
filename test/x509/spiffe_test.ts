import assert from "node:assert/strict";
import fc from "fast-check";
import { X509Error } from "../../src/x509/error.ts";
import { formatSpiffeId, parseSpiffeId, serviceAccountId, serviceAccountOf } from "../../src/x509/spiffe.ts";

Deno.test("SPIFFE IDs are read", () => {
  const cases = [
    ["spiffe://prod.example/ns/shop/sa/web", "prod.example", ["ns", "shop", "sa", "web"]],
    ["spiffe://staging_1.example/9eebccd2-12bf", "staging_1.example", ["9eebccd2-12bf"]],
    ["spiffe://td/A.b_c-D", "td", ["A.b_c-D"]],
    ["spiffe://td/...", "td", ["..."]],
    ["spiffe://td", "td", []],
  ] as const;
  for (const [text, trustDomain, path] of cases) {
    assert.deepEqual(parseSpiffeId(text), { trustDomain, path: [...path] });
    assert.equal(formatSpiffeId({ trustDomain, path }), text);
  }
});

Deno.test("what is no SPIFFE ID is refused", async (t) => {
  const cases = [
    "",
    "https://td/x",
    "SPIFFE://td/x",
    "spiffe:/td/x",
    "spiffe:///x",
    "spiffe://TD/x",
    "spiffe://td:80/x",
    "spiffe://ann@td/x",
    "spiffe://td/x?y",
    "spiffe://td/x#y",
    "spiffe://td/",
    "spiffe://td/x/",
    "spiffe://td//x",
    "spiffe://td/./x",
    "spiffe://td/../x",
    "spiffe://td/x%2fy",
    "spiffe://td/ü",
    "spiffe://tü/x",
    "spiffe://td/x y",
    "spiffe://td/x\n",
    "spiffe://td/x\u0000",
    ` spiffe://td/x`,
    `spiffe://${"a".repeat(256)}/x`,
    `spiffe://td/${"a".repeat(2048)}`,
  ];
  for (const text of cases) {
    await t.step(JSON.stringify(text.slice(0, 40)), () => {
      assert.throws(
        () => parseSpiffeId(text),
        (error) => error instanceof X509Error && error.code === "name",
      );
    });
  }
});

Deno.test("any segments that are allowed survive the round trip", () => {
  const part = (letters: string) =>
    fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 20 });
  const segment = part("abcXYZ019-_.").filter((text) => text !== "." && text !== "..");
  fc.assert(
    fc.property(part("abcz019-_."), fc.array(segment, { maxLength: 5 }), (trustDomain, path) => {
      assert.deepEqual(parseSpiffeId(formatSpiffeId({ trustDomain, path })), { trustDomain, path });
    }),
    { numRuns: 200 },
  );
});

Deno.test("service accounts are named as Istio names them", () => {
  const id = serviceAccountId("prod.example", { namespace: "shop", account: "web" });
  assert.equal(id, "spiffe://prod.example/ns/shop/sa/web");
  assert.deepEqual(serviceAccountOf(parseSpiffeId(id)), { namespace: "shop", account: "web" });
  for (
    const other of ["spiffe://td/ns/shop/sa", "spiffe://td/ns/shop/sa/web/x", "spiffe://td/sa/web/ns/shop"]
  ) {
    assert.equal(serviceAccountOf(parseSpiffeId(other)), undefined);
  }
  // A slash in a name would be another path.
  assert.throws(() => serviceAccountId("td", { namespace: "a/b", account: "web" }), X509Error);
});
