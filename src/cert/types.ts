/** OpenSSH certificates (draft-ietf-sshm-cert, OpenSSH PROTOCOL.certkeys). */
import type { Bytes } from "../bytes/bytes.ts";
import type { PublicKey } from "../keys/types.ts";

/** A certificate, read; nothing about it is verified yet (`checkCertificate`). */
export interface Certificate {
  /** `ssh-ed25519-cert-v01@openssh.com`, … */
  readonly type: string;
  readonly role: "user" | "host";
  /** The key that is certified. */
  readonly publicKey: PublicKey;
  readonly nonce: Bytes;
  readonly serial: bigint;
  /** For people and logs, never for decisions. */
  readonly keyId: string;
  readonly principals: readonly string[];
  /** Seconds since 1970: valid when `validAfter <= now < validBefore`. */
  readonly validAfter: bigint;
  readonly validBefore: bigint;
  /** Name to value, in the order of the certificate; flags have an empty value. */
  readonly criticalOptions: ReadonlyMap<string, Bytes>;
  readonly extensions: ReadonlyMap<string, Bytes>;
  /** The authority's key. */
  readonly signatureKey: PublicKey;
  /** Signature algorithm of the authority's signature. */
  readonly signatureAlgorithm: string;
  /** The whole certificate. */
  readonly blob: Bytes;
}

/** Why a certificate does not count. Peers learn none of it; logs all. */
export type CertificateFault =
  | "wrong-role"
  | "untrusted-authority"
  | "bad-signature"
  | "signature-algorithm"
  | "not-yet-valid"
  | "expired"
  | "no-principals"
  | "principal"
  | "unknown-critical-option"
  | "source-address"
  | "revoked";
