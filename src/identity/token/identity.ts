/** From the claims of a verified token to an identity: one row for each kind of issuer. Pure. */
import { isDnsLabel, isDnsName } from "../../bytes/dns_name.ts";
import { claimAt } from "../claim_path.ts";
import { GROUP_PREFIX, meaningOf, NAME_PREFIX, type Named, normalizeDomain, workloadName } from "../names.ts";
import { type Identity, IdentityError, isUnderDomain } from "../principal.ts";
import type { Claims } from "./compact.ts";
import type { IssuerConfig, IssuerKind } from "./types.ts";

/** What has been verified about a token. */
export interface TokenFacts {
  readonly claims: Claims;
  /** `sub`. */
  readonly subject: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** `jti` or `kid`, printable. */
  readonly tokenId?: string;
}

/**
 * The identity that a token proves.
 *
 * | kind | name | more |
 * |---|---|---|
 * | kubernetes | `KSA@NS.TD` | FQDN `KSA.NS.svc.TD`, trust domain TD |
 * | google, service account `x@P.iam.gserviceaccount.com` | `x.P` | FQDN `x.P.TD`; TD is `gcp.DOMAIN` unless configured |
 * | google, compute default `N-compute@developer…` | `N` | FQDN `N.TD` |
 * | google, anybody else | verified e-mail address | |
 * | github | `repository` | |
 * | gitlab | `project_path` of a CI job, else as oidc | |
 * | entra | as oidc; an e-mail address counts as verified by `xms_edov`; `oid` before `sub` | |
 * | okta, oidc | verified e-mail address, else `sub` | FQDN where that is a name under TD |
 *
 * `claims` of the configuration goes before: `name` names the claim that is the name, `email` the one with an address that
 * the operator knows to be verified. Groups that the issuer tells of stay in `claims.groups`.
 *
 * @param trustDomains everybody's: no e-mail address and nobody else's name lies under them
 * @param domains of the gateway's nodes: nobody is called like one of them by a token's word alone
 * @throws {IdentityError} when the token names nobody we can accept
 */
export function tokenIdentity(
  facts: TokenFacts,
  issuer: IssuerConfig,
  trustDomains: readonly string[],
  domains: readonly string[] = [],
): Identity {
  const { subject, expiresAt, tokenId } = facts;
  const named = kinds[issuer.kind]({ ...facts, issuer, trustDomains });
  checkName(named, issuer.trustDomain, trustDomains, domains);
  return {
    kind: "jwt",
    issuer: issuer.issuer,
    subject,
    ...named,
    groups: [],
    claims: claimsForRules(facts.claims, issuer.claims.groups),
    owner: false,
    expiresAt,
    restrictions: {},
    credential: tokenId === undefined ? {} : { keyId: tokenId },
  };
}

interface Bearer extends TokenFacts {
  readonly issuer: IssuerConfig;
  readonly trustDomains: readonly string[];
}

const kinds: Readonly<Record<IssuerKind, (bearer: Bearer) => Named>> = {
  kubernetes: serviceAccount,
  google: googleAccount,
  github: (bearer) => plainName(bearer.issuer.claims.name ?? "repository", bearer),
  gitlab: (bearer) => {
    const isJob = typeof bearer.claims.project_path === "string";
    return isJob && !bearer.issuer.claims.name ? plainName("project_path", bearer) : person(bearer);
  },
  // `email` of Entra is whatever the tenant's administrator wrote, unless the domain's owner is known to have verified it.
  entra: (bearer) => person(bearer, { verified: "xms_edov", stable: "oid" }),
  okta: (bearer) => person(bearer),
  oidc: (bearer) => person(bearer),
};

function serviceAccount({ claims, subject, issuer }: Bearer): Named {
  const match = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(subject);
  if (!match) {
    throw new IdentityError("malformed-name", `'${subject}' is not system:serviceaccount:NAMESPACE:ACCOUNT`);
  }
  const [, namespace, account] = match;
  // The same once more, in newer tokens: two different answers would mean that one of them is not the API server's.
  const repeated = [
    [claims["kubernetes.io"], "namespace", namespace],
    [(claims["kubernetes.io"] as Claims | undefined)?.serviceaccount, "name", account],
  ] as const;
  for (const [object, key, expected] of repeated) {
    const value = (object as Claims | null | undefined)?.[key];
    if (value !== undefined && value !== expected) {
      throw new IdentityError("malformed-name", `the claim 'kubernetes.io' is not about '${subject}'`);
    }
  }
  return workloadName(
    account,
    namespace,
    issuer.trustDomain!,
    `${account}@${namespace}.${issuer.trustDomain}`,
  );
}

/** `x@PROJECT.iam.gserviceaccount.com`; PROJECT is `name.example.com` for projects of a domain. */
const SERVICE_ACCOUNT = /^([^@]+)@(.+)\.iam\.gserviceaccount\.com$/;
const COMPUTE_DEFAULT = /^(\d+)-compute@developer\.gserviceaccount\.com$/;

function googleAccount(bearer: Bearer): Named {
  const { claims, issuer: { trustDomain } } = bearer;
  const email = verifiedEmail(bearer);
  if (email === undefined) {
    const why = claims.email === undefined
      ? "has no e-mail address"
      : `has an unverified e-mail address, '${claims.email}'`;
    throw new IdentityError("no-name", `the Google account ${why}`);
  }
  const account = SERVICE_ACCOUNT.exec(email);
  const compute = COMPUTE_DEFAULT.exec(email);
  if (!account && !compute) return mappedName(bearer, email) ?? { name: email, email };
  if (account && !(isDnsLabel(account[1]) && isDnsName(account[2]))) throw notAName("email", email);
  const name = account ? `${account[1]}.${account[2]}` : compute![1];
  return { name, email, ...(trustDomain !== undefined && { fqdn: `${name}.${trustDomain}`, trustDomain }) };
}

/** Somebody known by a verified e-mail address, else by what is `stable` within the issuer, else by `sub`. */
function person(bearer: Bearer, { verified = "email_verified", stable = "sub" } = {}): Named {
  const email = verifiedEmail(bearer, verified);
  const mapped = mappedName(bearer, email);
  if (mapped) return mapped;
  if (email !== undefined) return { name: email, email };
  return plainName(typeof bearer.claims[stable] === "string" ? stable : "sub", bearer);
}

/** By the claim that the configuration names; undefined where it names none. */
function mappedName(bearer: Bearer, email: string | undefined): Named | undefined {
  const path = bearer.issuer.claims.name;
  return path === undefined ? undefined : plainName(path, bearer, email);
}

/**
 * The address, if it is verified. The configuration vouches for another claim than `email`, and where nothing says whether
 * an address is verified; never against the token's own word.
 * @param verified the claim that says so
 */
function verifiedEmail(
  { claims, issuer, trustDomains }: Bearer,
  verified = "email_verified",
): string | undefined {
  const mapped = issuer.claims.email;
  const path = mapped ?? "email";
  const value = claimAt(claims, path);
  if (value === undefined || value === "") return undefined;
  if (mapped === undefined && !isYes(claims[verified])) return undefined;
  for (const flag of path === "email" ? ["email_verified", verified] : ["email_verified"]) {
    if (claims[flag] === undefined || isYes(claims[flag])) continue;
    throw new IdentityError("no-name", `the e-mail address in '${path}' is not verified ('${flag}')`);
  }
  return emailAddress(value, path, trustDomains);
}

/** `true` as issuers spell it: some give texts, `xms_edov` also comes as a number. */
function isYes(value: unknown): boolean {
  return value === true || value === "true" || value === 1 || value === "1";
}

/** Letters that mean nothing to shells, lists and patterns: what is written unquoted by people with one address. */
const LOCAL_PART = /^[a-z0-9_][a-z0-9._+'=~-]{0,63}$/;

/** The one spelling of an e-mail address. */
function emailAddress(value: unknown, path: string, trustDomains: readonly string[]): string {
  if (typeof value !== "string") throw notAName(path, value);
  const at = value.lastIndexOf("@");
  const local = value.slice(0, Math.max(at, 0)).toLowerCase();
  const domain = normalizeDomain(value.slice(at + 1));
  if (domain === undefined || !LOCAL_PART.test(local)) throw notAName(path, value);
  // An address under a trust domain, the issuer's own included, is refused there.
  return meaningOf(`${local}@${domain}`, { trustDomains }).email!;
}

/** What names in certificates are made of: no commas, spaces, wildcards, quotes, controls. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._:/@+=|-]{0,254}$/;

/**
 * The name in the claim at `path`: nobody's e-mail address unless it is `email`; a workload where it is under the issuer's
 * trust domain.
 */
function plainName(path: string, { claims, issuer, trustDomains }: Bearer, email?: string): Named {
  const value = claimAt(claims, path);
  if (value === undefined) {
    throw new IdentityError("no-name", `the token has no claim '${path}', which would be its name`);
  }
  if (typeof value !== "string" || !NAME.test(value)) throw notAName(path, value);
  const { email: address, ...named } = meaningOf(value, { trustDomain: issuer.trustDomain, trustDomains });
  if (address !== undefined && address !== email) {
    throw new IdentityError(
      "no-name",
      `the claim '${path}' is an e-mail address that nothing says is verified, '${address}'; if the issuer verifies it, ` +
        `configure claims: { email: ${path} }`,
    );
  }
  return email === undefined ? named : { ...named, email };
}

/** What names of other credentials begin with, in lower case. */
const PREFIXES: readonly (readonly [prefix: string, what: string])[] = [
  [GROUP_PREFIX, "a group"],
  [NAME_PREFIX, "another name"],
  ["sha256:", "somebody's key"],
  ["md5:", "somebody's key"],
  ["join:", "a join token"],
];

/** A name goes into certificates, where others read it: it must not be one that means somebody else there. */
function checkName(
  { name, fqdn }: Named,
  own: string | undefined,
  trustDomains: readonly string[],
  domains: readonly string[],
): void {
  const lower = name.toLowerCase();
  for (const [prefix, what] of PREFIXES) {
    if (!lower.startsWith(prefix)) continue;
    throw new IdentityError("malformed-name", `'${name}' would read as ${what}`);
  }
  const spiffe = /^spiffe:(?:\/\/([^/]*))?/.exec(lower);
  if (spiffe && (own === undefined || spiffe[1] !== own)) {
    throw new IdentityError(
      "malformed-name",
      `'${name}' is a SPIFFE ID of a trust domain that is not the issuer's`,
    );
  }
  const at = lower.lastIndexOf("@");
  const node = fqdn === undefined && at < 0 && domains.find((domain) => isUnderDomain(lower, domain));
  if (node) throw new IdentityError("malformed-name", `'${name}' would read as a node of ${node}`);
  if (fqdn !== undefined) refuseUnderOthers(fqdn, own, trustDomains);
  // `KSA@NS.TD` has been read as a workload's name; every other name stands for itself.
  if (fqdn === undefined || at < 0) refuseUnderOthers(lower.slice(at + 1), fqdn && own, trustDomains);
}

/** Trust domains may lie in one another: the innermost one that a name is under is its holder. */
function refuseUnderOthers(name: string, own: string | undefined, trustDomains: readonly string[]): void {
  const holders = trustDomains.filter((one) => isUnderDomain(name, one));
  const holder = holders.sort((a, b) => b.length - a.length)[0];
  if (holder === undefined || holder === own) return;
  throw new IdentityError("malformed-name", `'${name}' lies under the trust domain ${holder}`);
}

function notAName(path: string, value: unknown): IdentityError {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return new IdentityError("malformed-name", `the claim '${path}' is not usable as a name: '${text}'`);
}

/** Claims that are about the token, not about its bearer (RFC 7519 §4.1, OpenID Connect Core 1.0 §2). */
const ABOUT_THE_TOKEN = ["iss", "aud", "exp", "nbf", "iat", "jti", "nonce", "at_hash", "c_hash", "s_hash"];

/** The payload as rules see it: `groups` is a list of texts, from where the configuration says they are. */
function claimsForRules(claims: Claims, groupsPath: string | undefined): Claims {
  const kept = Object.entries(claims).filter(([name]) => !ABOUT_THE_TOKEN.includes(name));
  if (groupsPath === undefined) return Object.fromEntries(kept);
  const value = claimAt(claims, groupsPath);
  const groups = (Array.isArray(value) ? value : [value]).filter((group) => typeof group === "string");
  return { ...Object.fromEntries(kept), groups };
}
