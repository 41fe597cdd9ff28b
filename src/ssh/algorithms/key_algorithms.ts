/**
 * Public key algorithms: what a name stands for as host key algorithm and in `publickey` authentication.
 * RFC 4253 §6.6, RFC 5656, RFC 8332, RFC 8709, OpenSSH PROTOCOL.certkeys and PROTOCOL.u2f.
 */
import { certificateAlgorithm, certificateType } from "../../keys/key_types.ts";
import type { KeyType } from "../../keys/types.ts";

/** One public key algorithm. */
export interface KeyAlgorithm {
  readonly name: string;
  /** Type of the key, or of the key that the certificate certifies. */
  readonly keyType: KeyType;
  /** Name at the start of the key or certificate blob: with RSA another than `name` (RFC 8332 §3). */
  readonly blobType: string;
  /** Signatures are of this algorithm, and say so in their blob: always the plain form. */
  readonly signature: string;
  readonly certificate: boolean;
}

/** Signature algorithm and key type, best first. `ssh-rsa`, which is RSA with SHA-1, is missing on purpose. */
const signatures: readonly (readonly [signature: string, keyType: KeyType])[] = [
  ["ssh-ed25519", "ssh-ed25519"],
  ["sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com"],
  ["rsa-sha2-512", "ssh-rsa"],
  ["rsa-sha2-256", "ssh-rsa"],
  ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"],
  ["ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"],
  ["ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"],
  ["sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"],
];

const certificates = signatures.map(([signature, keyType]): KeyAlgorithm => ({
  name: certificateAlgorithm(signature),
  keyType,
  blobType: certificateType(keyType),
  signature,
  certificate: true,
}));

const plain = signatures.map(([signature, keyType]): KeyAlgorithm => ({
  name: signature,
  keyType,
  blobType: keyType,
  signature,
  certificate: false,
}));

/** Every algorithm by its name: certificates before plain keys, each best first. */
export const keyAlgorithms: ReadonlyMap<string, KeyAlgorithm> = new Map(
  [...certificates, ...plain].map((row) => [row.name, row]),
);

/** Those that a server's host key can have: FIDO keys need a finger, servers have none. */
export const hostKeyAlgorithms: ReadonlyMap<string, KeyAlgorithm> = new Map(
  [...keyAlgorithms].filter(([, { keyType }]) => !keyType.startsWith("sk-")),
);

/** Names of signature algorithms, plain forms only: the whole of `server-sig-algs` (RFC 8308 §3.1). */
export const signatureAlgorithms: readonly string[] = plain.map((row) => row.name);
