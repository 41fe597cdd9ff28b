/** Claims as issuers of each kind make them, and the identity that comes of them. */
import { tokenIdentity } from "../../../src/identity/token/identity.ts";
import type { IssuerConfig } from "../../../src/identity/token/types.ts";
import { issuerConfig } from "./issuer.ts";

export const NOW = Date.parse("2026-08-01T12:00:00Z");

export type Claims = Record<string, unknown>;

/** The identity of a verified token of an issuer with `changes`, where others have the trust domains `others`, of a gateway of `domains`. */
export function identityOf(
  claims: Claims,
  changes: Partial<IssuerConfig> = {},
  others: readonly string[] = [],
  domains: readonly string[] = [],
) {
  const issuer = issuerConfig(changes);
  const trustDomains = [...issuer.trustDomain ? [issuer.trustDomain] : [], ...others];
  const facts = { claims, subject: String(claims.sub), expiresAt: NOW + 1, tokenId: "t" };
  return tokenIdentity(facts, issuer, trustDomains, domains);
}

export const pod = (subject: string, more: Claims = {}): Claims => ({ sub: subject, ...more });
export const google = (email: unknown, more: Claims = {}): Claims => ({
  sub: "1097",
  email,
  email_verified: true,
  ...more,
});

export const k8s: Partial<IssuerConfig> = { kind: "kubernetes", trustDomain: "prod.mycorp.com" };
export const gcp: Partial<IssuerConfig> = {
  kind: "google",
  issuer: "https://accounts.google.com",
  trustDomain: "gcp.gw.mycorp.com",
};
