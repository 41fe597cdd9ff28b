/** Keys and signatures as the rest of the library sees them. */
import type { Bytes } from "../bytes/bytes.ts";

/** Key types by the name in their public key blob. */
export type KeyType =
  | "ssh-ed25519"
  | "ecdsa-sha2-nistp256"
  | "ecdsa-sha2-nistp384"
  | "ecdsa-sha2-nistp521"
  | "ssh-rsa"
  | "sk-ssh-ed25519@openssh.com"
  | "sk-ecdsa-sha2-nistp256@openssh.com";

/** A public key. Two keys are the same when their blobs are. */
export interface PublicKey {
  readonly type: KeyType;
  /** Encoding of RFC 4253 §6.6. */
  readonly blob: Bytes;
  /** Modulus or curve size in bits. */
  readonly bits: number;
  /**
   * Signature algorithms that this key can make, best first: for RSA `rsa-sha2-512`, `rsa-sha2-256` (never SHA-1).
   */
  readonly signatureAlgorithms: readonly string[];
  /** `SHA256:…`, as OpenSSH prints it. */
  fingerprint(): Promise<string>;
  /**
   * Verifies an SSH signature blob (`string algorithm, string signature, …`) over `data`.
   * Resolves to what was verified, or undefined when the signature is wrong, of another algorithm than `algorithm`,
   * or malformed. Touch and verification flags of FIDO keys are returned for the caller to judge.
   */
  verify(algorithm: string, signature: Bytes, data: Bytes): Promise<VerifiedSignature | undefined>;
}

/** A signature that was right. */
export interface VerifiedSignature {
  readonly algorithm: string;
  /** What a FIDO token vouches for (OpenSSH PROTOCOL.u2f). */
  readonly fido?: { readonly userPresent: boolean; readonly userVerified: boolean; readonly counter: number };
}

/** Something that signs: a private key in memory, a key in an agent. */
export interface Signer {
  readonly publicKey: PublicKey;
  /** An OpenSSH certificate for the key, as its whole blob, when there is one. */
  readonly certificate?: Bytes;
  /**
   * Signs `data`; resolves to the SSH signature blob.
   * @param algorithm one of `publicKey.signatureAlgorithms`
   */
  sign(algorithm: string, data: Bytes): Promise<Bytes>;
}

/** A key, certificate or file that cannot be used, and why. */
export class KeyError extends Error {
  override readonly name = "KeyError";
  constructor(
    readonly code: "malformed" | "unsupported" | "passphrase-needed" | "passphrase-wrong" | "mismatch",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
