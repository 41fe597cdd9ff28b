import assert from "node:assert/strict";
import { type Identity, IdentityError } from "../../src/identity/principal.ts";
import { type TrustedX509Root, trustedX509Roots, x509Identity } from "../../src/identity/x509.ts";
import { X509Error } from "../../src/x509/error.ts";
import {
  AuthorityKeyIdentifierExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "../../src/x509/library.ts";
import { HOUR, node, person, type TestAuthority, testAuthority, workload } from "../support/authority.ts";
import { derOf } from "../support/openssl.ts";

const NOW = Date.parse("2026-08-01T12:00:00Z");
const PROD = "prod.example";

type Rights = Parameters<typeof trustedX509Roots>[1];

async function identityOf(
  authority: TestAuthority,
  names: JsonGeneralNames,
  rights: Rights = { trustDomains: [PROD] },
  trustDomains: readonly string[] = ["mesh.example"],
): Promise<Identity> {
  const roots = trustedX509Roots(authority.certificate, rights);
  return await x509Identity([await leafWith(authority, names)], { now: NOW, roots, trustDomains });
}

/** A client's certificate with any names, as somebody else's authority would sign it. */
async function leafWith({ root }: TestAuthority, names: JsonGeneralNames) {
  const keys = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign"]) as CryptoKeyPair;
  const certificate = await X509CertificateGenerator.create({
    subject: "CN=root@evil.example",
    issuer: root.chain[0].subjectName,
    notBefore: new Date(NOW - HOUR),
    notAfter: new Date(NOW + HOUR),
    publicKey: keys.publicKey,
    signingKey: root.privateKey,
    extensions: [
      new SubjectAlternativeNameExtension(names),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      await AuthorityKeyIdentifierExtension.create(root.chain[0]),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

const uri = (value: string) => ({ type: "url", value }) as const;
const email = (value: string) => ({ type: "email", value }) as const;
const dns = (value: string) => ({ type: "dns", value }) as const;

Deno.test("names of certificates become identities", async (t) => {
  const authority = await testAuthority({ now: NOW, trustDomain: PROD });
  const cases: [string, JsonGeneralNames, Partial<Identity>][] = [
    ["a service account", [uri("spiffe://prod.example/ns/shop/sa/web"), dns("anything.example")], {
      issuer: PROD,
      subject: "spiffe://prod.example/ns/shop/sa/web",
      name: "web@shop.prod.example",
      fqdn: "web.shop.svc.prod.example",
      trustDomain: PROD,
    }],
    ["another SPIFFE ID", [uri("spiffe://prod.example/batch/7")], {
      issuer: PROD,
      subject: "spiffe://prod.example/batch/7",
      name: "spiffe://prod.example/batch/7",
      trustDomain: PROD,
    }],
    ["a person", [email("Ann@MyCorp.com")], {
      issuer: PROD,
      subject: "ann@mycorp.com",
      name: "ann@mycorp.com",
      email: "ann@mycorp.com",
    }],
    ["a machine", [dns("Web.MyCorp.com")], {
      issuer: PROD,
      subject: "web.mycorp.com",
      name: "web.mycorp.com",
      fqdn: "web.mycorp.com",
    }],
    ["a machine of the trust domain", [dns("web.prod.example")], {
      issuer: PROD,
      subject: "web.prod.example",
      name: "web.prod.example",
      fqdn: "web.prod.example",
      trustDomain: PROD,
    }],
    ["a person who also serves names", [email("ann@mycorp.com"), dns("web.mycorp.com")], {
      issuer: PROD,
      subject: "ann@mycorp.com",
      name: "ann@mycorp.com",
      email: "ann@mycorp.com",
    }],
  ];
  for (const [what, names, expected] of cases) {
    await t.step(what, async () => {
      const { claims: _, credential, ...identity } = await identityOf(authority, names);
      assert.deepEqual(identity, {
        kind: "x509",
        ...expected,
        groups: [],
        owner: false,
        expiresAt: NOW + HOUR,
        restrictions: {},
      });
      assert.match(credential.serial!, /^[0-9a-f]+$/);
      assert.match(credential.fingerprint!, /^SHA256:[A-Za-z0-9+/]{43}$/);
    });
  }
});

Deno.test("a root without a trust domain is an issuer by its key", async () => {
  const authority = await testAuthority({ now: NOW });
  const ann = await identityOf(authority, [email("ann@mycorp.com")], {});
  assert.match(ann.issuer, /^x509:SHA256:[A-Za-z0-9+/]{43}$/);
  const other = await identityOf(await testAuthority({ now: NOW }), [email("ann@mycorp.com")], {});
  assert.notEqual(ann.issuer, other.issuer);
});

Deno.test("names that a root may not give are refused", async (t) => {
  const authority = await testAuthority({ now: NOW });
  const cases: [string, JsonGeneralNames, Rights, IdentityError["code"]][] = [
    [
      "a workload of another trust domain",
      [uri("spiffe://test.example/ns/a/sa/b")],
      undefined,
      "malformed-name",
    ],
    [
      "a workload, of a root without trust domain",
      [uri("spiffe://prod.example/ns/a/sa/b")],
      {},
      "malformed-name",
    ],
    [
      "an e-mail address under its trust domain",
      [email("web@shop.prod.example")],
      undefined,
      "email-under-trust-domain",
    ],
    [
      "an e-mail address under another's",
      [email("web@shop.mesh.example")],
      undefined,
      "email-under-trust-domain",
    ],
    [
      "an e-mail address in capitals under another's",
      [email("web@shop.MESH.example")],
      {},
      "email-under-trust-domain",
    ],
    ["a DNS name under another's", [dns("web.mesh.example")], undefined, "malformed-name"],
    ["a wildcard", [dns("*.mycorp.com")], undefined, "malformed-name"],
    ["two e-mail addresses", [email("a@mycorp.com"), email("b@mycorp.com")], undefined, "malformed-name"],
    [
      "two SPIFFE IDs",
      [uri("spiffe://prod.example/ns/a/sa/b"), uri("spiffe://prod.example/ns/a/sa/c")],
      undefined,
      "malformed-name",
    ],
    [
      "a URI beside the SPIFFE ID",
      [uri("https://x"), uri("spiffe://prod.example/a")],
      undefined,
      "malformed-name",
    ],
    ["the trust domain itself", [uri("spiffe://prod.example")], undefined, "no-name"],
    [
      "a service account that is no label",
      [uri("spiffe://prod.example/ns/a/sa/B_c")],
      undefined,
      "malformed-name",
    ],
    [
      "an e-mail address where only machines are named",
      [email("ann@mycorp.com")],
      { names: ["dns"] },
      "no-name",
    ],
    ["a DNS name where only people are named", [dns("web.mycorp.com")], { names: ["email"] }, "no-name"],
    ["nothing but another URI", [uri("https://mycorp.com/ann")], undefined, "no-name"],
    ["nothing but an IP address", [{ type: "ip", value: "10.0.0.1" }], undefined, "no-name"],
    ["nothing but a subject", [], undefined, "no-name"],
  ];
  for (const [what, names, rights, code] of cases) {
    await t.step(what, async () => {
      const identity = identityOf(authority, names, rights);
      await assert.rejects(identity, (error) => error instanceof IdentityError && error.code === code);
    });
  }
  for (const bad of ["spiffe://PROD.example/x", "SPIFFE://prod.example/x", "spiffe://prod.example/x/"]) {
    await t.step(`the malformed ${bad}`, async () => {
      await assert.rejects(identityOf(authority, [uri(bad)]), X509Error);
    });
  }
});

Deno.test("what our own authority issues comes back as who it was issued to", async (t) => {
  const authority = await testAuthority({ now: NOW });
  const roots = trustedX509Roots(authority.certificate, { trustDomains: ["mesh.example", PROD] });
  const back = async (what: Parameters<TestAuthority["issue"]>[0]) => {
    const issued = await authority.issue({ trustDomains: ["mesh.example", PROD], now: NOW, ...what });
    const certificates = [derOf(issued.certificate), derOf(authority.certificate)];
    const identity = await x509Identity(certificates, {
      now: NOW,
      roots,
      trustDomains: ["mesh.example", PROD],
    });
    assert.equal(identity.credential.serial, issued.serial);
    return identity;
  };
  const cases = [workload("web", "shop", PROD), person("ann@mycorp.com"), node("web.mesh.example")];
  for (const identity of cases) {
    await t.step(identity.name, async () => {
      const { name, fqdn, email, expiresAt } = await back({ identity });
      assert.deepEqual({ name, fqdn, email }, {
        name: identity.name,
        fqdn: identity.fqdn,
        email: identity.email,
      });
      assert.equal(expiresAt, NOW + HOUR);
    });
  }
});

Deno.test("two roots of one trust domain during rotation are one issuer", async () => {
  const [old, next] = [await testAuthority({ now: NOW }), await testAuthority({ now: NOW })];
  const rights = { trustDomains: ["mesh.example"] };
  const roots: TrustedX509Root[] = [old, next].flatMap(({ certificate }) =>
    trustedX509Roots(certificate, rights)
  );
  const identities = await Promise.all([old, next].map(async (authority) => {
    const { certificate } = await authority.issue({ now: NOW });
    return await x509Identity([derOf(certificate)], { now: NOW, roots, trustDomains: [] });
  }));
  const [a, b] = identities.map(({ issuer, subject }) => ({ issuer, subject }));
  assert.deepEqual(a, b);
  assert.deepEqual(a, { issuer: "mesh.example", subject: "ann@mycorp.com" });
});
