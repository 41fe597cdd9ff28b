/** Serial numbers of certificates as text: hexadecimal, lower-case, two digits for each octet. */
import { randomBytes } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { X509Error } from "./error.ts";

/** RFC 5280 §4.1.2.2: at most 20 octets. */
const MAX_OCTETS = 20;
const RANDOM_OCTETS = 16;

/** A new serial number: 126 random bits; positive, and always of the same length. */
export function randomX509Serial(): string {
  const octets = randomBytes(RANDOM_OCTETS);
  octets[0] = (octets[0] & 0x7f) | 0x40;
  return encodeHex(octets);
}

/**
 * The one spelling of a serial number: no colons, lower-case, no leading zero octets.
 * @param text as openssl, browsers or the library print it: `0A:1B…`, `0a1b…`, `A1B…`
 * @throws {X509Error} `malformed` when it is no positive number of at most 20 octets
 */
export function normalizeX509Serial(text: string): string {
  const digits = text.trim().replaceAll(":", "").toLowerCase().replace(/^0+/, "");
  if (!/^[0-9a-f]+$/.test(digits) || digits.length > 2 * MAX_OCTETS) {
    throw new X509Error("malformed", "the serial number is not 1 to 20 octets in hexadecimal");
  }
  return digits.padStart(digits.length + digits.length % 2, "0");
}
