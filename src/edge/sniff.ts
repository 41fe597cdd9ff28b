/**
 * Which protocol a client begins with. Pure: first bytes in, answer out.
 *
 * | first bytes | |
 * |---|---|
 * | `SSH-` | SSH (RFC 4253 §4.2): clients send nothing before their identification |
 * | `16 03 xx` and two octets of length, then `01` | TLS: a handshake record with a ClientHello (RFC 8446 §5.1, §4) |
 */

export type Sniffed =
  | "ssh"
  | "tls"
  /** Neither, whatever follows. */
  | "unknown"
  /** It may still be either. */
  | "more";

/** Bytes after which the answer is never `more`. */
export const SNIFF_LENGTH = 6;

/** Values that the octet at each place may have. */
type Pattern = readonly ((byte: number) => boolean)[];

const is = (value: number) => (byte: number) => byte === value;
const any = () => true;

const PATTERNS: readonly (readonly ["ssh" | "tls", Pattern])[] = [
  ["ssh", [..."SSH-"].map((letter) => is(letter.charCodeAt(0)))],
  // Record versions 3.1 to 3.4: old clients and middleboxes write any of them. At most 2¹⁴ bytes, so no octet above 0x40.
  ["tls", [is(0x16), is(0x03), (minor) => minor <= 4, (length) => length <= 0x40, any, is(0x01)]],
];

/** Tells by the bytes so far. */
export function sniff(first: Uint8Array): Sniffed {
  let answer: Sniffed = "unknown";
  for (const [protocol, pattern] of PATTERNS) {
    const seen = first.subarray(0, pattern.length);
    if (!seen.every((byte, at) => pattern[at](byte))) continue;
    if (seen.length === pattern.length) return protocol;
    answer = "more";
  }
  return answer;
}
