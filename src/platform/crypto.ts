/**
 * The symmetric primitives that packet protection needs, synchronous and in place.
 *
 * Two providers implement this: the system's OpenSSL by FFI, and a portable one on `node:crypto`. Asymmetric
 * cryptography is WebCrypto's (`crypto.subtle`), which every runtime has.
 *
 * Contexts hold keys and, in one provider, memory outside the garbage-collected heap: `free` each exactly once.
 */
import type { Bytes } from "../bytes/bytes.ts";

export type HashName = "sha1" | "sha256" | "sha384" | "sha512";

export interface CryptoProvider {
  /** For the log: `libcrypto OpenSSL 3.0.19`, `node:crypto`. */
  readonly name: string;
  /** Digest of the concatenated `parts`. */
  hash(name: HashName, ...parts: Bytes[]): Bytes;
  /** HMAC under `key` of any length. */
  hmac(hash: HashName, key: Bytes): Hmac;
  /** ChaCha20 with a 32-byte key. */
  chacha20(key: Bytes): ChaCha20;
  /** Writes the 16-byte Poly1305 tag (RFC 8439 §2.5) of `data` under the 32-byte one-time `key` into `tag`. */
  poly1305(key: Bytes, data: Bytes, tag: Bytes): void;
  /** AES-GCM with a 16- or 32-byte key, 12-byte nonces, 16-byte tags. */
  aesGcm(key: Bytes): AesGcm;
  /** AES-CTR with a 16-, 24- or 32-byte key; the counter block starts at `iv` and runs on over all calls. */
  aesCtr(key: Bytes, iv: Bytes): AesCtr;
}

export interface Hmac {
  /** Length of a full tag in bytes. */
  readonly length: number;
  /** Writes the full tag of the concatenated `parts` into the start of `tag`. */
  sign(tag: Bytes, ...parts: Bytes[]): void;
  free(): void;
}

export interface ChaCha20 {
  /**
   * XORs the key stream into `data`, in place.
   * @param iv 16 bytes: block counter (little-endian), then nonce, split as the construction wishes
   */
  xor(iv: Bytes, data: Bytes): void;
  free(): void;
}

export interface AesGcm {
  /** Encrypts `data` in place, writes the tag of `aad` and `data`. */
  seal(nonce: Bytes, aad: Bytes, data: Bytes, tag: Bytes): void;
  /** Checks the tag and decrypts `data` in place. When it answers false, `data` must not be used. */
  open(nonce: Bytes, aad: Bytes, data: Bytes, tag: Bytes): boolean;
  free(): void;
}

export interface AesCtr {
  /** XORs the next `data.length` bytes of key stream into `data`, in place. */
  xor(data: Bytes): void;
  free(): void;
}
