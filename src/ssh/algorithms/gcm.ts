/** `aes128-gcm@openssh.com`, `aes256-gcm@openssh.com`: RFC 5647, negotiated as OpenSSH PROTOCOL §1.6 says. */
import type { Bytes } from "../../bytes/bytes.ts";
import { AEAD_TAG_LENGTH, type AesGcm, type CryptoProvider } from "../../platform/crypto.ts";
import { readLength } from "./clear.ts";
import type { Opener, Sealer } from "./protection.ts";

/** packet_length stays in clear and is authenticated (RFC 5647 §7.2). */
const AAD_LENGTH = 4;

export class GcmSealer implements Sealer {
  readonly blockSize = 16;
  readonly lengthCounts = false;
  readonly tagLength = AEAD_TAG_LENGTH;
  readonly #cipher: AesGcm;
  readonly #nonce: Bytes;

  constructor(crypto: CryptoProvider, key: Bytes, iv: Bytes) {
    this.#cipher = crypto.aesGcm(key);
    this.#nonce = iv.slice();
  }

  seal(_sequence: number, packet: Bytes): void {
    this.#cipher.seal(this.#nonce, AAD_LENGTH, packet);
    increment(this.#nonce);
  }

  free(): void {
    this.#cipher.free();
  }
}

export class GcmOpener implements Opener {
  readonly blockSize = 16;
  readonly lengthCounts = false;
  readonly tagLength = AEAD_TAG_LENGTH;
  readonly headLength = AAD_LENGTH;
  readonly #cipher: AesGcm;
  readonly #nonce: Bytes;

  constructor(crypto: CryptoProvider, key: Bytes, iv: Bytes) {
    this.#cipher = crypto.aesGcm(key);
    this.#nonce = iv.slice();
  }

  length(_sequence: number, head: Bytes): number {
    return readLength(head);
  }

  open(_sequence: number, packet: Bytes): boolean {
    const genuine = this.#cipher.open(this.#nonce, AAD_LENGTH, packet);
    increment(this.#nonce);
    return genuine;
  }

  free(): void {
    this.#cipher.free();
  }
}

/**
 * The nonce is 4 fixed bytes and a big-endian uint64 that counts packets from where the key exchange put it
 * (RFC 5647 §7.1), independent of the sequence number. 2^64 packets under one key cannot happen.
 */
function increment(nonce: Bytes): void {
  for (let at = 11; at >= 4; at--) {
    nonce[at]++;
    if (nonce[at] !== 0) return;
  }
}
