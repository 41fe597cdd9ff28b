/** IP addresses and ranges of them, in the notations that every program reads alike. */
import ipaddr from "ipaddr.js";

export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6;

/** IP addresses that share a prefix. */
export interface AddressRange {
  /** As it was written. */
  readonly text: string;
  readonly address: IpAddress;
  /** Bits that are the same. */
  readonly prefix: number;
}

/**
 * Reads an IPv4 address in four decimal parts or an IPv6 address; an IPv4-mapped one becomes IPv4. Undefined for
 * anything else, the other notations of `inet_aton` among them: what one program reads as a name and another as
 * 127.0.0.1 is how a check is passed by.
 */
export function parseIp(text: string): IpAddress | undefined {
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
  if (bits === 32 && host.includes(":")) {
    // Its prefix counts IPv6's bits, its address has IPv4's.
    throw new TypeError(
      `'${text}' is an IPv4 range inside IPv6: write ${address} with its own prefix length`,
    );
  }
  const digits = text.slice(slash + 1);
  const prefix = /^\d{1,3}$/.test(digits) ? Number(digits) : NaN;
  if (!(prefix <= bits)) throw new TypeError(`'${text}': the prefix length must be 0-${bits}`);
  const network = networkOf(address, prefix);
  if (network !== address.toNormalizedString()) {
    throw new TypeError(`'${text}' has bits set after the prefix: did you mean ${network}/${prefix}?`);
  }
  return { text, address, prefix };
}

function networkOf(address: IpAddress, prefix: number): string {
  const bytes = address.toByteArray().map((byte, i) => {
    const kept = Math.min(8, Math.max(0, prefix - 8 * i));
    return byte & (0xff00 >> kept);
  });
  return ipaddr.fromByteArray(bytes).toNormalizedString();
}

/** Whether `address` lies in `range`. Addresses of one family never lie in ranges of the other. */
export function addressInRange(range: AddressRange, address: IpAddress): boolean {
  return range.address.kind() === address.kind() && address.match(range.address, range.prefix);
}
