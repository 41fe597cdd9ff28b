import assert from "node:assert/strict";
import { concat } from "../../src/bytes/bytes.ts";
import {
  formatCertificate,
  keyFingerprint,
  readCertificate,
  readCertificates,
  sameCertificate,
  serialOf,
} from "../../src/x509/certificate.ts";
import { X509Error } from "../../src/x509/error.ts";
import {
  BasicConstraintsExtension,
  type Extension,
  X509CertificateGenerator,
} from "../../src/x509/library.ts";

const DAY = 24 * 3_600_000;
const isMalformed = (error: unknown) => error instanceof X509Error && error.code === "malformed";

/** A certificate in DER that signs itself. */
async function selfSigned(extensions: Extension[] = [], serialNumber = "0a1b") {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=here",
    serialNumber,
    notBefore: new Date(),
    notAfter: new Date(Date.now() + DAY),
    keys,
    signingAlgorithm: algorithm,
    extensions,
  });
  return new Uint8Array(made.rawData);
}

Deno.test("a certificate is read whole, and is the same after PEM", async () => {
  const certificate = readCertificate(await selfSigned());
  assert.equal(serialOf(certificate), "0a1b");
  assert.match(await keyFingerprint(certificate), /^SHA256:[A-Za-z0-9+/]{43}$/);
  const [again, ...more] = readCertificates(formatCertificate(certificate));
  assert.equal(more.length, 0);
  assert.ok(sameCertificate(certificate, again));
  assert.ok(!sameCertificate(certificate, readCertificate(await selfSigned())));
});

Deno.test("certificates of a PEM text come in order, whatever lies between them", async () => {
  const made = [readCertificate(await selfSigned([], "01")), readCertificate(await selfSigned([], "02"))];
  const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  const text = `# first\n${formatCertificate(made[0])}${key}${formatCertificate(made[1])}`;
  assert.deepEqual(readCertificates(text).map(serialOf), ["01", "02"]);
  for (const other of ["", key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
    assert.throws(() => readCertificates(other), isMalformed, other);
  }
  assert.throws(() => readCertificates(" ".repeat(1024 * 1024 + 1)), /too large/);
});

Deno.test("an extension that is there twice, of which a reader may see either, is refused", async () => {
  const [once, twice] = [[true], [true, false]].map((values) =>
    values.map((ca) => new BasicConstraintsExtension(ca, undefined, true))
  );
  readCertificate(await selfSigned(once));
  const der = await selfSigned(twice);
  assert.throws(() => readCertificate(der), isMalformed);
});

Deno.test("what is cut off, has more behind it, or is no certificate is malformed", async () => {
  const der = await selfSigned();
  for (let length = 0; length < der.length; length++) {
    assert.throws(() => readCertificate(der.subarray(0, length)), isMalformed, `${length}`);
  }
  assert.throws(() => readCertificate(concat(der, new Uint8Array(1))), isMalformed);
  assert.throws(() => readCertificate(new Uint8Array([0x30, 0])), isMalformed);
});
