import assert from "node:assert/strict";
import type { Certificate } from "../../src/cert/types.ts";
import { anonymous, isUnderDomain, keyIdentity, sameIdentity } from "../../src/identity/principal.ts";
import { type CertificateContext, certificateIdentity } from "../../src/identity/ssh_certificate.ts";

Deno.test("issuer and subject make an identity, and nothing else does", () => {
  const a = { issuer: "https://a", subject: "system:serviceaccount:ns:ksa" };
  assert.equal(sameIdentity(a, { ...a }), true);
  assert.equal(sameIdentity(a, { ...a, issuer: "https://b" }), false);
  assert.equal(sameIdentity(a, { ...a, subject: "system:serviceaccount:ns:other" }), false);
});

Deno.test("a key is known by its fingerprint", () => {
  const key = keyIdentity({ fingerprint: "SHA256:abc", owner: true, comment: "ann@laptop" });
  assert.deepEqual([key.issuer, key.subject, key.name, key.owner], ["key", "SHA256:abc", "SHA256:abc", true]);
  assert.equal(key.credential.keyId, "ann@laptop");
  assert.equal(key.fqdn, undefined);
  assert.equal(sameIdentity(key, anonymous), false);
});

Deno.test("under a domain means whole labels", () => {
  assert.equal(isUnderDomain("a.b.c", "b.c"), true);
  assert.equal(isUnderDomain("b.c", "b.c"), true);
  assert.equal(isUnderDomain("ab.c", "b.c"), false);
});

function certificate(principals: string[], more: Partial<Certificate> = {}): Certificate {
  return {
    principals,
    keyId: "for people",
    serial: 7n,
    validBefore: 1_800_000_000n,
    extensions: new Map([["permit-port-forwarding", new Uint8Array(0)]]),
    ...more,
  } as Certificate;
}

const context: CertificateContext = {
  fingerprint: "SHA256:key",
  authority: "SHA256:ca",
  trustDomain: "prod.mycorp.com",
  trustDomains: ["prod.mycorp.com", "cluster.other"],
};

Deno.test("a certificate's first principal that is no group is its subject", () => {
  const identity = certificateIdentity(certificate(["group:sre", "Ann@MyCorp.com", "root"]), context);
  assert.deepEqual(
    [identity.issuer, identity.subject, identity.name, identity.email],
    ["ssh-ca:SHA256:ca", "Ann@MyCorp.com", "ann@mycorp.com", "ann@mycorp.com"],
  );
  assert.deepEqual(identity.claims, { principals: ["Ann@MyCorp.com", "root"], groups: ["sre"] });
  assert.deepEqual(identity.groups, []);
  assert.equal(identity.owner, false);
  assert.equal(identity.expiresAt, 1_800_000_000_000);
  assert.deepEqual(identity.credential, { fingerprint: "SHA256:key", serial: "7", keyId: "for people" });
});

Deno.test("only an authority of our own vouches for groups of the policy", () => {
  const groups = (ours: boolean) =>
    certificateIdentity(certificate(["ann@mycorp.com", "group:sre"]), { ...context, ours }).groups;
  assert.deepEqual(groups(true), ["sre"]);
  assert.deepEqual(groups(false), []);
});

Deno.test("what a principal under the authority's trust domain means", () => {
  const table: [string, Record<string, string | undefined>][] = [
    ["db@shop.prod.mycorp.com", {
      name: "db@shop.prod.mycorp.com",
      fqdn: "db.shop.svc.prod.mycorp.com",
      trustDomain: "prod.mycorp.com",
      email: undefined,
    }],
    ["web.prod.mycorp.com", {
      name: "web.prod.mycorp.com",
      fqdn: "web.prod.mycorp.com",
      trustDomain: "prod.mycorp.com",
    }],
    ["prod.mycorp.com", { name: "prod.mycorp.com", fqdn: undefined, trustDomain: undefined }],
    ["web.evilprod.mycorp.com", { name: "web.evilprod.mycorp.com", fqdn: undefined }],
    ["*.prod.mycorp.com", { name: "*.prod.mycorp.com", fqdn: undefined }],
    ["deploy", { name: "deploy", fqdn: undefined, email: undefined }],
    ["deploy,root", { name: "deploy,root", fqdn: undefined, email: undefined }],
    ["a@b@mycorp.com", { email: undefined }],
    ["@mycorp.com", { name: "@mycorp.com", email: undefined }],
  ];
  for (const [principal, expected] of table) {
    const identity = certificateIdentity(certificate([principal]), context);
    for (const [key, value] of Object.entries(expected)) {
      assert.equal(identity[key as "name"], value, `${principal}: ${key}`);
    }
  }
});

Deno.test("certificates that name nobody we can accept are refused", () => {
  const table: [string[], string][] = [
    [[], "no-name"],
    [["group:sre"], "no-name"],
    [["ann@prod.mycorp.com"], "malformed-name"],
    [["db@a.b.prod.mycorp.com"], "malformed-name"],
    [["d.b@shop.prod.mycorp.com"], "malformed-name"],
    [["db@shop.cluster.other"], "email-under-trust-domain"],
    [["DB@CLUSTER.other"], "email-under-trust-domain"],
  ];
  for (const [principals, code] of table) {
    assert.throws(() => certificateIdentity(certificate(principals), context), {
      name: "IdentityError",
      code,
    });
  }
});

Deno.test("restrictions of a certificate come along; without permission there is no forwarding", () => {
  const restrictions = { sourceAddresses: ["10.0.0.0/8"], forceCommand: "date" };
  const identity = certificateIdentity(certificate(["ann@mycorp.com"], { extensions: new Map() }), {
    ...context,
    restrictions,
  });
  assert.deepEqual(identity.restrictions, { ...restrictions, portForwarding: false });
});

Deno.test("a certificate for ever has no expiry", () => {
  const identity = certificateIdentity(
    certificate(["ann@mycorp.com"], { validBefore: 2n ** 64n - 1n }),
    context,
  );
  assert.equal("expiresAt" in identity, false);
});
