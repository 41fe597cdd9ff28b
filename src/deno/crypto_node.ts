/**
 * The portable crypto provider: `node:crypto`, and Poly1305 from `@noble/ciphers` since no runtime offers it alone.
 * Runs wherever `node:crypto` does.
 *
 * Every cipher ends with `final()`, also where it has nothing to say: until then Deno holds its native part.
 */
import {
  type Cipheriv,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
} from "node:crypto";
import { Poly1305 } from "@noble/ciphers/_poly1305.js";
import { type Bytes, equalConstantTime } from "../bytes/bytes.ts";
import {
  AEAD_TAG_LENGTH,
  type AesCtr,
  type AesGcm,
  type ChachaPoly,
  type CryptoProvider,
  HASH_LENGTHS,
  type HashName,
  type Hmac,
  requireAtLeast,
  requireLength,
} from "../platform/crypto.ts";

export const nodeCrypto: CryptoProvider = {
  name: "node:crypto",
  hash(name, ...parts) {
    const hash = createHash(name);
    for (const part of parts) hash.update(part);
    return new Uint8Array(hash.digest());
  },
  hmac: (hash, key) => new NodeHmac(hash, key),
  chachaPoly: (key) => new NodeChachaPoly(key),
  aesGcm: (key) => new NodeAesGcm(key),
  aesCtr: (key, iv) => new NodeAesCtr(key, iv),
};

/** A key, or anything keyed, until it is freed. */
class Keyed<T> {
  #value: T | undefined;

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    if (this.#value === undefined) throw new TypeError("used after free");
    return this.#value;
  }

  free(): void {
    this.get();
    this.#value = undefined;
  }
}

class NodeHmac implements Hmac {
  readonly length: number;
  readonly #hash: HashName;
  readonly #key: Keyed<ReturnType<typeof createSecretKey>>;
  readonly #sequence = new Uint8Array(4);
  readonly #view = new DataView(this.#sequence.buffer);

  constructor(hash: HashName, key: Bytes) {
    requireAtLeast("HMAC key", key.length, 1);
    this.#hash = hash;
    this.length = HASH_LENGTHS[hash];
    this.#key = new Keyed(createSecretKey(key));
  }

  sign(sequence: number, packet: Bytes, end: number, tag: Bytes): void {
    requireAtLeast("packet", packet.length, end);
    requireAtLeast("room for the tag", tag.length, this.length);
    this.#view.setUint32(0, sequence);
    const hmac = createHmac(this.#hash, this.#key.get());
    tag.set(hmac.update(this.#sequence).update(packet.subarray(0, end)).digest());
  }

  free(): void {
    this.#key.free();
  }
}

class NodeChachaPoly implements ChachaPoly {
  readonly #keys: Keyed<{ content: Bytes; length: Bytes }>;
  /** Block counter (uint32, little-endian), then the nonce: 8 zeros and the sequence number. */
  readonly #iv = new Uint8Array(16);
  readonly #ivView = new DataView(this.#iv.buffer);

  constructor(key: Bytes) {
    requireLength("ChaCha20-Poly1305 key", key.length, 64);
    this.#keys = new Keyed({ content: key.slice(0, 32), length: key.slice(32) });
  }

  seal(sequence: number, packet: Bytes): void {
    requireAtLeast("packet", packet.length, 4 + AEAD_TAG_LENGTH);
    const end = packet.length - AEAD_TAG_LENGTH;
    const stream = this.#stream(sequence);
    const oneTimeKey = stream.update(FIRST_BLOCK);
    packet.set(this.#cryptLength(sequence, packet));
    packet.set(stream.update(packet.subarray(4, end)), 4);
    stream.final();
    packet.set(poly1305(oneTimeKey, packet.subarray(0, end)), end);
  }

  length(sequence: number, head: Bytes): number {
    requireAtLeast("head", head.length, 4);
    return this.#cryptLength(sequence, head).readUInt32BE();
  }

  open(sequence: number, packet: Bytes): boolean {
    requireAtLeast("packet", packet.length, 4 + AEAD_TAG_LENGTH);
    const end = packet.length - AEAD_TAG_LENGTH;
    const stream = this.#stream(sequence);
    const oneTimeKey = stream.update(FIRST_BLOCK);
    const tag = poly1305(oneTimeKey, packet.subarray(0, end));
    const genuine = equalConstantTime(tag, packet.subarray(end));
    if (genuine) packet.set(stream.update(packet.subarray(4, end)), 4);
    stream.final();
    return genuine;
  }

  free(): void {
    this.#keys.free();
  }

  /** The content's key stream from block 0, whose first half is the one-time key; block 1 on is for the content. */
  #stream(sequence: number): Cipheriv {
    this.#ivView.setUint32(12, sequence);
    return createCipheriv("chacha20", this.#keys.get().content, this.#iv);
  }

  #cryptLength(sequence: number, packet: Bytes) {
    this.#ivView.setUint32(12, sequence);
    const stream = createCipheriv("chacha20", this.#keys.get().length, this.#iv);
    const head = stream.update(packet.subarray(0, 4));
    stream.final();
    return head;
  }
}

const FIRST_BLOCK = new Uint8Array(64);

function poly1305(firstBlock: Uint8Array, data: Uint8Array): Uint8Array {
  return new Poly1305(firstBlock.subarray(0, 32)).update(data).digest();
}

class NodeAesGcm implements AesGcm {
  readonly #key: Keyed<Bytes>;
  readonly #cipher: "aes-128-gcm" | "aes-256-gcm";

  constructor(key: Bytes) {
    requireLength("AES-GCM key", key.length, 16, 32);
    this.#cipher = key.length === 16 ? "aes-128-gcm" : "aes-256-gcm";
    this.#key = new Keyed(key.slice());
  }

  seal(nonce: Bytes, aadLength: number, packet: Bytes): void {
    const end = contentEnd(nonce, aadLength, packet);
    const cipher = createCipheriv(this.#cipher, this.#key.get(), nonce);
    cipher.setAAD(packet.subarray(0, aadLength));
    packet.set(cipher.update(packet.subarray(aadLength, end)), aadLength);
    cipher.final();
    packet.set(cipher.getAuthTag(), end);
  }

  open(nonce: Bytes, aadLength: number, packet: Bytes): boolean {
    const end = contentEnd(nonce, aadLength, packet);
    const options = { authTagLength: AEAD_TAG_LENGTH };
    const decipher = createDecipheriv(this.#cipher, this.#key.get(), nonce, options);
    decipher.setAAD(packet.subarray(0, aadLength));
    decipher.setAuthTag(packet.subarray(end));
    const content = decipher.update(packet.subarray(aadLength, end));
    try {
      decipher.final();
    } catch {
      // The only thing that final() finds wrong is the tag.
      return false;
    }
    packet.set(content, aadLength);
    return true;
  }

  free(): void {
    this.#key.free();
  }
}

function contentEnd(nonce: Bytes, aadLength: number, packet: Bytes): number {
  requireLength("nonce", nonce.length, 12);
  requireAtLeast("packet", packet.length - AEAD_TAG_LENGTH, aadLength);
  return packet.length - AEAD_TAG_LENGTH;
}

class NodeAesCtr implements AesCtr {
  readonly #cipher: Keyed<Cipheriv>;

  constructor(key: Bytes, iv: Bytes) {
    requireLength("AES-CTR key", key.length, 16, 24, 32);
    requireLength("AES-CTR iv", iv.length, 16);
    this.#cipher = new Keyed(createCipheriv(`aes-${key.length * 8}-ctr`, key, iv));
  }

  xor(data: Bytes, start: number, end: number): void {
    requireAtLeast("data", data.length, end);
    requireAtLeast("data up to the end", end, start);
    data.set(this.#cipher.get().update(data.subarray(start, end)), start);
  }

  free(): void {
    this.#cipher.get().final();
    this.#cipher.free();
  }
}
