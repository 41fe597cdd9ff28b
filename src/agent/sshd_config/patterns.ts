/** Patterns of addresses, groups and users, over those that keys have too. */
import { matchFrom } from "../../keys/addresses.ts";
import { matchesPattern, matchPatternList, type PatternVerdict } from "../../keys/patterns.ts";

/** Judges somebody's groups: one excluded group excludes. */
export function matchAnyOfList(texts: readonly string[], list: string): PatternVerdict {
  const verdicts = texts.map((text) => matchPatternList(text, list));
  return verdicts.includes("negated") ? "negated" : verdicts.includes("match") ? "match" : "none";
}

/** Throws `TypeError` when an entry of a list of hosts and addresses is an address range that is none. */
export function checkAddressList(list: string): void {
  for (const entry of list.split(",")) {
    const range = entry.replace(/^!/, "");
    // What cannot be read as a range counts as a negation that matched.
    if (range.includes("/") && matchFrom({}, range) === "negated") {
      throw new TypeError(`'${range}' is not an address range, or has bits set beyond its mask`);
    }
  }
}

/**
 * Whether a login matches one entry of Allow- or DenyUsers: `USER` or `USER@HOST`, where HOST is a list of host
 * patterns, addresses and ranges.
 */
export function matchesUser(
  login: { readonly user: string; readonly host: string; readonly address: string },
  entry: string,
): boolean {
  const at = entry.lastIndexOf("@");
  if (at < 0) return matchesPattern(login.user, entry);
  return matchesPattern(login.user, entry.slice(0, at)) && matchFrom(login, entry.slice(at + 1)) === "match";
}
