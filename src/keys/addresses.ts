/** Addresses in the lists of `from=` and `source-address`. */
import { type IpAddress, parseIp } from "../bytes/ip_address.ts";
import { addressInRange, type AddressRange, parseAddressRange } from "../bytes/ip_range.ts";
import { matchPatternList, type PatternVerdict } from "./patterns.ts";

/** The address of a peer; a zone (`%eth0`) is dropped. */
function parsePeer(text: string): IpAddress | undefined {
  return parseIp(text.replace(/%.*$/, ""));
}

/** An address or a CIDR block. Undefined for everything else, and where host bits are set. */
function parseBlock(text: string): AddressRange | undefined {
  try {
    return parseAddressRange(text);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Whether `address` lies in `block` (an address or CIDR). False for what is neither. */
export function inBlock(address: string, block: string): boolean {
  const peer = parsePeer(address);
  const range = parseBlock(block);
  return peer !== undefined && range !== undefined && addressInRange(range, peer);
}

/**
 * Whether a certificate's `source-address` lets `address` in: addresses and CIDR blocks alone, separated by commas.
 * An empty list, or one with an entry that is none of these, lets nobody in.
 */
export function matchesSourceAddress(address: string | undefined, list: string): boolean {
  if (address === undefined) return false;
  const entries = list.split(",");
  return entries.every((entry) => parseBlock(entry) !== undefined) &&
    entries.some((entry) => inBlock(address, entry));
}

/**
 * What a `from=` list says of a peer: patterns of addresses and host names, CIDR blocks, negation by `!`. A CIDR block
 * that cannot be read counts as a negation that matched, so that a typing error lets nobody in.
 *
 * @param peer.host the verified host name, where somebody looked it up; without, names match nothing
 */
export function matchFrom(
  peer: { readonly address?: string; readonly host?: string },
  list: string,
): PatternVerdict {
  let verdict: PatternVerdict = "none";
  for (const entry of list.split(",").map((part) => part.trim())) {
    const negated = entry.startsWith("!");
    const pattern = negated ? entry.slice(1) : entry;
    if (pattern.includes("/") && !parseBlock(pattern)) return "negated";
    if (!matchesOne(peer, pattern)) continue;
    if (negated) return "negated";
    verdict = "match";
  }
  return verdict;
}

function matchesOne({ address, host }: { address?: string; host?: string }, pattern: string): boolean {
  if (pattern === "") return false;
  const lower = pattern.toLowerCase();
  if (address !== undefined) {
    if (inBlock(address, pattern)) return true;
    const plain = parsePeer(address)?.toString() ?? address;
    if (matchPatternList(plain.toLowerCase(), lower) === "match") return true;
  }
  return host !== undefined && matchPatternList(host.toLowerCase(), lower) === "match";
}
