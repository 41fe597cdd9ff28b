/** Addresses in CIDR blocks and in the lists of `from=` and `source-address`. */
import ipaddr from "ipaddr.js";
import { matchPatternList, type PatternVerdict } from "./patterns.ts";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** The address of a peer. IPv4 inside IPv6 (`::ffff:192.0.2.1`) counts as IPv4; a zone (`%eth0`) is dropped. */
function parsePeer(text: string): Address | undefined {
  const bare = text.replace(/%.*$/, "");
  if (!isAddress(bare)) return undefined;
  return ipaddr.process(bare);
}

/** Whether this is an address in its usual form: not `010.1`, not `0x7f000001`, which ipaddr.js would read as well. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (text.includes(":") && ipaddr.IPv6.isValid(text));
}

/** An address, or `address/length` whose host bits are zero. Undefined for everything else. */
function parseBlock(text: string): [Address, number] | undefined {
  const [address, length, ...more] = text.split("/");
  if (more.length > 0 || !isAddress(address)) return undefined;
  const parsed = ipaddr.parse(address);
  const size = parsed.kind() === "ipv4" ? 32 : 128;
  if (length === undefined) return [parsed, size];
  if (!/^\d{1,3}$/.test(length) || Number(length) > size) return undefined;
  const block: [Address, number] = [parsed, Number(length)];
  return hostBitsAreZero(block) ? block : undefined;
}

function hostBitsAreZero([address, length]: [Address, number]): boolean {
  return address.toByteArray().every((byte, index) => {
    const networkBits = Math.min(8, Math.max(0, length - 8 * index));
    return (byte & (0xff >> networkBits)) === 0;
  });
}

/** Whether `address` lies in `block` (an address or CIDR). False for what is neither. */
export function inBlock(address: string, block: string): boolean {
  const peer = parsePeer(address);
  const parsed = parseBlock(block);
  if (!peer || !parsed || peer.kind() !== parsed[0].kind()) return false;
  return peer.match(parsed[0] as ipaddr.IPv4 & ipaddr.IPv6, parsed[1]);
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
