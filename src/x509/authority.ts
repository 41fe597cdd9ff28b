/** What a certificate must be to sign others. */
import { requireSignature } from "./algorithms.ts";
import { X509Error } from "./error.ts";
import {
  BasicConstraintsExtension,
  EXTENSION,
  KeyUsageFlags,
  KeyUsagesExtension,
  type X509Certificate,
} from "./library.ts";

/**
 * @param below how many authorities stand between it and the end of the chain
 * @throws {X509Error} `purpose` unless it is one: basic constraints, path length, key usage (RFC 5280 §6.1.4)
 */
export function requireAuthority(certificate: X509Certificate, below: number): void {
  const constraints = certificate.getExtension(EXTENSION.basicConstraints);
  if (!(constraints instanceof BasicConstraintsExtension && constraints.ca)) {
    throw new X509Error("purpose", "a certificate of the chain is no authority's");
  }
  if (constraints.pathLength !== undefined && below > constraints.pathLength) {
    throw new X509Error("purpose", "the chain is longer than one of its authorities allows");
  }
  const usage = certificate.getExtension(EXTENSION.keyUsage);
  if (usage && !(usage instanceof KeyUsagesExtension && usage.usages & KeyUsageFlags.keyCertSign)) {
    throw new X509Error("purpose", "an authority of the chain may not sign certificates");
  }
}

/** Whether it says in any way that it signs certificates: enough to be nobody's own. */
export function isAuthority(certificate: X509Certificate): boolean {
  const constraints = certificate.getExtension(EXTENSION.basicConstraints);
  const usage = certificate.getExtension(EXTENSION.keyUsage);
  const signs = usage instanceof KeyUsagesExtension &&
    (usage.usages & (KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign)) !== 0;
  return signs || (constraints instanceof BasicConstraintsExtension && constraints.ca);
}

/** @throws {X509Error} `signature` or `algorithm` unless `issuer`'s key signed `certificate`, and is named as its issuer */
export async function requireSignedBy(certificate: X509Certificate, issuer: X509Certificate): Promise<void> {
  requireSignature(certificate.signatureAlgorithm, issuer.publicKey);
  const named = sameName(certificate.issuerName, issuer.subjectName);
  const signed = named && await certificate.verify({ publicKey: issuer.publicKey, signatureOnly: true })
    .catch(() => false);
  if (!signed) throw new X509Error("signature", "a certificate of the chain is not signed by the next one");
}

/** Whether both names are the same in DER: what authorities copy they copy byte for byte. */
export function sameName(a: X509Certificate["issuerName"], b: X509Certificate["issuerName"]): boolean {
  const [left, right] = [new Uint8Array(a.toArrayBuffer()), new Uint8Array(b.toArrayBuffer())];
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
