/**
 * `chacha20-poly1305@openssh.com` (OpenSSH PROTOCOL.chacha20poly1305, draft-ietf-sshm-chacha20-poly1305).
 *
 * The length is encrypted under a key of its own, so that asking for it before the tag is checked tells nothing
 * about the content's key stream. The tag covers the encrypted length and content and is checked before either is used.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { AEAD_TAG_LENGTH, type ChachaPoly, type CryptoProvider } from "../../platform/crypto.ts";
import type { Opener, Sealer } from "./protection.ts";

export class ChachaPolySealer implements Sealer {
  readonly blockSize = 8;
  readonly lengthCounts = false;
  readonly tagLength = AEAD_TAG_LENGTH;
  readonly #cipher: ChachaPoly;

  constructor(crypto: CryptoProvider, key: Bytes) {
    this.#cipher = crypto.chachaPoly(key);
  }

  seal(sequence: number, packet: Bytes): void {
    this.#cipher.seal(sequence, packet);
  }

  free(): void {
    this.#cipher.free();
  }
}

export class ChachaPolyOpener implements Opener {
  readonly blockSize = 8;
  readonly lengthCounts = false;
  readonly tagLength = AEAD_TAG_LENGTH;
  readonly headLength = 4;
  readonly #cipher: ChachaPoly;

  constructor(crypto: CryptoProvider, key: Bytes) {
    this.#cipher = crypto.chachaPoly(key);
  }

  length(sequence: number, head: Bytes): number {
    return this.#cipher.length(sequence, head);
  }

  open(sequence: number, packet: Bytes): boolean {
    return this.#cipher.open(sequence, packet);
  }

  free(): void {
    this.#cipher.free();
  }
}
