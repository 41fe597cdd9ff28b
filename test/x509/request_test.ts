import assert from "node:assert/strict";
import { concat } from "../../src/bytes/bytes.ts";
import { X509Error, type X509ErrorCode } from "../../src/x509/error.ts";
import {
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from "../../src/x509/library.ts";
import { readCertificateRequest } from "../../src/x509/request.ts";
import { sshPublicKey } from "../../src/x509/ssh_key.ts";
import { openssl, peerTest } from "../support/peers.ts";
import { OpensslFolder, signedLength } from "../support/openssl.ts";

/** A request of our own making, so that the fuzzing needs no peer. */
async function madeHere(names: ConstructorParameters<typeof SubjectAlternativeNameExtension>[0] = []) {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const extensions = [new SubjectAlternativeNameExtension(names)];
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    extensions,
    signingAlgorithm: algorithm,
  });
  return new Uint8Array(request.rawData);
}

function refused(code: X509ErrorCode) {
  return (error: unknown) => error instanceof X509Error && error.code === code;
}

peerTest("requests that OpenSSL makes are read, with their names", [openssl], async (t) => {
  using folder = new OpensslFolder();
  const kinds: [string, string, string[]][] = [
    ["P-256", "ecdsa-sha2-nistp256", ["EC", "ec_paramgen_curve:P-256"]],
    ["P-384", "ecdsa-sha2-nistp384", ["EC", "ec_paramgen_curve:P-384"]],
    ["Ed25519", "ssh-ed25519", ["ED25519"]],
    ["RSA 2048", "ssh-rsa", ["RSA", "rsa_keygen_bits:2048"]],
  ];
  for (const [name, type, key] of kinds) {
    await t.step(name, async () => {
      const names = "URI:spiffe://td/ns/a/sa/b,DNS:Web.Example,email:Ann@MyCorp.com,IP:10.0.0.1";
      const read = await readCertificateRequest(await folder.request({ key, names }));
      assert.deepEqual(read.names, {
        uris: ["spiffe://td/ns/a/sa/b"],
        dns: ["web.example"],
        emails: ["Ann@mycorp.com"],
        ips: ["10.0.0.1"],
        others: [],
      });
      assert.equal((await sshPublicKey(read.publicKey)).type, type);
    });
  }
  await t.step("without names", async () => {
    assert.deepEqual((await readCertificateRequest(await folder.request({}))).names.dns, []);
  });
});

peerTest("weak and unusual keys and signatures are refused", [openssl], async (t) => {
  using folder = new OpensslFolder();
  const cases: [string, Parameters<OpensslFolder["request"]>[0]][] = [
    ["RSA 1024", { key: ["RSA", "rsa_keygen_bits:1024"] }],
    ["P-521", { key: ["EC", "ec_paramgen_curve:P-521"] }],
    ["secp256k1", { key: ["EC", "ec_paramgen_curve:secp256k1"] }],
    ["SHA-1", { digest: "-sha1" }],
    ["SHA-1 with RSA", { key: ["RSA", "rsa_keygen_bits:2048"], digest: "-sha1" }],
    ["RSA-PSS", { key: ["RSA-PSS", "rsa_keygen_bits:2048"] }],
  ];
  for (const [name, options] of cases) {
    await t.step(name, async () => {
      await assert.rejects(readCertificateRequest(await folder.request(options)), X509Error);
    });
  }
});

Deno.test("every truncation of a request is an error of ours", async () => {
  const der = await madeHere([{ type: "dns", value: "web.example" }]);
  for (let length = 0; length < der.length; length++) {
    await assert.rejects(
      readCertificateRequest(der.slice(0, length)),
      refused("malformed"),
      `${length} bytes`,
    );
  }
});

Deno.test("a flipped bit in any byte of a request is an error of ours, unless the signature does not cover it", async () => {
  const der = await madeHere([{ type: "dns", value: "web.example" }]);
  const signed = signedLength(der);
  assert.ok(signed > 120 && signed < der.length - 64);
  // One of each byte, another one each time.
  for (let at = 0, bit = 0; at < der.length; bit = 8 * ++at + at % 8) {
    const flipped = der.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    const error = await readCertificateRequest(flipped).then(() => undefined, (error) => error);
    // The signature's own encoding is BER to the library: it says the same.
    if (error === undefined) assert.ok(bit >> 3 >= signed, `bit ${bit} is accepted`);
    else assert.ok(error instanceof X509Error, `bit ${bit}: ${error}`);
  }
});

Deno.test("bytes after a request, and requests beyond the bound, are refused", async () => {
  const der = await madeHere();
  await assert.rejects(readCertificateRequest(concat(der, new Uint8Array(1))), refused("malformed"));
  await assert.rejects(readCertificateRequest(new Uint8Array(17 * 1024)), refused("malformed"));
});

Deno.test("names that cannot be are refused", async (t) => {
  const cases = [
    { type: "dns", value: "a..b" },
    { type: "dns", value: "-a.example" },
    { type: "dns", value: "10.0.0.1" },
    { type: "dns", value: "a b" },
    { type: "dns", value: "web.example\u0000.evil" },
    { type: "email", value: "ann" },
    { type: "email", value: "ann@" },
    { type: "email", value: "ann smith@mycorp.com" },
    { type: "email", value: "ann@mycorp.com, root@mycorp.com" },
  ] as const;
  for (const name of cases) {
    await t.step(JSON.stringify(name), async () => {
      await assert.rejects(readCertificateRequest(await madeHere([name])), refused("name"));
    });
  }
});

Deno.test("more names than anybody has are refused", async () => {
  const names = Array.from({ length: 257 }, (_, at) => ({ type: "dns" as const, value: `n${at}.example` }));
  await assert.rejects(readCertificateRequest(await madeHere(names)), refused("name"));
});
