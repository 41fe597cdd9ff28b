/** From a credential that was proved to an identity, and again whenever something may have changed. */
import { checkCertificate } from "../cert/check.ts";
import { restrictionsUnderLine, sourceAddress } from "../cert/options.ts";
import type { Certificate } from "../cert/types.ts";
import { certificateIdentity } from "../identity/ssh_certificate.ts";
import { type Identity, IdentityError, isUnderDomain, keyIdentity } from "../identity/principal.ts";
import { equal } from "../bytes/bytes.ts";
import { parseAddressRange } from "../bytes/ip_range.ts";
import type { LineOptions } from "../keys/authorized_keys_options.ts";
import { findAuthorizedKey, lineApplies } from "../keys/authorized_keys.ts";
import { type Restrictions, UNRESTRICTED } from "../keys/restrictions.ts";
import type { PublicKey } from "../keys/types.ts";
import { isIdentityRevoked, type OwnAuthority, type Trust, trustDomainsOf } from "./trust.ts";

/** A key whose signature was verified. */
export interface KeyProof {
  readonly kind: "key";
  readonly key: PublicKey;
}

/** A certificate whose key's signature was verified. */
export interface CertificateProof {
  readonly kind: "certificate";
  /** The certified key. */
  readonly key: PublicKey;
  readonly certificate: Certificate;
}

/** A credential that was checked whole when it was shown. Of a token nothing but what it says is kept. */
export interface VerifiedProof {
  readonly kind: "token" | "x509" | "join";
  readonly identity: Identity;
}

/** What a client showed. */
export type Proof = KeyProof | CertificateProof | VerifiedProof;

/** A client that was let in. */
export interface Login {
  readonly identity: Identity;
  /** Of its line and its certificate. */
  readonly restrictions: Restrictions;
  readonly proof: Proof;
}

export interface LoginRefusal {
  /** For the log: peers learn none of it. */
  readonly refused: string;
}

/** When and from where. To judge an open connection anew, give the time of its login: expiry ends only what is new. */
export interface LoginContext {
  readonly now: number;
  readonly address?: string;
}

/** Who the holder of `proof` is. Its possession was proven, or will be: the signature decides, not the question. */
export async function judgeLogin(
  trust: Trust,
  proof: Proof,
  context: LoginContext,
): Promise<Login | LoginRefusal> {
  const login = await judgeProof(trust, proof, context);
  if ("refused" in login || !isIdentityRevoked(trust, login.identity)) return login;
  return { refused: "revoked" };
}

function judgeProof(trust: Trust, proof: Proof, context: LoginContext): Promise<Login | LoginRefusal> {
  switch (proof.kind) {
    case "key":
      return byKey(trust, proof, context);
    case "certificate":
      return byCertificate(trust, proof, context);
    case "token":
    case "x509":
    case "join":
      return byVerified(trust, proof);
  }
}

async function isRevoked(
  { keyring, authority }: Trust,
  proof: KeyProof | CertificateProof,
): Promise<boolean> {
  const subject = proof.kind === "certificate" ? proof.certificate : proof.key;
  return await keyring.isRevoked(proof) || (await authority?.list.isRevoked(subject) ?? false);
}

async function byKey(trust: Trust, proof: KeyProof, context: LoginContext): Promise<Login | LoginRefusal> {
  if (await isRevoked(trust, proof)) return { refused: "revoked" };
  const { keyring, enrolment } = trust;
  const entry = findAuthorizedKey(keyring.known.map(({ entry }) => entry), proof.key, context);
  if (!entry) {
    const enrolled = await enrolment?.identityOf(proof.key);
    if (enrolled) return { identity: enrolled, restrictions: UNRESTRICTED, proof };
    return { refused: "no line lets this key in from here and now" };
  }
  const { owner } = keyring.known.find((known) => known.entry === entry)!;
  const { restrictions, expiresAt, comment } = entry;
  const identity = keyIdentity({
    fingerprint: await proof.key.fingerprint(),
    owner,
    comment,
    expiresAt,
    restrictions: {
      forceCommand: restrictions.forceCommand,
      portForwarding: restrictions.permitPortForwarding,
      ...(entry.from !== undefined && { sourceAddresses: sourcesOf(entry.from, context.address) }),
    },
  });
  return { identity, restrictions, proof };
}

/**
 * A line's `from` as a certificate can have it. Patterns and exceptions it cannot: then what is got with the key is for the
 * address that it was got from.
 */
function sourcesOf(from: string, address: string | undefined): string[] {
  try {
    const ranges = from.split(",").map((text) => parseAddressRange(text.trim()));
    return ranges.map(({ text }) => text);
  } catch {
    return address === undefined ? [] : [address];
  }
}

/** The credential itself stands until it expires, which ends only what is new: what can end it is somebody else's word. */
async function byVerified(trust: Trust, proof: VerifiedProof): Promise<Login | LoginRefusal> {
  const { kind, identity } = proof;
  if (kind === "token" && !trust.tokens?.issuers.has(identity.issuer)) {
    return { refused: "the issuer is no longer trusted" };
  }
  if (kind === "join" && !await trust.enrolment?.stands(identity)) {
    return { refused: "the join token was taken back" };
  }
  return { identity, restrictions: UNRESTRICTED, proof };
}

/** Somebody whose word on who a certificate's holder is counts. */
interface Voucher {
  readonly line: LineOptions;
  readonly trustDomain?: string;
  /** It is the authority of this gateway. */
  readonly ours?: boolean;
}

async function byCertificate(
  trust: Trust,
  proof: CertificateProof,
  context: LoginContext,
): Promise<Login | LoginRefusal> {
  if (await isRevoked(trust, proof)) return { refused: "revoked" };
  const { certificate } = proof;
  let refused = "untrusted-authority";
  for (const voucher of vouchersOf(trust, certificate, context)) {
    const fault = await checkCertificate(certificate, {
      role: "user",
      // The login name means nothing here: whoever the certificate names is who it is, unless the line says whom it takes.
      principals: voucher.line.principals ?? certificate.principals,
      now: context.now,
      trusted: () => true,
      peerAddress: context.address,
    });
    if (fault) {
      refused = fault;
      continue;
    }
    const restrictions = restrictionsUnderLine(certificate, voucher.line);
    if (!restrictions) {
      refused = "line and certificate force different commands";
      continue;
    }
    try {
      return { identity: await identityOf(trust, voucher, proof, restrictions), restrictions, proof };
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      refused = error.message;
    }
  }
  return { refused };
}

function vouchersOf(trust: Trust, certificate: Certificate, context: LoginContext): Voucher[] {
  const { signatureKey } = certificate;
  const own = trust.authority;
  const ours = own?.user.some(({ blob }) => equal(blob, signatureKey.blob))
    ? [{
      line: { authority: true, restrictions: UNRESTRICTED },
      trustDomain: domainOf(certificate, own),
      ours: true,
    }]
    : [];
  const others = trust.keyring.known
    .filter(({ entry }) =>
      entry.authority && equal(entry.key.blob, signatureKey.blob) && lineApplies(entry, context)
    )
    .map(({ entry, trustDomain }) => ({ line: entry, trustDomain }));
  return [...ours, ...others];
}

/** Our authority certifies names under several domains: the one that the holder's name lies under, the deepest of them. */
function domainOf(
  { principals }: Certificate,
  { domain, trustDomains }: Pick<OwnAuthority, "domain" | "trustDomains">,
): string | undefined {
  const name = principals.find((principal) => !principal.startsWith("group:"))?.toLowerCase() ?? "";
  const at = name.lastIndexOf("@");
  const host = name.slice(at + 1);
  // Under the gateway's own domain are nodes and people's addresses, and no workloads' accounts.
  return [...trustDomains, ...at < 0 ? [domain] : []]
    .filter((domain) => isUnderDomain(host, domain))
    .sort((a, b) => b.length - a.length)[0];
}

async function identityOf(
  trust: Trust,
  { trustDomain, ours }: Voucher,
  { key, certificate }: CertificateProof,
  restrictions: Restrictions,
): Promise<Identity> {
  const identity = certificateIdentity(certificate, {
    fingerprint: await key.fingerprint(),
    authority: await certificate.signatureKey.fingerprint(),
    trustDomain,
    trustDomains: trustDomainsOf(trust),
    ours,
    restrictions: {
      forceCommand: restrictions.forceCommand,
      sourceAddresses: sourceAddress(certificate)?.split(",").map((address) => address.trim()),
    },
  });
  const portForwarding = restrictions.permitPortForwarding;
  return { ...identity, restrictions: { ...identity.restrictions, portForwarding } };
}
