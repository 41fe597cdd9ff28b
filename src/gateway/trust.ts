/** What logins are judged by: keys, authorities and issuers that are known, and what has been revoked. */
import type { RevocationList } from "../cert/revocation.ts";
import type { Authorities, Revoked } from "../ca/types.ts";
import type { Identity } from "../identity/principal.ts";
import type { TokenVerifier } from "../identity/token/types.ts";
import type { PublicKey } from "../keys/types.ts";
import type { Keyring } from "./keyring.ts";

/** Immutable but for what it asks of others: replaced as a whole. */
export interface Trust {
  readonly keyring: Keyring;
  /** Undefined: no token is accepted. */
  readonly tokens?: TrustedTokens;
  /** The authority whose certificates this gateway gives, as it was last heard of. Undefined: it has none, or not yet. */
  readonly authority?: OwnAuthority;
  /** Undefined: nobody can be enrolled. */
  readonly enrolment?: EnrolledKeys;
}

/** Issuers of tokens. */
export interface TrustedTokens {
  readonly verifier: TokenVerifier;
  /** What `issuer` an identity must have to be one of theirs. */
  readonly issuers: ReadonlySet<string>;
}

/** The authority as it is now. */
export interface OwnAuthority extends Authorities {
  readonly revoked: Revoked;
  /** Made of `revoked.krl`. */
  readonly list: RevocationList;
  /** Domains whose workloads it certifies, normalised: the gateway's trust domain and those of the issuers. */
  readonly trustDomains: readonly string[];
  /** The gateway's domain, normalised: it certifies nodes under it. */
  readonly domain: string;
}

/** Keys that were enrolled, and the tokens that do it. */
export interface EnrolledKeys {
  /** Whose the key is; undefined when it is not enrolled (any more). */
  identityOf(key: PublicKey): Promise<Identity | undefined>;
  /** Whether a token can be used now: only then are clients asked for one. */
  hasOpenTokens(): Promise<boolean>;
  /**
   * The identity, of kind `join`, of whoever has this token. It is not used up.
   * @throws {Error} with a sentence for the log when it is unknown, used or over
   */
  holderOf(token: string): Promise<Identity>;
  /** Whether the token of an identity of kind `join` still stands, used or not. */
  stands(holder: Identity): Promise<boolean>;
}

/** Trust domains that nobody's e-mail address may lie under. */
export function trustDomainsOf({ keyring, tokens }: Trust): readonly string[] {
  return [...new Set([...keyring.trustDomains, ...tokens?.verifier.trustDomains ?? []])];
}

/** Whether our authority has revoked somebody, or the X.509 certificate that proved them. */
export function isIdentityRevoked({ authority }: Trust, identity: Identity): boolean {
  if (!authority) return false;
  const { serial } = identity.credential;
  return authority.revoked.isIdentityRevoked(identity) ||
    (identity.kind === "x509" && serial !== undefined &&
      authority.revoked.x509Serials.has(serial.toLowerCase()));
}
