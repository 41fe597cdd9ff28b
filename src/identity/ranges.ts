/** Address ranges, port ranges and durations as flags and policies write them. */
import { type IpAddress, parseIp } from "../bytes/ip_address.ts";
import { addressInRange, type AddressRange, parseAddressRange } from "../bytes/ip_range.ts";

/** Inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
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

/** Whether `port` is one of the range. */
export function portInRange(range: PortRange, port: number): boolean {
  return range.first <= port && port <= range.last;
}

/** Whether the peer's address `source` lies in one of `ranges`. What is not an IP address lies in none. */
export function sourceInRanges(ranges: readonly AddressRange[], source: string): boolean {
  const address = parseIp(source);
  return address !== undefined && ranges.some((range) => addressInRange(range, address));
}

/**
 * Addresses that lead back into the machine that dials, or to its cloud's metadata service: loopback, link-local,
 * unspecified (which Linux connects to itself), multicast and broadcast, the metadata addresses of clouds that chose others
 * than 169.254.169.254, and spellings of all these inside IPv6 that a translator on the way would take apart.
 */
export function isSpecialAddress(address: IpAddress): boolean {
  return SPECIAL_RANGES.some((range) => addressInRange(range, address));
}

const SPECIAL_RANGES: readonly AddressRange[] = [
  // RFC 6890. `::/96` is unspecified, loopback, and IPv4 addresses in a spelling given up long ago.
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/4",
  "255.255.255.255",
  "::/96",
  "fe80::/10",
  "ff00::/8",
  // Metadata: Azure, Alibaba, Oracle, AWS, Google.
  "168.63.129.16",
  "100.100.100.200",
  "192.0.0.192",
  "fd00:ec2::254",
  "fd20:ce::254",
  // The first three as NAT64 (RFC 6052) and 6to4 (RFC 3056) embed them.
  "64:ff9b::/104",
  "64:ff9b::7f00:0/104",
  "64:ff9b::a9fe:0/112",
  "2002::/24",
  "2002:7f00::/24",
  "2002:a9fe::/32",
].map(parseAddressRange);

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
  address: IpAddress,
  port: number,
  options: { special?: boolean } = {},
): boolean {
  if (!("addresses" in range.host) || !portInRange(range.ports, port)) return false;
  if (!addressInRange(range.host.addresses, address)) return false;
  return options.special || !isSpecialAddress(address) || isNarrow(range.host.addresses);
}

/** Whether a range consists of special addresses alone: it cannot be meant as "everything". */
function isNarrow({ address, prefix }: AddressRange): boolean {
  return SPECIAL_RANGES.some((special) => prefix >= special.prefix && addressInRange(special, address));
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
