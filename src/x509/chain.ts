/**
 * Whether a chain of certificates leads from a client to a root that is trusted (RFC 5280 §6.1), with all that TLS libraries
 * are lenient about. Certificates of clients are short-lived here: there are no CRLs and no OCSP, revocation is by serial.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { requireKey } from "./algorithms.ts";
import { isAuthority, requireAuthority, requireSignedBy, sameName } from "./authority.ts";
import { readCertificate, sameCertificate } from "./certificate.ts";
import { X509Error } from "./error.ts";
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  EXTENSION,
  KeyUsageFlags,
  KeyUsagesExtension,
  type X509Certificate,
} from "./library.ts";

/** Certificates from the leaf to below the root. More is nobody's hierarchy. */
const MAX_CHAIN = 8;

/** Critical extensions that are checked here, of any certificate. Name constraints are not: a chain that has them is refused. */
const UNDERSTOOD: readonly string[] = [
  EXTENSION.subjectKeyIdentifier,
  EXTENSION.keyUsage,
  EXTENSION.subjectAltName,
  EXTENSION.basicConstraints,
  EXTENSION.extendedKeyUsage,
];

/** A chain that leads to a root. */
export interface VerifiedChain {
  readonly leaf: X509Certificate;
  /** The trusted certificate that the chain ends at: one of those given. */
  readonly root: X509Certificate;
  /** Milliseconds since 1970: when the first of the chain expires, the root included. */
  readonly expiresAt: number;
}

/**
 * Verifies a client's certificate.
 * @param certificates DER: the client's own first, then any above it, in any order, with or without the root
 * @param options.roots trusted; any of them ends the chain, self-signed or not
 * @param options.now milliseconds since 1970
 * @throws {X509Error} with what is wrong with the best chain there is
 */
export async function verifyClientChain(
  certificates: readonly Bytes[],
  options: { readonly roots: readonly X509Certificate[]; readonly now: number },
): Promise<VerifiedChain> {
  if (certificates.length === 0) throw new X509Error("malformed", "there is no certificate");
  if (certificates.length > MAX_CHAIN) throw new X509Error("malformed", "the chain is too long");
  const [leaf, ...others] = certificates.map(readCertificate);
  requireClient(leaf);
  const chain = await pathToRoot(
    leaf,
    validFirst(others, options.now),
    validFirst(options.roots, options.now),
  );
  chain.forEach((certificate) => requireNow(certificate, options.now));
  return {
    leaf,
    root: chain.at(-1)!,
    expiresAt: Math.min(...chain.map(({ notAfter }) => notAfter.getTime())),
  };
}

/** What makes the leaf a client's certificate. */
function requireClient(leaf: X509Certificate): void {
  requireUnderstood(leaf);
  requireKey(leaf.publicKey);
  if (isAuthority(leaf)) throw new X509Error("purpose", "it is an authority's certificate, not a client's");
  const usage = leaf.getExtension(EXTENSION.keyUsage);
  if (usage && !(usage instanceof KeyUsagesExtension && usage.usages & KeyUsageFlags.digitalSignature)) {
    throw new X509Error("purpose", "its key is not for signing");
  }
  const extended = leaf.getExtension(EXTENSION.extendedKeyUsage);
  if (
    !(extended instanceof ExtendedKeyUsageExtension) || !extended.usages.includes(ExtendedKeyUsage.clientAuth)
  ) {
    throw new X509Error("purpose", "it is not for TLS clients");
  }
}

/** Of two that were made for one key, the one that has not expired is to be found. */
function validFirst(certificates: readonly X509Certificate[], now: number): X509Certificate[] {
  const isValid = ({ notBefore, notAfter }: X509Certificate) =>
    notBefore.getTime() <= now && now < notAfter.getTime();
  return [...certificates.filter(isValid), ...certificates.filter((certificate) => !isValid(certificate))];
}

/**
 * The chain from `leaf` to a root. Names and signatures alone choose, so that what else is wrong with the chain is reported as
 * such.
 */
async function pathToRoot(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): Promise<X509Certificate[]> {
  let failure = new X509Error("untrusted", "no root that is trusted here has signed it");
  const chain = [leaf];
  for (;;) {
    const last = chain.at(-1)!;
    const root = await signerOf(last, roots);
    if (root) {
      requireSigner(root, chain.length - 1);
      return [...chain, root];
    }
    const next = await signerOf(last, others.filter((other) => !chain.includes(other)));
    if (!next || chain.length > MAX_CHAIN) throw failure;
    requireSigner(next, chain.length - 1);
    chain.push(next);
    failure = new X509Error("untrusted", "no root that is trusted here has signed the chain");
  }
}

async function signerOf(
  certificate: X509Certificate,
  candidates: readonly X509Certificate[],
): Promise<X509Certificate | undefined> {
  for (const candidate of candidates) {
    if (!sameName(certificate.issuerName, candidate.subjectName)) continue;
    // A certificate cannot vouch for itself here, unless it is a root, and then it is no client's.
    if (sameCertificate(certificate, candidate)) continue;
    const signed = await requireSignedBy(certificate, candidate).then(() => true, () => false);
    if (signed) return candidate;
  }
}

/** @param below authorities between it and the leaf */
function requireSigner(authority: X509Certificate, below: number): void {
  requireUnderstood(authority);
  requireKey(authority.publicKey);
  requireAuthority(authority, below);
  const extended = authority.getExtension(EXTENSION.extendedKeyUsage);
  // RFC 5280 §4.2.1.12 leaves it open; every library takes the usages of an authority as a limit to those below.
  const limited = extended instanceof ExtendedKeyUsageExtension &&
    !extended.usages.some((usage) => usage === ExtendedKeyUsage.clientAuth || usage === ANY_USAGE);
  if (limited) throw new X509Error("purpose", "an authority of the chain may not sign for TLS clients");
}

/** `anyExtendedKeyUsage`. Good enough for an authority, too little for a client. */
const ANY_USAGE = "2.5.29.37.0";

function requireUnderstood(certificate: X509Certificate): void {
  const unknown = certificate.extensions.find(({ critical, type }) => critical && !UNDERSTOOD.includes(type));
  if (unknown) throw new X509Error("critical", `the critical extension ${unknown.type} is not understood`);
  // Also where they are not critical: names that an authority may not give are not to be taken from it.
  if (certificate.getExtension(EXTENSION.nameConstraints)) {
    throw new X509Error(
      "critical",
      "an authority of the chain has name constraints, which are not understood",
    );
  }
}

function requireNow({ notBefore, notAfter }: X509Certificate, now: number): void {
  if (now < notBefore.getTime()) throw new X509Error("time", "a certificate of the chain is not valid yet");
  if (now >= notAfter.getTime()) throw new X509Error("time", "a certificate of the chain has expired");
}
