/** Certificates (RFC 5280), read whole: the library parses parts when they are first asked for. */
import type { Bytes } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { fingerprintOf } from "../keys/fingerprint.ts";
import { type DerLimits, parseDer } from "./der.ts";
import { X509Error } from "./error.ts";
import { PemConverter, X509Certificate } from "./library.ts";
import { normalizeX509Serial } from "./serial.ts";

/** Certificates with an RSA key of 16384 bits and some hundred names are half as large. */
const LIMITS: DerLimits = { what: "the certificate", maxLength: 16 * 1024 };
/** Bytes of PEM text, and certificates in it: system-wide bundles of roots have some 150 in 250 KiB. */
const MAX_PEM_LENGTH = 1024 * 1024;

/** @throws {X509Error} `malformed` */
export function readCertificate(der: Bytes): X509Certificate {
  return parseDer(der, LIMITS, (bytes) => {
    const certificate = new X509Certificate(bytes);
    const { publicKey, signatureAlgorithm, extensions, notBefore, notAfter } = certificate;
    void [publicKey.algorithm, signatureAlgorithm.name];
    // Names are compared as they are written anew.
    for (const name of [certificate.subjectName, certificate.issuerName]) name.toArrayBuffer();
    if (Number.isNaN(notBefore.getTime()) || Number.isNaN(notAfter.getTime())) {
      throw new TypeError("the validity has no time");
    }
    // RFC 5280 §4.2: no extension twice.
    if (new Set(extensions.map(({ type }) => type)).size < extensions.length) {
      throw new TypeError("an extension is there twice");
    }
    serialOf(certificate);
    return certificate;
  });
}

/**
 * The certificates in a PEM text, in order; other blocks (keys) are passed over.
 * @throws {X509Error} `malformed`, also when there is none
 */
export function readCertificates(pem: string): X509Certificate[] {
  if (pem.length > MAX_PEM_LENGTH) throw new X509Error("malformed", "the PEM text is too large");
  let blocks;
  try {
    blocks = PemConverter.decodeWithHeaders(pem);
  } catch (cause) {
    throw new X509Error("malformed", "this is not PEM", { cause });
  }
  const certificates = blocks.filter(({ type }) => type === PemConverter.CertificateTag)
    .map(({ rawData }) => readCertificate(new Uint8Array(rawData)));
  if (certificates.length === 0) throw new X509Error("malformed", "there is no certificate in it");
  return certificates;
}

/** One CERTIFICATE block, with a line end after it. */
export function formatCertificate(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

/** Serial number as {@link normalizeX509Serial} spells it. @throws {X509Error} `malformed` */
export function serialOf(certificate: X509Certificate): string {
  return normalizeX509Serial(certificate.serialNumber);
}

/** `SHA256:…` of the certificate's public key, in the manner of SSH fingerprints. */
export async function keyFingerprint({ publicKey }: X509Certificate): Promise<string> {
  return await fingerprintOf(publicKey.rawData);
}

/** Whether both are the same certificate, byte for byte. */
export function sameCertificate(a: X509Certificate, b: X509Certificate): boolean {
  return encodeHex(new Uint8Array(a.rawData)) === encodeHex(new Uint8Array(b.rawData));
}
