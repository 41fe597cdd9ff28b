/**
 * Small operations over byte arrays. Everything in this project that holds bytes is a {@link Bytes}.
 */

/** Bytes in memory of our own. (`SharedArrayBuffer` is excluded so that WebCrypto accepts every one.) */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A buffer that nobody needs to allocate. */
export const EMPTY: Bytes = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of `text`. */
export function encodeText(text: string): Bytes {
  return encoder.encode(text);
}

/** Text of UTF-8 `bytes`; malformed sequences become U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Text of UTF-8 `bytes`. Throws `TypeError` when they are not UTF-8. */
export function decodeTextStrictly(bytes: Uint8Array): string {
  return strictDecoder.decode(bytes);
}

/** A new array with all `parts` in order. */
export function concat(...parts: Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Whether both hold the same bytes. Returns early at the first difference: not for secrets. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether both hold the same bytes, in time that depends on the lengths alone. */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** Order of `a` and `b` as byte strings: negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/** `length` bytes from the system's generator. */
export function randomBytes(length: number): Bytes {
  const bytes = new Uint8Array(length);
  // getRandomValues refuses more than 64 KiB at once.
  for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}
