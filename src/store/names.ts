/** What collections and documents may be called, and in which order they come. */
import { compare, encodeText } from "../bytes/bytes.ts";

/** Longest key, in UTF-16 code units: an identity or a certificate's key id fits, a document does not. */
const MAX_KEY_LENGTH = 2048;

/** @throws {TypeError} */
export function requireCollectionName(name: string): void {
  if (!/^[a-z0-9-]{1,64}$/.test(name)) {
    throw new TypeError(`'${name}' is no name of a collection: lower-case letters, digits and '-'`);
  }
}

/** @throws {TypeError} */
export function requireKey(key: string): void {
  if (key === "" || key.length > MAX_KEY_LENGTH) {
    throw new TypeError(`a key has 1 to ${MAX_KEY_LENGTH} characters`);
  }
  // SQLite ends a text at NUL, and an unpaired surrogate becomes another character on the way to UTF-8.
  if (key.includes("\0") || !key.isWellFormed()) {
    throw new TypeError("a key is well-formed text without NUL");
  }
}

/** Order of keys by their code points, which is that of their UTF-8 (and not of JavaScript's `<`). */
export function compareKeys(a: string, b: string): number {
  return compare(encodeText(a), encodeText(b));
}
