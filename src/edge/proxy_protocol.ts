/**
 * PROXY headers, version 1 and 2 (HAProxy's "The PROXY protocol"): what a balancer says in front of a connection about
 * whose it is. Pure: first bytes in, answer out. That the sender may say so is the caller's to know.
 *
 * | first bytes | |
 * |---|---|
 * | `PROXY TCP4 192.0.2.1 203.0.113.5 4711 22\r\n` | version 1 |
 * | `0d0a0d0a000d0a515549540a 21 11 000c …` | version 2: signature, version and command, family, length of the rest |
 */
import { decodeText, encodeText, equal } from "../bytes/bytes.ts";
import { IpAddress, parseIp } from "../bytes/ip_address.ts";

/** A whole header. */
export interface ProxyHeader {
  /** Bytes that are to be taken off the connection. */
  readonly length: number;
  /** The client; undefined: the connection is the balancer's own, a health check, or it does not know whose. */
  readonly source?: { readonly address: string; readonly port: number };
}

/** It begins as a header and is none. */
export class ProxyHeaderError extends Error {
  override readonly name = "ProxyHeaderError";
}

/** Bytes of the longest header that is read: version 2 may carry 64 KiB of extras, which nobody sends and nothing here reads. */
export const MAX_PROXY_HEADER = 4096;

const TEXT_START = encodeText("PROXY ");

/** Of version 1, its end of line included: the protocol's own limit. */
const MAX_TEXT = 107;

const SIGNATURE = new Uint8Array([0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);

/** Signature, version and command, family, length. */
const FIXED = SIGNATURE.length + 4;

const LOCAL = 0x20;
const PROXY = 0x21;

/** Bytes of one address by the family's octet: TCP over IPv4 and IPv6. */
const ADDRESS_LENGTH: Readonly<Record<number, number>> = { 0x11: 4, 0x21: 16 };
const UNSPECIFIED = 0x00;

/**
 * Reads the header that `first` begins with.
 * @returns `more` when that cannot be said yet, `none` for what is no header
 * @throws {ProxyHeaderError}
 */
export function readProxyHeader(first: Uint8Array): ProxyHeader | "more" | "none" {
  if (startsAlike(first, TEXT_START)) return first.length < TEXT_START.length ? "more" : readText(first);
  if (startsAlike(first, SIGNATURE)) return first.length < FIXED ? "more" : readBinary(first);
  return "none";
}

/** Whether what both have is the same. */
function startsAlike(first: Uint8Array, start: Uint8Array): boolean {
  const length = Math.min(first.length, start.length);
  return equal(first.subarray(0, length), start.subarray(0, length));
}

function readText(first: Uint8Array): ProxyHeader | "more" {
  const end = first.indexOf(0x0a);
  if (end < 0 && first.length < MAX_TEXT) return "more";
  if (end < 0 || end >= MAX_TEXT || first[end - 1] !== 0x0d) {
    throw new ProxyHeaderError("its line has no end");
  }
  const length = end + 1;
  const line = decodeText(first.subarray(0, end - 1));
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { length };
  const match = /^PROXY (TCP[46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/.exec(line);
  if (!match) throw new ProxyHeaderError("its line is not PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT");
  const [, family, ...ends] = match;
  const [address, destination] = ends.slice(0, 2).map((text) => ipOf(text, family));
  const [port, destinationPort] = ends.slice(2).map(Number);
  if (!address || !destination || port > 65535 || destinationPort > 65535) {
    throw new ProxyHeaderError("its addresses are none");
  }
  return { length, source: { address, port } };
}

/** An IPv4 address inside IPv6 is IPv4, as everywhere. */
function ipOf(text: string, family: string): string | undefined {
  return text.includes(":") === (family === "TCP6") ? parseIp(text)?.toString() : undefined;
}

function readBinary(first: Uint8Array): ProxyHeader | "more" {
  const [command, family] = first.subarray(SIGNATURE.length);
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const rest = view.getUint16(FIXED - 2);
  const length = FIXED + rest;
  if (command !== LOCAL && command !== PROXY) {
    throw new ProxyHeaderError("its version or command is not known");
  }
  if (length > MAX_PROXY_HEADER) throw new ProxyHeaderError("it is too long");
  const size = ADDRESS_LENGTH[family];
  if (command === PROXY && family !== UNSPECIFIED) {
    if (size === undefined) throw new ProxyHeaderError("it is not about TCP over IP");
    if (rest < 2 * size + 4) throw new ProxyHeaderError("it is too short for its addresses");
  }
  if (first.length < length) return "more";
  if (command === LOCAL || size === undefined) return { length };
  const source = new IpAddress(first.slice(FIXED, FIXED + size));
  return { length, source: { address: `${parseIp(`${source}`)}`, port: view.getUint16(FIXED + 2 * size) } };
}
