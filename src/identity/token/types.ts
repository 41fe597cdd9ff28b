/** Tokens: JSON Web Tokens (RFC 7519) of issuers that the configuration names. */
import type { Identity } from "../principal.ts";

/** Kinds of issuers whose claims are understood; `oidc` is any other. */
export const issuerKinds = ["kubernetes", "google", "github", "gitlab", "entra", "okta", "oidc"] as const;
export type IssuerKind = typeof issuerKinds[number];

/** What the configuration says about one issuer. */
export interface IssuerConfig {
  /** Exactly as tokens have it in `iss`. */
  readonly issuer: string;
  readonly kind: IssuerKind;
  /** Exactly one of these must be in `aud`. */
  readonly audiences: readonly string[];
  /** Path or URL of the JWKS; absent: by discovery from the issuer's URL. */
  readonly jwks?: string;
  /** Claims that a token must have, with one of these values each. A list in the token must contain one. */
  readonly requiredClaims: Readonly<Record<string, readonly string[]>>;
  /** Names under it are this issuer's alone. Normalised. */
  readonly trustDomain?: string;
  /** Where to find things that are not where the kind has them: paths of claims, `realm_access.roles`. */
  readonly claims: { readonly name?: string; readonly email?: string; readonly groups?: string };
  /** How long keys are kept while the issuer cannot be reached, in milliseconds. */
  readonly keepKeys: number;
}

/** A token that was checked whole: signature, issuer, audience, times, required claims. */
export interface VerifiedToken {
  readonly identity: Identity;
  /** For people and logs: `jti` or the key's id. */
  readonly tokenId?: string;
}

/** Why a token is not accepted. */
export type TokenErrorCode =
  | "malformed"
  | "unknown-issuer"
  /** `alg` is none, symmetric, or not what the key is for. */
  | "algorithm"
  | "unknown-key"
  | "signature"
  | "audience"
  | "expired"
  | "not-yet-valid"
  /** A required claim is missing or has another value. */
  | "claim"
  /** It names nobody we can accept: an unverified e-mail address, one under a trust domain, a malformed name. */
  | "identity"
  /** The issuer's keys cannot be had. */
  | "keys-unavailable";

/**
 * A token that is not accepted. The message is for the log: it holds claims at most, never the token or its signature.
 */
export class TokenError extends Error {
  override readonly name = "TokenError";
  constructor(
    readonly code: TokenErrorCode,
    message: string,
    /** Whose token it claims to be, for the audit record. Printable, not verified. */
    readonly claimed: { readonly issuer?: string; readonly subject?: string } = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Tells whose a token is. */
export interface TokenVerifier {
  /** @param now milliseconds since 1970 @throws {TokenError} */
  verify(token: string, now: number): Promise<VerifiedToken>;
  /** Gets the keys of every issuer, before a token asks. Never rejects: of those that cannot be had the log is told. */
  getKeys(): Promise<void>;
  /** Trust domains of the issuers: nobody else's names and no e-mail addresses lie under them. */
  readonly trustDomains: readonly string[];
}
