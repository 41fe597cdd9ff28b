/** DNS host names: what they are made of, and the ASCII spelling of those that are written in other letters. */

/** RFC 1035 §2.3.4. */
export const MAX_DNS_NAME_LENGTH = 253;

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** What inet_aton reads as an address (127.1, 0x7f.1, 2130706433) ends so. */
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/** Whether `text` is one label of a host name in its one spelling: lower-case ASCII, no wildcard. */
export function isDnsLabel(text: string): boolean {
  return LABEL.test(text);
}

/**
 * Whether `text` is a host name in its one spelling: labels as {@link isDnsLabel} has them, one or more, no trailing dot, and
 * nothing that some program reads as an IP address.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { isDnsName } from "./dns_name.ts";
 * assert.equal(isDnsName("web.example.com"), true);
 * for (const other of ["Web.example", "web.example.", "*.example", "127.1"]) assert.equal(isDnsName(other), false);
 * ```
 */
export function isDnsName(text: string): boolean {
  return text.length <= MAX_DNS_NAME_LENGTH && text.split(".").every(isDnsLabel) &&
    !ENDS_IN_NUMBER.test(text);
}

/**
 * `text` in ASCII by IDNA (UTS #46), which is the platform's URL parser's: every web-standard runtime has that. What is ASCII
 * already comes back as it is, labels that claim to be encoded (`xn--…`) excepted: those are checked and spelt anew.
 * @returns undefined for what has no such spelling. What comes back need not be a name: ask {@link isDnsName}.
 */
export function toAsciiName(text: string): string | undefined {
  // deno-lint-ignore no-control-regex
  if (/^[\x00-\x7f]*$/.test(text) && !/(^|\.)xn--/i.test(text)) return text;
  // The parser would take these for parts of a URL, decode them, or drop them silently.
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x20\x7f/\\?#@:%[\]\p{Cf}\p{Zl}\p{Zp}]/u.test(text)) return undefined;
  try {
    return new URL(`http://${text}/`).hostname;
  } catch {
    return undefined;
  }
}
