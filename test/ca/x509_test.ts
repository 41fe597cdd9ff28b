import assert from "node:assert/strict";
import { CaError, type CaErrorCode } from "../../src/ca/types.ts";
import { issueX509, loadX509Root, makeX509Root, type X509Issue } from "../../src/ca/x509.ts";
import { readCertificate, readCertificates, serialOf } from "../../src/x509/certificate.ts";
import { X509Error } from "../../src/x509/error.ts";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  EXTENSION,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from "../../src/x509/library.ts";
import { subjectNames } from "../../src/x509/names.ts";
import { randomX509Serial } from "../../src/x509/serial.ts";
import { HOUR, node, person, type TestAuthority, testAuthority, workload } from "../support/authority.ts";
import { derOf, OpensslFolder } from "../support/openssl.ts";
import { openssl, peerTest } from "../support/peers.ts";

const NOW = Date.parse("2026-08-01T12:00:00Z");
const PROD = "prod.example";
const web = workload("web", "shop", PROD);

const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

async function csrFor(names: JsonGeneralNames = []): Promise<Uint8Array<ArrayBuffer>> {
  const keys = await crypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
  const extensions = [new SubjectAlternativeNameExtension(names)];
  const params = { name: "CN=root,O=Evil", keys, extensions, signingAlgorithm: ECDSA };
  const request = await Pkcs10CertificateRequestGenerator.create(params);
  return new Uint8Array(request.rawData);
}

/** Issues to `web`, unless told otherwise. */
async function issue({ root }: TestAuthority, what: Partial<X509Issue>) {
  const defaults = {
    identity: web,
    names: [],
    trustDomains: [PROD],
    lifetime: HOUR,
    now: NOW,
    serial: randomX509Serial(),
    key: { csr: await csrFor() },
  };
  return await issueX509({ ...defaults, ...what, root });
}

function refused(code: CaErrorCode, sentence: RegExp) {
  return (error: unknown) => error instanceof CaError && error.code === code && sentence.test(error.message);
}

Deno.test("a certificate carries the identity, and says what it is for", async (t) => {
  const authority = await testAuthority({ now: NOW, trustDomain: PROD });
  const cases: [string, Partial<X509Issue>, Partial<ReturnType<typeof subjectNames>>][] = [
    ["a workload", {}, { uris: ["spiffe://prod.example/ns/shop/sa/web"] }],
    ["a workload that serves", { names: ["web.shop.svc.prod.example", "web.prod.example"] }, {
      uris: ["spiffe://prod.example/ns/shop/sa/web"],
      dns: ["web.shop.svc.prod.example", "web.prod.example"],
    }],
    ["a person", { identity: person("ann@mycorp.com") }, { emails: ["ann@mycorp.com"] }],
    ["a person who serves", { identity: person("ann@mycorp.com"), names: ["box.prod.example"] }, {
      emails: ["ann@mycorp.com"],
      dns: ["box.prod.example"],
    }],
    ["a machine", { identity: node("db.prod.example"), names: ["db.prod.example"] }, {
      dns: ["db.prod.example"],
    }],
    ["a gateway that is called localhost", {
      identity: node("localhost"),
      gateway: true,
      names: ["localhost"],
    }, {
      dns: ["localhost"],
    }],
    ["the gateway", {
      identity: node("gw.prod.example"),
      gateway: true,
      names: ["gw.prod.example", "localhost", "127.0.0.1", "::1"],
    }, { dns: ["gw.prod.example", "localhost"], ips: ["127.0.0.1", "::1"] }],
  ];
  for (const [what, request, names] of cases) {
    await t.step(what, async () => {
      const issued = await issue(authority, request);
      const certificate = readCertificate(derOf(issued.certificate));
      const none = { uris: [], dns: [], emails: [], ips: [], others: [] };
      assert.deepEqual(subjectNames(certificate.extensions), { ...none, ...names });
      const usages = certificate.getExtension(ExtendedKeyUsageExtension)!.usages;
      const both = [ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.serverAuth];
      assert.deepEqual([...usages], request.names ? both : both.slice(0, 1));
      assert.equal(certificate.getExtension(BasicConstraintsExtension)!.ca, false);
      assert.equal(certificate.getExtension(KeyUsagesExtension)!.usages, KeyUsageFlags.digitalSignature);
      // Nothing of the subject that the request asked for.
      assert.equal(certificate.subject, "");
      assert.equal(certificate.getExtension(EXTENSION.subjectAltName)!.critical, true);
    });
  }
});

Deno.test("times and serial are those that were given", async () => {
  const authority = await testAuthority({ now: NOW });
  const serial = randomX509Serial();
  const issued = await issue(authority, { serial });
  const certificate = readCertificate(derOf(issued.certificate));
  assert.equal(issued.serial, serial);
  assert.equal(serialOf(certificate), serial);
  assert.equal(issued.expiresAt, NOW + HOUR);
  assert.equal(certificate.notAfter.getTime(), NOW + HOUR);
  assert.equal(certificate.notBefore.getTime(), NOW - 5 * 60_000);
  assert.deepEqual(issued.chain, [authority.certificate]);
});

Deno.test("a certificate never outlives its authority", async () => {
  const authority = await testAuthority({ now: NOW });
  const end = authority.root.chain[0].notAfter.getTime();
  const issued = await issue(authority, { lifetime: 1000 * HOUR });
  assert.equal(issued.expiresAt, end);
  await assert.rejects(issue(authority, { now: end }), refused("unavailable", /has expired/));
});

Deno.test("a request may repeat what is the holder's, and nothing else", async (t) => {
  const authority = await testAuthority({ now: NOW });
  const names = ["web.prod.example"];
  const allowed: JsonGeneralNames[] = [
    [{ type: "url", value: "spiffe://prod.example/ns/shop/sa/web" }],
    [{ type: "dns", value: "web.prod.example" }],
    [{ type: "dns", value: "WEB.prod.example" }],
  ];
  for (const asked of allowed) {
    await t.step(`may: ${JSON.stringify(asked)}`, async () => {
      await issue(authority, { names, key: { csr: await csrFor(asked) } });
    });
  }
  const forbidden: JsonGeneralNames[] = [
    [{ type: "url", value: "spiffe://prod.example/ns/shop/sa/admin" }],
    [{ type: "url", value: "https://prod.example" }],
    [{ type: "dns", value: "web.prod.example" }, { type: "dns", value: "db.prod.example" }],
    [{ type: "dns", value: "*.prod.example" }],
    [{ type: "dns", value: "localhost" }],
    [{ type: "ip", value: "10.0.0.1" }],
    [{ type: "email", value: "ann@mycorp.com" }],
    [{ type: "upn", value: "administrator@mycorp.com" }],
    [{ type: "id", value: "1.2.3.4" }],
  ];
  for (const asked of forbidden) {
    await t.step(`may not: ${JSON.stringify(asked)}`, async () => {
      const issued = issue(authority, { names, key: { csr: await csrFor(asked) } });
      await assert.rejects(issued, refused("refused", /the request asks for/));
    });
  }
});

Deno.test("names that no certificate is made for are refused", async (t) => {
  const authority = await testAuthority({ now: NOW });
  const cases: [string, Partial<X509Issue>, RegExp][] = [
    ["localhost for a node", { names: ["localhost"] }, /localhost is no name/],
    ["an IPv4 address for a node", { names: ["10.0.0.1"] }, /no name/],
    ["an IPv6 address for a node", { names: ["::1"] }, /no name/],
    ["a wildcard", { names: ["*.prod.example"] }, /no name/],
    ["a wildcard for the gateway", { names: ["*.prod.example"], gateway: true }, /no name/],
    ["a name in capitals", { names: ["Web.prod.example"] }, /no name/],
    ["a name with a line end", { names: ["web\n.example"] }, /no name/],
    [
      "a workload of another trust domain",
      { identity: workload("web", "shop", "test.example") },
      /test\.example/,
    ],
    ["an e-mail address under a trust domain", { identity: person("web@shop.prod.example") }, /trust domain/],
    ["an e-mail address that is not ASCII", { identity: person("änn@mycorp.com") }, /cannot be in/],
    ["two e-mail addresses in one", { identity: person("ann@mycorp.com,root@mycorp.com") }, /cannot be in/],
    ["a bare key", {
      identity: { ...person("x"), email: undefined, name: "SHA256:abc" },
    }, /no name that an X\.509 certificate can carry/],
  ];
  for (const [what, request, sentence] of cases) {
    await t.step(what, () => assert.rejects(issue(authority, request), refused("refused", sentence)));
  }
});

Deno.test("nodes of a gateway that is called localhost have names of theirs", async () => {
  const authority = await testAuthority({ now: NOW, trustDomain: "localhost" });
  const request = { identity: node("web.localhost"), names: ["web.localhost"], trustDomains: ["localhost"] };
  const { certificate } = await issue(authority, request);
  assert.deepEqual(subjectNames(readCertificate(derOf(certificate)).extensions).dns, ["web.localhost"]);
  await assert.rejects(
    issue(authority, { ...request, names: ["localhost"] }),
    refused("refused", /localhost/),
  );
});

Deno.test("requests that prove nothing are invalid", async (t) => {
  const authority = await testAuthority({ now: NOW });
  const broken = await csrFor();
  broken[broken.length - 5] ^= 1;
  await t.step("a wrong signature", async () => {
    await assert.rejects(
      issue(authority, { key: { csr: broken } }),
      refused("invalid", /signature is wrong/),
    );
  });
  await t.step("no request at all", async () => {
    const csr = new Uint8Array([1, 2, 3]);
    await assert.rejects(issue(authority, { key: { csr } }), refused("invalid", /malformed/));
  });
  await t.step("no public key", async () => {
    const publicKey = new Uint8Array([0x30, 0]);
    await assert.rejects(issue(authority, { key: { publicKey } }), refused("invalid", /malformed/));
  });
});

Deno.test("roots come back from their files", async (t) => {
  const common = { commonName: "x", trustDomain: PROD, notBefore: NOW, notAfter: NOW + HOUR };
  const [files, other] = [await makeX509Root(common), await makeX509Root(common)];
  await t.step("no two have one name", () => {
    const [a, b] = [files, other].map(({ certificate }) => readCertificates(certificate)[0].subject);
    assert.notEqual(a, b);
  });
  await t.step("with another's key", async () => {
    const mixed = { certificate: files.certificate, privateKey: other.privateKey };
    await assert.rejects(loadX509Root(mixed), /the private key is not the certificate's/);
  });
  await t.step("with a key of another kind", async () => {
    const { privateKey } = await makeX509Root({ ...common, algorithm: "Ed25519" });
    await assert.rejects(loadX509Root({ ...files, privateKey }), X509Error);
  });
  await t.step("with no key", async () => {
    await assert.rejects(loadX509Root({ ...files, privateKey: "" }), X509Error);
  });
  await t.step("with a certificate that is no authority's", async () => {
    const authority = await testAuthority({ now: NOW });
    const leaf = await authority.issue({ now: NOW });
    await assert.rejects(loadX509Root(leaf), /no authority's/);
  });
  await t.step("with a chain that does not hold together", async () => {
    const certificate = files.certificate + other.certificate;
    await assert.rejects(loadX509Root({ ...files, certificate }), X509Error);
  });
});

peerTest("OpenSSL verifies what is issued, chain, purposes and names", [openssl], async (t) => {
  using folder = new OpensslFolder();
  const now = Date.now();
  const keys: [string, string[]][] = [
    ["P-256", ["EC", "ec_paramgen_curve:P-256"]],
    ["P-384", ["EC", "ec_paramgen_curve:P-384"]],
    ["Ed25519", ["ED25519"]],
    ["RSA", ["RSA", "rsa_keygen_bits:2048"]],
  ];
  for (const algorithm of ["P-256", "Ed25519"] as const) {
    const authority = await testAuthority({ now, algorithm, trustDomain: PROD });
    folder.folder.write("root.pem", authority.certificate);
    for (const [name, key] of keys) {
      await t.step(`${name} by ${algorithm}`, async () => {
        const csr = await folder.request({ key, names: "DNS:web.prod.example" });
        const names = ["web.prod.example"];
        const issued = await issue(authority, { now, names, key: { csr } });
        folder.folder.write("leaf.pem", issued.certificate);
        const verify = (...args: string[]) =>
          folder.run("verify", "-x509_strict", "-CAfile", "root.pem", ...args, "leaf.pem");
        await verify("-purpose", "sslclient");
        await verify("-purpose", "sslserver", "-verify_hostname", "web.prod.example");
        await assert.rejects(verify("-verify_hostname", "db.prod.example"));
        await assert.rejects(verify("-purpose", "smimesign"));
        const { text } = await folder.run("x509", "-in", "leaf.pem", "-noout", "-text");
        assert.match(text, /URI:spiffe:\/\/prod\.example\/ns\/shop\/sa\/web, DNS:web\.prod\.example/);
        assert.match(text, /CA:FALSE/);
        const { text: serial } = await folder.run("x509", "-in", "leaf.pem", "-noout", "-serial");
        assert.equal(serial.trim().toLowerCase(), `serial=${issued.serial}`);
        // The key is the request's.
        const pair = ["-pubkey", "-noout"];
        const certified = await folder.run("x509", "-in", "leaf.pem", ...pair);
        const asked = await folder.run("req", "-inform", "DER", "-in", "request.der", ...pair);
        assert.equal(certified.text, asked.text);
      });
    }
  }
});

peerTest("an authority of OpenSSL's signs here, as an intermediate too", [openssl], async (t) => {
  using folder = new OpensslFolder();
  const extensions = ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign"];
  const kinds: [string, string[]][] = [
    ["P-384", ["EC", "ec_paramgen_curve:P-384"]],
    ["RSA", ["RSA", "rsa_keygen_bits:2048"]],
  ];
  for (const [name, key] of kinds) {
    await t.step(name, async () => {
      await folder.make({ name: "root", extensions, key });
      await folder.make({ name: "middle", issuer: "root", extensions, key });
      const root = await loadX509Root({
        certificate: folder.pem("middle") + folder.pem("root"),
        privateKey: folder.folder.read("middle.key"),
      });
      const now = Date.now();
      const authority = { ...await testAuthority({ now }), root };
      const { certificate, chain } = await issue(authority, { now });
      assert.equal(chain.length, 2);
      folder.folder.write("leaf.pem", certificate);
      folder.folder.write("chain.pem", chain[0]);
      const args = [
        "-x509_strict",
        "-purpose",
        "sslclient",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "chain.pem",
      ];
      await folder.run("verify", ...args, "leaf.pem");
    });
  }
});
