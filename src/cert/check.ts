/** Whether a certificate counts, for somebody, here and now. */
import { decodeTextStrictly } from "../bytes/bytes.ts";
import { matchesSourceAddress } from "../keys/addresses.ts";
import type { PublicKey } from "../keys/types.ts";
import { verifyAuthority } from "./certificate.ts";
import { knownCriticalOptions, sourceAddress } from "./options.ts";
import type { Certificate, CertificateFault } from "./types.ts";

/** Signature algorithms that an authority may use. No SHA-1. */
export const DEFAULT_CA_SIGNATURE_ALGORITHMS: readonly string[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** For whom, by whom, when and from where a certificate is to count. */
export interface CertificateContext {
  readonly role: "user" | "host";
  /** One of these must be among the certificate's, exactly: the names that a login accepts, the host's name. */
  readonly principals: readonly string[];
  /** Milliseconds since 1970, as a clock gives them. */
  readonly now: number;
  /** Whether the key is trusted as an authority for this role. */
  trusted(authority: PublicKey): boolean | Promise<boolean>;
  /** Whether the certificate, its key or its authority is revoked; see `krl.ts`. */
  revoked?(certificate: Certificate): boolean | Promise<boolean>;
  /** {@link DEFAULT_CA_SIGNATURE_ALGORITHMS} by default. */
  readonly signatureAlgorithms?: readonly string[];
  /** The peer's address, which a user certificate's `source-address` is held against. */
  readonly peerAddress?: string;
}

/**
 * Checks everything about a certificate but the possession of its key, which the protocol's signature proves, and
 * `verify-required`, which that signature shows (`satisfiesFido`).
 *
 * @returns the first reason why it does not count; undefined when it does. Peers learn none of it.
 */
export async function checkCertificate(
  certificate: Certificate,
  context: CertificateContext,
): Promise<CertificateFault | undefined> {
  const { role, now, principals, signatureAlgorithms = DEFAULT_CA_SIGNATURE_ALGORITHMS } = context;
  if (certificate.role !== role) return "wrong-role";
  if (!signatureAlgorithms.includes(certificate.signatureAlgorithm)) return "signature-algorithm";
  if (!await context.trusted(certificate.signatureKey)) return "untrusted-authority";
  if (!await verifyAuthority(certificate, signatureAlgorithms)) return "bad-signature";

  const seconds = BigInt(Math.floor(now / 1000));
  if (seconds < certificate.validAfter) return "not-yet-valid";
  if (seconds >= certificate.validBefore) return "expired";

  if (certificate.principals.length === 0) return "no-principals";
  if (!certificate.principals.some((principal) => principals.includes(principal))) return "principal";

  const known = (name: string) => role === "user" && knownCriticalOptions.has(name);
  if (![...certificate.criticalOptions.keys()].every(known)) return "unknown-critical-option";
  if (!readable(certificate)) return "unknown-critical-option";

  const addresses = sourceAddress(certificate);
  if (addresses !== undefined && !matchesSourceAddress(context.peerAddress, addresses)) {
    return "source-address";
  }

  if (await context.revoked?.(certificate)) return "revoked";
  return undefined;
}

/** A command that is not text could not be enforced as it was meant. */
function readable({ criticalOptions }: Certificate): boolean {
  try {
    decodeTextStrictly(criticalOptions.get("force-command") ?? new Uint8Array());
    return true;
  } catch {
    return false;
  }
}
