/** Address ranges, port ranges and durations as flags and policies write them. */
import ipaddr from "ipaddr.js";

/** Inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** IP addresses that share a prefix. */
export interface AddressRange {
  /** As it was written. */
  readonly text: string;
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  readonly prefix: number;
}

/** What may be dialled: addresses, or names by a pattern, at some ports. */
export interface DialRange {
  /** As it was written. */
  readonly text: string;
  readonly host: { readonly addresses: AddressRange } | { readonly names: string };
  readonly ports: PortRange;
}

/**
 * Reads `22` or `8000-8100`; ports are 1–65535.
 * @throws {TypeError} with a sentence
 */
export function parsePortRange(text: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!match || first < 1 || last > 65535) {
    throw new TypeError(`'${text}' is not a port or a range of ports: write 22 or 8000-8100, within 1-65535`);
  }
  if (first > last) throw new TypeError(`'${text}' is no range of ports: ${first} is above ${last}`);
  return { first, last };
}

export function portInRange(range: PortRange, port: number): boolean {
  return range.first <= port && port <= range.last;
}

/**
 * Reads an IPv4 address in four decimal parts or an IPv6 address; an IPv4-mapped one becomes IPv4. Undefined for
 * anything else, the other notations of `inet_aton` among them: what one program reads as a name and another as
 * 127.0.0.1 is how a check is passed by.
 */
export function parseIp(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!text.includes(":") || text.includes("%") || !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.process(text);
}

/**
 * Reads `10.0.0.0/8`, `fd00::/8` or a single address.
 * @throws {TypeError} with a sentence: not an address, or bits set beyond the prefix (a likely slip)
 */
export function parseAddressRange(text: string): AddressRange {
  const slash = text.indexOf("/");
  const host = slash < 0 ? text : text.slice(0, slash);
  const address = parseIp(host);
  if (!address) throw new TypeError(`'${text}' is not an IP address or a range like 10.0.0.0/8`);
  const bits = address.kind() === "ipv4" ? 32 : 128;
  if (slash < 0) return { text, address, prefix: bits };
  const digits = text.slice(slash + 1);
  const prefix = /^\d{1,3}$/.test(digits) ? Number(digits) : NaN;
  if (!(prefix <= bits)) throw new TypeError(`'${text}': the prefix length must be 0-${bits}`);
  const network = networkOf(address, prefix);
  if (network !== address.toNormalizedString()) {
    throw new TypeError(`'${text}' has bits set after the prefix: did you mean ${network}/${prefix}?`);
  }
  return { text, address, prefix };
}

function networkOf(address: ipaddr.IPv4 | ipaddr.IPv6, prefix: number): string {
  const bytes = address.toByteArray().map((byte, i) => {
    const kept = Math.min(8, Math.max(0, prefix - 8 * i));
    return byte & (0xff00 >> kept);
  });
  return ipaddr.fromByteArray(bytes).toNormalizedString();
}

export function addressInRange(range: AddressRange, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return range.address.kind() === address.kind() && address.match(range.address, range.prefix);
}

/** Whether the peer's address `source` lies in one of `ranges`. What is not an IP address lies in none. */
export function sourceInRanges(ranges: readonly AddressRange[], source: string): boolean {
  const address = parseIp(source);
  return address !== undefined && ranges.some((range) => addressInRange(range, address));
}

/**
 * Addresses that lead back into the machine that dials, or to its cloud's metadata service: loopback, link-local,
 * unspecified (which Linux connects to itself), multicast and broadcast, and AWS's metadata address over IPv6.
 */
export function isSpecialAddress(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return SPECIAL_RANGES.has(address.range()) || address.toNormalizedString() === "fd00:ec2:0:0:0:0:0:254";
}

const SPECIAL_RANGES: ReadonlySet<string> = new Set([
  "loopback",
  "linkLocal",
  "unspecified",
  "multicast",
  "broadcast",
]);

/**
 * Reads what `--allow-dial` and `dial:` take: `10.0.0.0/8:5432`, `10.0.0.7:8000-8100`, `[fd00::]/8:443`,
 * `[fd00::1/128]:443`, and, where `names` is true, `db.internal:5432`, `*.internal:443`.
 * @throws {TypeError} with a sentence
 */
export function parseDialRange(text: string, options: { names?: boolean } = {}): DialRange {
  const match = /^(?:\[([^\]]*)\](\/\d{1,3})?|([^:[\]]+)):(\d{1,5}(?:-\d{1,5})?)$/.exec(text);
  if (!match) {
    throw new TypeError(
      `'${text}' is not a destination: write 10.0.0.0/8:5432, 10.0.0.7:8000-8100 or [fd00::/8]:443`,
    );
  }
  const ports = parsePortRange(match[4]);
  const host = match[1] !== undefined ? match[1] + (match[2] ?? "") : match[3];
  const looksNumeric = match[1] !== undefined || /^[\d.]+$|\//.test(host);
  if (!options.names || looksNumeric) {
    return { text, host: { addresses: parseAddressRange(host) }, ports };
  }
  return { text, host: { names: host.toLowerCase() }, ports };
}

/**
 * Whether a dial range covers an address. A special address ({@link isSpecialAddress}) is covered only by a range that
 * consists of special ones: `0.0.0.0/0` does not open 127.0.0.1 or 169.254.169.254, `127.0.0.1/32` does.
 * @param address where the connection would really go
 * @param options.special true: the range covers special addresses like any other (for rules that deny)
 */
export function dialRangeCoversAddress(
  range: DialRange,
  address: ipaddr.IPv4 | ipaddr.IPv6,
  port: number,
  options: { special?: boolean } = {},
): boolean {
  if (!("addresses" in range.host) || !portInRange(range.ports, port)) return false;
  if (!addressInRange(range.host.addresses, address)) return false;
  return options.special || !isSpecialAddress(address) || isNarrow(range.host.addresses);
}

/** Whether a range that holds a special address holds only such: long enough not to be meant as "everything". */
function isNarrow(range: AddressRange): boolean {
  const shortest = range.address.kind() === "ipv4" ? 8 : 10;
  return range.prefix >= shortest && isSpecialAddress(range.address);
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Reads `30s`, `8h`, `1h30m`, `7d` as milliseconds.
 * @throws {TypeError} with a sentence; zero is one too
 */
export function parseDuration(text: string): number {
  let total = 0;
  if (/^(?:\d{1,9}(?:ms|[smhd]))+$/.test(text)) {
    for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhd])/g)) total += Number(count) * UNITS[unit];
  }
  if (total <= 0) throw new TypeError(`'${text}' is not a duration: write 30s, 15m, 8h, 1h30m or 7d`);
  return total;
}
