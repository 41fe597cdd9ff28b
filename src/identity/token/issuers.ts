/** Issuers as the configuration names them: the shape of its key `issuers`, and what follows from it. Pure. */
import { z } from "zod";
import { normalizeDomain } from "../names.ts";
import { parseDuration } from "../ranges.ts";
import { isSafeUrl } from "./documents.ts";
import { entraIssuerOf, guessKind, isEntraOfAll, requireQualification } from "./known_issuers.ts";
import { type IssuerConfig, type IssuerKind, issuerKinds } from "./types.ts";

/** How long keys are kept on while their issuer cannot be reached, when nobody says: a day, in milliseconds. */
const KEEP_KEYS = 24 * 3_600_000;

/** What Google's tokens have in `iss` is one of two spellings. The first one is the identity's issuer. */
const SPELLINGS: readonly (readonly string[])[] = [["https://accounts.google.com", "accounts.google.com"]];

/** The one spelling of an issuer that identities and configuration have. */
export function canonicalIssuer(issuer: string): string {
  return SPELLINGS.find((spellings) => spellings.includes(issuer))?.[0] ?? issuer;
}

/** A text that `parse` understands; what it throws becomes the sentence of the mistake. */
function text<T>(parse: (text: string) => T, expected: string) {
  return z.string({ error: expected }).min(1, { error: expected }).transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  });
}

const nonEmpty = z.string().min(1);
const claimValue = z.union([nonEmpty, z.number(), z.boolean()]).transform(String);
const needsValue = "a required claim must have a value, or a list of such";
const claimValues = z.union([claimValue, z.array(claimValue).min(1, needsValue)], { error: needsValue })
  .transform((values) => Array.isArray(values) ? values : [values]);
const needsAudience = "audiences must be a text, or a list of such";

const detailed = z.strictObject({
  issuer: text(readIssuer, "an issuer needs its URL: write issuer: https://login.mycorp.com").describe(
    "Exactly what tokens have in 'iss'.",
  ),
  kind: z.enum(issuerKinds, { error: `kind must be one of ${issuerKinds.join(", ")}` }).optional()
    .describe("Whose claims to expect; guessed from the URL, else oidc."),
  audiences: z.union([nonEmpty, z.array(nonEmpty).min(1, needsAudience)], { error: needsAudience }).optional()
    .describe("One of these must be in 'aud', exactly. Default: ssh://DOMAIN and ssh://DOMAIN:PORT."),
  jwks: text(readJwks, "jwks must be a file or a URL").optional().describe(
    "File or URL of the issuer's keys. Default: by discovery.",
  ),
  required_claims: z.record(nonEmpty, claimValues).optional()
    .describe(
      "Claims that must be there with this value, or one of these; paths such as realm_access.roles too.",
    ),
  trust_domain: text(readTrustDomain, "trust_domain must be a DNS name").optional()
    .describe("Names under it are this issuer's alone; service accounts are named in it."),
  claims: z.strictObject({
    name: nonEmpty.optional(),
    email: nonEmpty.optional(),
    groups: nonEmpty.optional(),
  }).optional().describe("Where name, (verified) e-mail address and groups are: paths of claims."),
  keep_keys: text(parseDuration, "keep_keys must be a duration such as 24h").optional()
    .describe("How long known keys are used while the issuer cannot be reached (default 24h)."),
});

/**
 * One issuer: its URL alone, or an object. `url` is another word for `issuer`.
 *
 * ```yaml
 * issuers:
 *   - https://login.mycorp.com
 *   - issuer: https://token.actions.githubusercontent.com
 *     required_claims: { repository_owner: mycorp }
 * ```
 */
export const issuerSchema = z.preprocess(spread, detailed).transform((set): IssuerSetting => ({
  issuer: set.issuer,
  kind: set.kind,
  audiences: typeof set.audiences === "string" ? [set.audiences] : set.audiences,
  jwks: set.jwks,
  requiredClaims: set.required_claims,
  trustDomain: set.trust_domain,
  claims: set.claims,
  keepKeys: set.keep_keys,
}));

/** What the configuration says about an issuer, each value checked by itself. */
export interface IssuerSetting {
  /** Canonical. */
  readonly issuer: string;
  readonly kind?: IssuerKind;
  readonly audiences?: readonly string[];
  readonly jwks?: string;
  readonly requiredClaims?: Readonly<Record<string, readonly string[]>>;
  /** Normalised. */
  readonly trustDomain?: string;
  readonly claims?: IssuerConfig["claims"];
  /** Milliseconds. */
  readonly keepKeys?: number;
}

function spread(value: unknown): unknown {
  if (typeof value === "string") return { issuer: value };
  if (typeof value !== "object" || value === null || !("url" in value) || "issuer" in value) return value;
  const { url: issuer, ...rest } = value;
  return { issuer, ...rest };
}

function readIssuer(value: string): string {
  const issuer = canonicalIssuer(value);
  if (!URL.canParse(issuer)) {
    throw new TypeError(`'${value}' is not the URL of an issuer: write https://login.mycorp.com`);
  }
  const url = new URL(issuer);
  if (url.username || url.password || url.search || url.hash || /[?#]/.test(issuer)) {
    throw new TypeError(`the issuer ${url.origin}${url.pathname} must have no user, query or fragment`);
  }
  if (!isSafeUrl(url)) {
    throw new TypeError(`the issuer ${value} must be https: anybody on the way could give its keys`);
  }
  return issuer;
}

function readJwks(value: string): string {
  if (!/^[a-z][a-z0-9+.-]*:/i.test(value)) return value;
  if (!URL.canParse(value) || !isSafeUrl(new URL(value))) {
    throw new TypeError(`'${value}': keys come from a file, or from an https URL`);
  }
  return value;
}

function readTrustDomain(value: string): string {
  const name = normalizeDomain(value);
  if (name === undefined) throw new TypeError(`'${value}' is not a trust domain: write a DNS name`);
  return name;
}

/** What the gateway's own configuration adds. */
export interface IssuerDefaults {
  /** For issuers that name none. */
  readonly audiences: readonly string[];
  /** The gateway's domain, normalised: Google's service accounts are named `x.P.gcp.DOMAIN`. */
  readonly domain?: string;
  /** The trust domain of the one Kubernetes issuer that names none. Normalised. */
  readonly trustDomain?: string;
}

/**
 * The issuers to trust, complete. An issuer named by its URL and in detail is the detailed one; one of all Entra tenants
 * becomes one for each required `tid`, since that is what tokens have in `iss`.
 * @throws {TypeError} with a sentence: what contradicts itself, or would let everybody in
 */
export function prepareIssuers(settings: readonly IssuerSetting[], defaults: IssuerDefaults): IssuerConfig[] {
  const detailed = settings.filter(isDetailed);
  const bare = new Set(settings.map(({ issuer }) => issuer));
  for (const { issuer } of detailed) bare.delete(issuer);
  const chosen = [...detailed, ...[...bare].map((issuer) => ({ issuer }))];
  const issuers = chosen.flatMap((setting) => complete(setting, defaults));
  refuseTwice(issuers.map(({ issuer }) => issuer), (issuer) => `the issuer ${issuer} is configured twice`);
  refuseTwice(
    issuers.flatMap(({ trustDomain }) => trustDomain ?? []),
    (domain) => `two issuers have the trust domain ${domain}: give each one its own`,
  );
  return issuers;
}

/** Whether more than its URL is said about an issuer. */
function isDetailed({ issuer: _, ...details }: IssuerSetting): boolean {
  return Object.values(details).some((value) => value !== undefined);
}

function complete(setting: IssuerSetting, defaults: IssuerDefaults): IssuerConfig[] {
  const { requiredClaims = {}, claims = {}, keepKeys = KEEP_KEYS, jwks } = setting;
  const url = new URL(setting.issuer);
  const kind = setting.kind ?? guessKind(url);
  requireQualification(url, requiredClaims);
  const audiences = setting.audiences ?? defaults.audiences;
  if (audiences.length === 0) throw new TypeError(`the issuer ${setting.issuer} needs an audience`);
  const trustDomain = trustDomainOf(setting, kind, defaults);
  if (kind === "kubernetes" && (claims.name ?? claims.email) !== undefined) {
    throw new TypeError(
      `service accounts of ${setting.issuer} are named by 'sub': leave out claims.name and claims.email`,
    );
  }
  const names = isEntraOfAll(url)
    ? requiredClaims.tid.map((tenant) => entraIssuerOf(url, tenant))
    : [setting.issuer];
  for (const issuer of names) requireQualification(new URL(issuer), requiredClaims);
  return names.map((issuer) => ({
    issuer,
    kind,
    audiences,
    requiredClaims,
    claims,
    keepKeys,
    ...(jwks !== undefined && { jwks }),
    ...(trustDomain !== undefined && { trustDomain }),
  }));
}

function trustDomainOf(
  { issuer, trustDomain }: IssuerSetting,
  kind: IssuerKind,
  defaults: IssuerDefaults,
): string | undefined {
  if (trustDomain !== undefined) return trustDomain;
  if (kind === "google" && defaults.domain !== undefined) return `gcp.${defaults.domain}`;
  if (kind !== "kubernetes") return undefined;
  if (defaults.trustDomain !== undefined) return defaults.trustDomain;
  throw new TypeError(
    `the Kubernetes issuer ${issuer} needs a trust_domain: its accounts are named KSA@NS.TRUSTDOMAIN`,
  );
}

function refuseTwice(values: readonly string[], sentence: (value: string) => string): void {
  const twice = values.find((value, index) => values.indexOf(value) !== index);
  if (twice !== undefined) throw new TypeError(sentence(twice));
}
