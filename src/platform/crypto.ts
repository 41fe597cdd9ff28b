/**
 * The symmetric primitives that packet protection needs, synchronous and in place.
 *
 * Two providers implement this: the system's OpenSSL by FFI, and a portable one on `node:crypto`. Asymmetric
 * cryptography is WebCrypto's (`crypto.subtle`), which every runtime has.
 *
 * Everything takes a whole packet and lengths instead of views of its parts: a view costs as much as the tag of a
 * small packet. Objects hold keys and, in one provider, memory outside the garbage-collected heap: `free` each
 * exactly once. Use after `free`, and a second `free`, throw `TypeError`; lengths that cannot be throw `RangeError`.
 */
import type { Bytes } from "../bytes/bytes.ts";

/** Hashes of key exchange and MACs (FIPS 180-4). */
export type HashName = "sha256" | "sha384" | "sha512";

/** Bytes of a digest, and so of an HMAC's tag. */
export const HASH_LENGTHS: Readonly<Record<HashName, number>> = { sha256: 32, sha384: 48, sha512: 64 };

/** Where the symmetric primitives come from. */
export interface CryptoProvider {
  /** For the log: `libcrypto OpenSSL 3.0.19`, `node:crypto`. */
  readonly name: string;
  /** Digest of the concatenated `parts`. */
  hash(name: HashName, ...parts: Bytes[]): Bytes;
  /** HMAC under `key` of one byte or more. */
  hmac(hash: HashName, key: Bytes): Hmac;
  /** ChaCha20 and Poly1305 as OpenSSH combines them (PROTOCOL.chacha20poly1305), under its 64-byte key. */
  chachaPoly(key: Bytes): ChachaPoly;
  /** AES-GCM with a 16- or 32-byte key, 12-byte nonces, 16-byte tags. */
  aesGcm(key: Bytes): AesGcm;
  /** AES-CTR with a 16-, 24- or 32-byte key; the counter block starts at `iv` (16 bytes) and runs on over all calls. */
  aesCtr(key: Bytes, iv: Bytes): AesCtr;
}

/** HMAC (RFC 2104) under one key. */
export interface Hmac {
  /** Length of a tag in bytes. */
  readonly length: number;
  /**
   * Writes the tag of `uint32 sequence ‖ packet[0, end)` into the start of `tag`.
   * @param tag {@link length} bytes or more
   */
  sign(sequence: number, packet: Bytes, end: number, tag: Bytes): void;
  free(): void;
}

/**
 * A packet is `uint32 length ‖ content ‖ 16 bytes of tag`. The key's first half encrypts the content and makes the
 * one-time Poly1305 keys, its second half encrypts the length; the nonce is the sequence number.
 */
export interface ChachaPoly {
  /** Encrypts length and content in place, writes the tag at the end. */
  seal(sequence: number, packet: Bytes): void;
  /** The length in the first four bytes of `head`, which stay as they are. Nothing is authenticated yet. */
  length(sequence: number, head: Bytes): number;
  /**
   * Checks the tag and only then decrypts the content in place; the first four bytes are garbage afterwards.
   * @returns false, and `packet` as it was, when the tag is wrong
   */
  open(sequence: number, packet: Bytes): boolean;
  free(): void;
}

/** A packet is `aadLength` bytes that are authenticated only ‖ content ‖ 16 bytes of tag. */
export interface AesGcm {
  /** Encrypts the content in place, writes the tag at the end. */
  seal(nonce: Bytes, aadLength: number, packet: Bytes): void;
  /** Checks the tag and decrypts the content in place. When it answers false the content must not be used. */
  open(nonce: Bytes, aadLength: number, packet: Bytes): boolean;
  free(): void;
}

/** The key stream of AES-CTR under one key, from one counter block on. */
export interface AesCtr {
  /** XORs the next `end - start` bytes of key stream into `data[start, end)`, in place. */
  xor(data: Bytes, start: number, end: number): void;
  free(): void;
}

/** Bytes of tag of both AEAD constructions. */
export const AEAD_TAG_LENGTH = 16;

/** Throws `RangeError` unless `actual` is one of `allowed`. For providers: a wrong length must never reach C. */
export function requireLength(what: string, actual: number, ...allowed: number[]): void {
  if (!allowed.includes(actual)) {
    throw new RangeError(`${what} has ${actual} bytes, not ${allowed.join(" or ")}`);
  }
}

/** Throws `RangeError` unless `least <= actual` and both are whole numbers. For providers, as above. */
export function requireAtLeast(what: string, actual: number, least: number): void {
  // `>>> 0` also refuses fractions, negative numbers and NaN.
  if (least >>> 0 !== least || !(actual >= least)) {
    throw new RangeError(`${what} has ${actual} bytes, less than ${least}`);
  }
}
