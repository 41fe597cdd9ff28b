/** Whether a token's claims say that it is meant for us, now, and for whom the configuration lets in. Pure. */
import { printable } from "../../bytes/printable.ts";
import { claimAt } from "../claim_path.ts";
import type { Claims } from "./compact.ts";
import { type IssuerConfig, TokenError } from "./types.ts";

/** How far clocks may be apart, in milliseconds. */
const LEEWAY = 60_000;

/** Longest `sub`: OpenID Connect has 255, CI systems put the names of branches in. */
const MAX_SUBJECT_LENGTH = 1024;

/**
 * Checks audience, times and required claims of a token whose signature and issuer have been verified.
 * @param now milliseconds since 1970
 * @returns the subject, and when it expires in milliseconds since 1970
 * @throws {TokenError}
 */
export function checkClaims(
  claims: Claims,
  issuer: IssuerConfig,
  now: number,
): { readonly subject: string; readonly expiresAt: number } {
  const subject = subjectOf(claims);
  checkAudience(claims.aud, issuer.audiences);
  const expiresAt = checkTimes(claims, now);
  for (const [path, wanted] of Object.entries(issuer.requiredClaims)) {
    if (hasClaim(claims, path, wanted)) continue;
    const value = claimAt(claims, path);
    const found = value === undefined ? "is missing" : `is ${shown(value)}`;
    throw new TokenError("claim", `the claim '${path}' must be ${wanted.join(" or ")}, and ${found}`);
  }
  return { subject, expiresAt };
}

function subjectOf({ sub }: Claims): string {
  if (typeof sub !== "string" || sub === "") {
    throw new TokenError("claim", "the token has no subject ('sub')");
  }
  if (sub.length > MAX_SUBJECT_LENGTH || printable(sub, MAX_SUBJECT_LENGTH) !== sub) {
    throw new TokenError(
      "identity",
      `the token's subject is too long, or not printable: '${printable(sub)}'`,
    );
  }
  return sub;
}

/** Exactly one of ours must be among them: no prefixes, no patterns, no case folding. */
function checkAudience(aud: unknown, audiences: readonly string[]): void {
  const found = Array.isArray(aud) ? aud : [aud];
  if (found.some((audience) => typeof audience === "string" && audiences.includes(audience))) return;
  const meant = aud === undefined
    ? "has no audience"
    : `is for ${shown(found.length === 1 ? found[0] : aud)}`;
  throw new TokenError("audience", `the token ${meant}; it must be for ${audiences.join(" or ")}`);
}

/** RFC 7519 §4.1.4–6; times there are seconds. */
function checkTimes(claims: Claims, now: number): number {
  const exp = time(claims, "exp");
  if (exp === undefined) throw new TokenError("claim", "the token never expires: it has no 'exp'");
  if (now >= exp + LEEWAY) throw new TokenError("expired", `the token has expired at ${date(exp)}`);
  for (const name of ["nbf", "iat"]) {
    const from = time(claims, name);
    if (from !== undefined && now < from - LEEWAY) {
      const why = `the token counts from ${date(from)} on ('${name}'): is a clock wrong?`;
      throw new TokenError("not-yet-valid", why);
    }
  }
  return exp;
}

/** Milliseconds. */
function time(claims: Claims, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw new TokenError("malformed", `the token's '${name}' is no number of seconds`);
  }
  return value * 1000;
}

/** RFC 3339 with what is not a date left as a number. */
function date(ms: number): string {
  return ms <= 8.64e15 ? new Date(ms).toISOString() : String(ms / 1000);
}

function hasClaim(claims: Claims, path: string, wanted: readonly string[]): boolean {
  const value = claimAt(claims, path);
  const values = Array.isArray(value) ? value : [value];
  return values.some((one) =>
    ["string", "number", "boolean"].includes(typeof one) && wanted.some((text) => meets(String(one), text))
  );
}

/** Exactly; and `*@DOMAIN` is any address of that domain. */
function meets(value: string, wanted: string): boolean {
  if (!wanted.startsWith("*@")) return value === wanted;
  const at = value.lastIndexOf("@");
  return at > 0 && value.slice(at) === wanted.slice(1);
}

function shown(value: unknown): string {
  return `'${printable(typeof value === "string" ? value : JSON.stringify(value))}'`;
}
