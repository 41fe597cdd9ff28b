/** Fingerprints as OpenSSH writes them. */
import { encodeBase64 } from "../bytes/encoding.ts";

/** `SHA256:…` of a digest: base64 without padding, as `ssh-keygen -l` prints it. */
export function formatFingerprint(sha256: Uint8Array): string {
  return `SHA256:${encodeBase64(sha256).replace(/=+$/, "")}`;
}

/** The fingerprint of any bytes: a public key blob, a SubjectPublicKeyInfo, a certificate. */
export async function fingerprintOf(bytes: BufferSource): Promise<string> {
  return formatFingerprint(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}
