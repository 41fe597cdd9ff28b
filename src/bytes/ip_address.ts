/** IP addresses: read strictly, written canonically, compared by prefix. */
import { type Bytes, equal } from "./bytes.ts";

/** An IPv4 or IPv6 address. Two that are equal have equal text. */
export class IpAddress {
  /** @param bytes in network order, four of IPv4 or sixteen of IPv6; kept, and not to be changed */
  constructor(readonly bytes: Bytes) {}

  /** 32 of IPv4, 128 of IPv6. */
  get bits(): number {
    return 8 * this.bytes.length;
  }

  /** Canonical: four decimal parts, or RFC 5952 §4. */
  toString(): string {
    return this.bits === 32 ? this.bytes.join(".") : formatGroups(groupsOf(this.bytes));
  }
}

/**
 * Reads an IPv4 address in four decimal parts or an IPv6 address (RFC 4291 §2.2); an IPv4-mapped one becomes IPv4.
 * Undefined for anything else, brackets, zones and the other notations of `inet_aton` among them: what one program reads
 * as a name and another as 127.0.0.1 is how a check is passed by.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseIp } from "./ip_address.ts";
 * assert.equal(`${parseIp("2001:DB8:0::1")}`, "2001:db8::1");
 * assert.equal(`${parseIp("::ffff:192.0.2.1")}`, "192.0.2.1");
 * assert.equal(parseIp("127.1"), undefined);
 * ```
 */
export function parseIp(text: string): IpAddress | undefined {
  const bytes = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  if (!bytes) return undefined;
  const address = new IpAddress(Uint8Array.from(bytes));
  return inNetwork(address, IPV4_MAPPED, 96) ? new IpAddress(address.bytes.slice(12)) : address;
}

/** `::ffff:0:0/96`: RFC 4291 §2.5.5.2. */
const IPV4_MAPPED = new IpAddress(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0));

/** The address with all bits beyond the first `prefix` cleared. */
export function networkOf(address: IpAddress, prefix: number): IpAddress {
  return new IpAddress(address.bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, prefix - 8 * index));
    return byte & (0xff00 >> kept);
  }));
}

/** Whether both are of one family and the first `prefix` bits of `address` are those of `network`. */
export function inNetwork(address: IpAddress, network: IpAddress, prefix: number): boolean {
  return equal(networkOf(address, prefix).bytes, networkOf(network, prefix).bytes);
}

function parseIpv4(text: string): number[] | undefined {
  if (!/^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/.test(text)) return undefined;
  const bytes = text.split(".").map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

/** Bytes of an IPv6 address. */
const LENGTH = 16;

function parseIpv6(text: string): number[] | undefined {
  const [head, tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  if (tail === undefined) {
    const bytes = parseGroups(head, true);
    return bytes?.length === LENGTH ? bytes : undefined;
  }
  const before = head === "" ? [] : parseGroups(head, false);
  const after = tail === "" ? [] : parseGroups(tail, true);
  if (!before || !after) return undefined;
  // The two colons stand for one group at least.
  const zeros = LENGTH - before.length - after.length;
  return zeros < 2 ? undefined : [...before, ...new Array<number>(zeros).fill(0), ...after];
}

/** @param last whether these groups end the address: an IPv4 address may stand for the last two */
function parseGroups(text: string, last: boolean): number[] | undefined {
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const ipv4 = last && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (!ipv4) return undefined;
    bytes.push(...ipv4);
  }
  return bytes;
}

function groupsOf(bytes: Bytes): number[] {
  return Array.from({ length: LENGTH / 2 }, (_, i) => bytes[2 * i] << 8 | bytes[2 * i + 1]);
}

/** The longest run of two or more zero groups becomes `::`; of several the first. */
function formatGroups(groups: readonly number[]): string {
  let start = 0;
  let length = 0;
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
