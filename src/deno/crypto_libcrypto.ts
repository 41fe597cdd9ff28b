/**
 * The crypto provider on the system's OpenSSL 3, by FFI.
 *
 * A context is made once per key; a packet costs a handful of calls, each some 50 ns, and allocates nothing: fixed-size
 * values go through scratch buffers. Lengths are checked before every call, since C would not.
 */
import { type Bytes, concat, encodeText } from "../bytes/bytes.ts";
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
import { Allocation, type Libcrypto, loadLibcrypto, NULL, versionOf } from "./libcrypto_library.ts";

// EVP_CIPHER_CTX_ctrl
const AEAD_GET_TAG = 0x10;
const AEAD_SET_TAG = 0x11;

const ENCRYPT = 1;
const DECRYPT = 0;

/**
 * The provider on the library at `path`.
 * @throws when it cannot be loaded or lacks an algorithm; the provider is not otherwise tested
 */
export function openLibcrypto(path: string): CryptoProvider {
  const library = loadLibcrypto(path);
  const version = versionOf(library);
  if (!/ [34]\./.test(version)) throw new Error(`${path} is ${version}, not OpenSSL 3`);
  // Fetched once and never freed: they live as long as the library.
  const ciphers = new Map(CIPHERS.map((name) => [name, fetched(name, library.EVP_CIPHER_fetch)]));
  const poly1305 = fetched("POLY1305", library.EVP_MAC_fetch);
  const digests: Record<HashName, bigint> = {
    sha256: library.EVP_sha256(),
    sha384: library.EVP_sha384(),
    sha512: library.EVP_sha512(),
  };
  return {
    name: `libcrypto ${version}`,
    hash(name, ...parts) {
      const data = concat(...parts);
      const digest = new Uint8Array(HASH_LENGTHS[name]);
      check(library.EVP_Digest(data, BigInt(data.length), digest, NULL, digests[name], NULL));
      return digest;
    },
    hmac: (hash, key) => new LibcryptoHmac(library, digests[hash], HASH_LENGTHS[hash], key),
    chachaPoly(key) {
      requireLength("ChaCha20-Poly1305 key", key.length, 64);
      return new LibcryptoChachaPoly(library, ciphers.get("ChaCha20")!, poly1305, key);
    },
    aesGcm(key) {
      requireLength("AES-GCM key", key.length, 16, 32);
      return new LibcryptoAesGcm(library, ciphers.get(`AES-${key.length * 8}-GCM`)!, key);
    },
    aesCtr(key, iv) {
      requireLength("AES-CTR key", key.length, 16, 24, 32);
      requireLength("AES-CTR iv", iv.length, 16);
      return new LibcryptoAesCtr(library, ciphers.get(`AES-${key.length * 8}-CTR`)!, key, iv);
    },
  };
}

const CIPHERS = ["AES-128-GCM", "AES-256-GCM", "AES-128-CTR", "AES-192-CTR", "AES-256-CTR", "ChaCha20"];

function fetched(name: string, fetch: (context: bigint, name: Bytes, properties: bigint) => bigint): bigint {
  const algorithm = fetch(NULL, encodeText(`${name}\0`), NULL);
  if (algorithm === NULL) throw new Error(`libcrypto has no ${name}`);
  return algorithm;
}

/** For calls that answer 1, or a length: anything below is a failure that correct arguments cannot cause. */
function check(result: number): void {
  if (result <= 0) throw new Error("a libcrypto call failed");
}

/** A cipher context under `key`; with `iv` ready for use, without one to be started by every packet's. */
function cipherContext(library: Libcrypto, cipher: bigint, key: Bytes, iv: Bytes | null): Allocation {
  const context = new Allocation(library.EVP_CIPHER_CTX_new(), library.EVP_CIPHER_CTX_free);
  check(library.EVP_CipherInit_ex(context.pointer, cipher, NULL, key, iv, ENCRYPT));
  return context;
}

/** The last number that became a bigint: bulk data comes in packets of one size. */
class LastSize {
  #number = 0;
  #bigint = 0n;

  of(size: number): bigint {
    if (size !== this.#number) {
      this.#number = size;
      this.#bigint = BigInt(size);
    }
    return this.#bigint;
  }
}

class LibcryptoHmac implements Hmac {
  readonly length: number;
  readonly #library: Libcrypto;
  readonly #context: Allocation;
  readonly #sequence = new Uint8Array(4);
  readonly #size = new LastSize();

  constructor(library: Libcrypto, digest: bigint, length: number, key: Bytes) {
    requireAtLeast("HMAC key", key.length, 1);
    this.length = length;
    this.#library = library;
    this.#context = new Allocation(library.HMAC_CTX_new(), library.HMAC_CTX_free);
    check(library.HMAC_Init_ex(this.#context.pointer, key, key.length, digest, NULL));
  }

  sign(sequence: number, packet: Bytes, end: number, tag: Bytes): void {
    requireAtLeast("packet", packet.length, end);
    requireAtLeast("room for the tag", tag.length, this.length);
    const library = this.#library;
    const context = this.#context.pointer;
    writeUint32(this.#sequence, 0, sequence);
    check(library.HMAC_Init_ex(context, null, 0, NULL, NULL));
    check(library.HMAC_Update(context, this.#sequence, 4n));
    check(library.HMAC_Update(context, packet, this.#size.of(end)));
    check(library.HMAC_Final(context, tag, NULL));
  }

  free(): void {
    this.#context.free();
  }
}

/**
 * Scratch of every context here: calls are synchronous and none leaves anything in it for the next. As members they
 * would be a fifth of what an idle connection holds.
 */
const scratch = {
  /** Block counter, then the nonce: all zero but for the sequence number in the last four bytes. */
  iv: new Uint8Array(16),
  head: new Uint8Array(4),
  /** Key stream block 0: its first 32 bytes are the one-time key. */
  block: new Uint8Array(60),
  tag: new Uint8Array(AEAD_TAG_LENGTH),
};

class LibcryptoChachaPoly implements ChachaPoly {
  readonly #library: Libcrypto;
  readonly #content: Allocation;
  readonly #length: Allocation;
  readonly #poly: Allocation;
  readonly #size = new LastSize();

  constructor(library: Libcrypto, chacha: bigint, poly1305: bigint, key: Bytes) {
    this.#library = library;
    this.#content = cipherContext(library, chacha, key.slice(0, 32), null);
    this.#length = cipherContext(library, chacha, key.slice(32), null);
    this.#poly = new Allocation(library.EVP_MAC_CTX_new(poly1305), library.EVP_MAC_CTX_free);
  }

  seal(sequence: number, packet: Bytes): void {
    requireAtLeast("packet", packet.length, 4 + AEAD_TAG_LENGTH);
    const end = packet.length - AEAD_TAG_LENGTH;
    this.#cryptLength(sequence, packet);
    this.#start(sequence);
    this.#cryptContent(packet, end);
    for (let i = 0; i < 4; i++) packet[i] = scratch.head[i];
    this.#authenticate(packet, end);
    for (let i = 0; i < AEAD_TAG_LENGTH; i++) packet[end + i] = scratch.tag[i];
  }

  length(sequence: number, head: Bytes): number {
    requireAtLeast("head", head.length, 4);
    this.#cryptLength(sequence, head);
    const plain = scratch.head;
    return (plain[0] << 24 | plain[1] << 16 | plain[2] << 8 | plain[3]) >>> 0;
  }

  open(sequence: number, packet: Bytes): boolean {
    requireAtLeast("packet", packet.length, 4 + AEAD_TAG_LENGTH);
    const end = packet.length - AEAD_TAG_LENGTH;
    this.#start(sequence);
    this.#authenticate(packet, end);
    let difference = 0;
    for (let i = 0; i < AEAD_TAG_LENGTH; i++) difference |= scratch.tag[i] ^ packet[end + i];
    if (difference !== 0) return false;
    this.#cryptContent(packet, end);
    return true;
  }

  free(): void {
    this.#content.free();
    this.#length.free();
    this.#poly.free();
  }

  /** The first four bytes of `packet` under the length's key, into the scratch head. */
  #cryptLength(sequence: number, packet: Bytes): void {
    const context = this.#length.pointer;
    for (let i = 0; i < 4; i++) scratch.head[i] = packet[i];
    writeUint32(scratch.iv, 12, sequence);
    check(this.#library.EVP_CipherInit_ex(context, NULL, NULL, null, scratch.iv, ENCRYPT));
    check(this.#library.EVP_Cipher(context, scratch.head, scratch.head, 4));
  }

  /** Starts the content's key stream at block 0, whose first half is the one-time key. */
  #start(sequence: number): void {
    const context = this.#content.pointer;
    writeUint32(scratch.iv, 12, sequence);
    check(this.#library.EVP_CipherInit_ex(context, NULL, NULL, null, scratch.iv, ENCRYPT));
    check(this.#library.EVP_Cipher(context, scratch.block, SKIPPED, SKIPPED.length));
  }

  /** Content from key stream block 1 on. The last four bytes of block 0 fall on the length, and spoil it. */
  #cryptContent(packet: Bytes, end: number): void {
    check(this.#library.EVP_Cipher(this.#content.pointer, packet, packet, end));
  }

  #authenticate(packet: Bytes, end: number): void {
    const library = this.#library;
    const context = this.#poly.pointer;
    check(library.EVP_MAC_init(context, scratch.block, 32n, NULL));
    check(library.EVP_MAC_update(context, packet, this.#size.of(end)));
    check(library.EVP_MAC_final(context, scratch.tag, NO_LENGTH, 16n));
  }
}

/**
 * Key stream before the packet: four bytes less than a block, so that the packet's content is aligned to block 1 and
 * no view without its length need be made.
 */
const SKIPPED = new Uint8Array(scratch.block.length);

/** Where EVP_MAC_final writes the tag's length, which nobody asks for. */
const NO_LENGTH = new Uint8Array(8);

class LibcryptoAesGcm implements AesGcm {
  readonly #library: Libcrypto;
  readonly #context: Allocation;

  constructor(library: Libcrypto, cipher: bigint, key: Bytes) {
    this.#library = library;
    this.#context = cipherContext(library, cipher, key, null);
  }

  seal(nonce: Bytes, aadLength: number, packet: Bytes): void {
    const library = this.#library;
    const end = contentEnd(nonce, aadLength, packet);
    const context = this.#context.pointer;
    check(library.EVP_CipherInit_ex(context, NULL, NULL, null, nonce, ENCRYPT));
    this.#crypt(context, aadLength, packet, end);
    if (library.EVP_Cipher(context, null, null, 0) < 0) throw new Error("a libcrypto call failed");
    check(library.EVP_CIPHER_CTX_ctrl(context, AEAD_GET_TAG, AEAD_TAG_LENGTH, scratch.tag));
    for (let i = 0; i < AEAD_TAG_LENGTH; i++) packet[end + i] = scratch.tag[i];
  }

  open(nonce: Bytes, aadLength: number, packet: Bytes): boolean {
    const library = this.#library;
    const end = contentEnd(nonce, aadLength, packet);
    const context = this.#context.pointer;
    for (let i = 0; i < AEAD_TAG_LENGTH; i++) scratch.tag[i] = packet[end + i];
    check(library.EVP_CipherInit_ex(context, NULL, NULL, null, nonce, DECRYPT));
    check(library.EVP_CIPHER_CTX_ctrl(context, AEAD_SET_TAG, AEAD_TAG_LENGTH, scratch.tag));
    this.#crypt(context, aadLength, packet, end);
    return library.EVP_Cipher(context, null, null, 0) >= 0;
  }

  free(): void {
    this.#context.free();
  }

  #crypt(context: bigint, aadLength: number, packet: Bytes, end: number): void {
    const library = this.#library;
    if (aadLength > 0) check(library.EVP_Cipher(context, null, packet, aadLength));
    if (aadLength === end) return;
    // The one view that cannot be avoided: C takes an address, and offsets are not to be had here.
    const content = packet.subarray(aadLength, end);
    check(library.EVP_Cipher(context, content, content, content.length));
  }
}

function contentEnd(nonce: Bytes, aadLength: number, packet: Bytes): number {
  requireLength("nonce", nonce.length, 12);
  requireAtLeast("packet", packet.length - AEAD_TAG_LENGTH, aadLength);
  return packet.length - AEAD_TAG_LENGTH;
}

class LibcryptoAesCtr implements AesCtr {
  readonly #library: Libcrypto;
  readonly #context: Allocation;

  constructor(library: Libcrypto, cipher: bigint, key: Bytes, iv: Bytes) {
    this.#library = library;
    this.#context = cipherContext(library, cipher, key, iv);
  }

  xor(data: Bytes, start: number, end: number): void {
    requireAtLeast("data", data.length, end);
    requireAtLeast("data up to the end", end, start);
    if (start === end) return;
    const part = start === 0 ? data : data.subarray(start);
    check(this.#library.EVP_Cipher(this.#context.pointer, part, part, end - start));
  }

  free(): void {
    this.#context.free();
  }
}

function writeUint32(into: Bytes, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}
