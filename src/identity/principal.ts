/**
 * Who is at the other end.
 *
 * Two identities are the same only if issuer *and* subject are; names, e-mail addresses and fingerprints are for rules
 * and people. Trusting an issuer says who someone is, never what they may do: that is `policy/`.
 */

/** What kind of credential an identity was proved with. */
export const identityKinds = ["key", "ssh-cert", "jwt", "x509", "oidc", "join", "anonymous"] as const;
export type IdentityKind = typeof identityKinds[number];

/** Which credential it was, for flow records and logs. Never a secret. */
export interface Credential {
  /** Of the public key or certificate: `SHA256:…`. */
  readonly fingerprint?: string;
  /** Serial number of a certificate, decimal (SSH) or hexadecimal (X.509). */
  readonly serial?: string;
  /** Key id of an SSH certificate, `kid` or `jti` of a token. For people, never for decisions. */
  readonly keyId?: string;
}

/** What a credential forbids its bearer, whatever the rules say. Carried over into what is issued for it. */
export interface CredentialLimits {
  /** Where it may be used from, as CIDR or addresses. Present but empty: nowhere. */
  readonly sourceAddresses?: readonly string[];
  /** The one command that sessions run. */
  readonly forceCommand?: string;
  /** False: opens no forward, channel or registration (a certificate without `permit-port-forwarding`). */
  readonly portForwarding?: boolean;
}

/** A bearer as a credential has proved it. Immutable. */
export interface Identity {
  readonly kind: IdentityKind;
  /** `key`, `ssh-ca:SHA256:…`, the token's `iss`, the trust domain, … */
  readonly issuer: string;
  /** Within the issuer: a fingerprint, a principal, the token's `sub`. */
  readonly subject: string;
  /** For rules and people: `ann@mycorp.com`, `KSA@NS.TD`, a key's fingerprint. Not unique over issuers. */
  readonly name: string;
  /** The DNS name that the credential itself carries, normalised: what `node: self` stands for. */
  readonly fqdn?: string;
  /** Verified by the issuer, lower-case, never under a trust domain. */
  readonly email?: string;
  readonly trustDomain?: string;
  /** Groups of the policy that an authority of our own vouches for. What others claim stays in `claims.groups`. */
  readonly groups: readonly string[];
  /** What the issuer says about the bearer, for `claims:` in rules. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** May do everything here that no rule denies. */
  readonly owner: boolean;
  /** Milliseconds since 1970 from which on the credential opens nothing new. */
  readonly expiresAt?: number;
  readonly restrictions: CredentialLimits;
  readonly credential: Credential;
}

/** What makes an identity the same: compare with {@link sameIdentity}. */
export type IdentityRef = Pick<Identity, "issuer" | "subject">;

/** Whether both are the same bearer: issuer and subject are equal. */
export function sameIdentity(a: IdentityRef, b: IdentityRef): boolean {
  return a.issuer === b.issuer && a.subject === b.subject;
}

/** Text that stands for an identity in memory: equal for those that are the same, and for no others. */
export function identityKey({ issuer, subject }: IdentityRef): string {
  return JSON.stringify([issuer, subject]);
}

/** Nobody in particular. Not the same as any other identity that was proved. */
export const anonymous: Identity = Object.freeze({
  kind: "anonymous",
  issuer: "anonymous",
  subject: "anonymous",
  name: "anonymous",
  groups: [],
  claims: {},
  owner: false,
  restrictions: {},
  credential: {},
});

/** A bare key proves nothing but itself: its fingerprint is subject and name. */
export function keyIdentity(key: {
  /** `SHA256:…` */
  readonly fingerprint: string;
  readonly owner: boolean;
  /** Comment of the authorized_keys line, for people. */
  readonly comment?: string;
  readonly expiresAt?: number;
  readonly restrictions?: CredentialLimits;
}): Identity {
  return {
    kind: "key",
    issuer: "key",
    subject: key.fingerprint,
    name: key.fingerprint,
    groups: [],
    claims: {},
    owner: key.owner,
    ...(key.expiresAt !== undefined && { expiresAt: key.expiresAt }),
    restrictions: key.restrictions ?? {},
    credential: { fingerprint: key.fingerprint, ...(key.comment && { keyId: key.comment }) },
  };
}

/** Issuer of identities of keys that were enrolled here with a join token: such a key may serve the name that it was given. */
export const ENROLLED_ISSUER = "enrolled";

/** A credential that is genuine and yet names nobody we can accept. */
export class IdentityError extends Error {
  override readonly name = "IdentityError";
  constructor(readonly code: "no-name" | "email-under-trust-domain" | "malformed-name", message: string) {
    super(message);
  }
}

/** Whether `name` is `domain` or below it. Both normalised. */
export function isUnderDomain(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}
