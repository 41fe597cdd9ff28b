/**
 * Names of nodes: one spelling for each, and what a forward request's address and port mean.
 *
 * A name is normalised once, where it enters, and compared as text ever after.
 */
import { isDnsLabel, isDnsName, MAX_DNS_NAME_LENGTH, toAsciiName } from "../bytes/dns_name.ts";
import { parseIp } from "../bytes/ip_address.ts";
import { isLoopback } from "../bytes/ip_range.ts";

/** Longest text that is looked at: a name of 253 ASCII characters may be written in more. */
const MAX_TEXT_LENGTH = 1024;

/** A name that cannot be one, and why, as a sentence for the peer. */
export class NameError extends Error {
  override readonly name = "NameError";
}

const LETTERS = "a name has letters, digits and '-' in labels of 1 to 63, separated by dots";

/**
 * The one spelling of a DNS name: lower-case, IDNA in ASCII (UTS #46, as URLs do), no trailing dot.
 *
 * | in | out |
 * |---|---|
 * | `Web.Example.COM.` | `web.example.com` |
 * | `bücher.example` | `xn--bcher-kva.example` |
 *
 * @throws {NameError} for IP addresses in any notation, empty or too long labels, and what a DNS host name may not hold
 */
export function normalizeName(text: string): string {
  if (text.length > MAX_TEXT_LENGTH) throw new NameError("the name is too long");
  const name = toAsciiName(text)?.toLowerCase().replace(/\.$/, "");
  if (name === undefined) throw new NameError(`this is no valid internationalised name: ${LETTERS}`);
  if (name.length > MAX_DNS_NAME_LENGTH) throw new NameError("the name is too long");
  if (!name.split(".").every(isDnsLabel)) throw new NameError(LETTERS);
  if (!isDnsName(name)) throw new NameError("this is a number or an IP address, not a name");
  return name;
}

/**
 * The full name under which a node is registered: a name of one label is short for `NAME.DOMAIN`.
 * @param name normalised
 * @param domain the gateway's domain, normalised
 */
export function fullName(name: string, domain: string): string {
  return name.includes(".") || name === domain ? name : `${name}.${domain}`;
}

/** The short alias `NAME` of `NAME.DOMAIN`; undefined for names elsewhere, deeper below, and the domain itself. */
export function shortName(fullName: string, domain: string): string | undefined {
  if (!fullName.endsWith(`.${domain}`)) return undefined;
  const label = fullName.slice(0, -domain.length - 1);
  return label.includes(".") ? undefined : label;
}

/**
 * The IP address that `text` is in plain notation (four decimal parts, or IPv6 with or without brackets), in its usual
 * spelling; IPv4-mapped ones as IPv4. Undefined for all else, zones and other notations among them.
 */
export function ipAddress(text: string): string | undefined {
  return parseIp(text.replace(/^\[(.*:.*)\]$/, "$1"))?.toString();
}

/** Whether an address (as {@link ipAddress} spells it) is loopback, or the "any" of its family. */
export function isLoopbackOrAny(address: string): boolean {
  return address === "0.0.0.0" || address === "::" || isLoopback(parseIp(address)!);
}
