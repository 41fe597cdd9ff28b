/** Key identifiers: how a certificate names its own key and its issuer's. */
import { encodeHex } from "../bytes/encoding.ts";
import { EXTENSION, SubjectKeyIdentifierExtension, type X509Certificate } from "./library.ts";
import type { X509PublicKey } from "./library.ts";

/** Octets of an identifier, as long as the customary SHA-1 would be. */
const LENGTH = 20;

/** Hexadecimal: the first 160 bits of SHA-256 over the whole SubjectPublicKeyInfo (RFC 7093 §2, method 4). */
export async function keyIdentifier(key: X509PublicKey): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", key.rawData);
  return encodeHex(new Uint8Array(digest, 0, LENGTH));
}

/** The identifier that `certificate` gives its own key, else the one we would give it. */
export async function ownKeyIdentifier(certificate: X509Certificate): Promise<string> {
  const extension = certificate.getExtension(EXTENSION.subjectKeyIdentifier);
  return extension instanceof SubjectKeyIdentifierExtension
    ? extension.keyId
    : await keyIdentifier(certificate.publicKey);
}
