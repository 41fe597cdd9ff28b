/** Ranges of IP addresses. */
import { inNetwork, type IpAddress, networkOf, parseIp } from "./ip_address.ts";

/** IP addresses that share a prefix. */
export interface AddressRange {
  /** As it was written. */
  readonly text: string;
  readonly address: IpAddress;
  /** Bits that are the same. */
  readonly prefix: number;
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
  const { bits } = address;
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
  const network = `${networkOf(address, prefix)}`;
  if (network !== `${address}`) {
    throw new TypeError(`'${text}' has bits set after the prefix: did you mean ${network}/${prefix}?`);
  }
  return { text, address, prefix };
}

/** Whether `address` lies in `range`. Addresses of one family never lie in ranges of the other. */
export function addressInRange(range: AddressRange, address: IpAddress): boolean {
  return inNetwork(address, range.address, range.prefix);
}

/** Whether `address` leads back to the machine that dials it: RFC 1122 §3.2.1.3, RFC 4291 §2.5.3. */
export function isLoopback(address: IpAddress): boolean {
  return LOOPBACK.some((range) => addressInRange(range, address));
}

const LOOPBACK = ["127.0.0.0/8", "::1"].map(parseAddressRange);
