/** Ciphers, and packet protection made from a cipher's and a MAC's name. */
import type { Bytes } from "../../bytes/bytes.ts";
import type { CryptoProvider } from "../../platform/crypto.ts";
import { ChachaPolyOpener, ChachaPolySealer } from "./chacha_poly.ts";
import { CtrHmacOpener, CtrHmacSealer } from "./ctr_hmac.ts";
import { GcmOpener, GcmSealer } from "./gcm.ts";
import { type Mac, macs } from "./macs.ts";
import type { Opener, Sealer } from "./protection.ts";

/** One direction's keys, of the lengths that {@link keyMaterial} says. */
export interface ProtectionKeys {
  readonly iv: Bytes;
  readonly key: Bytes;
  readonly mac: Bytes;
}

/** How many bytes the key derivation has to make for one direction. */
export interface KeyMaterial {
  readonly iv: number;
  readonly key: number;
  readonly mac: number;
}

interface CipherLengths {
  readonly name: string;
  readonly keyLength: number;
  readonly ivLength: number;
}

/** A cipher that authenticates by itself: no MAC is negotiated (RFC 5647 §5.1, OpenSSH PROTOCOL §1.6). */
interface AeadCipher extends CipherLengths {
  readonly aead: true;
  sealer(crypto: CryptoProvider, keys: ProtectionKeys): Sealer;
  opener(crypto: CryptoProvider, keys: ProtectionKeys): Opener;
}

/** A cipher that needs a MAC beside it. */
interface PlainCipher extends CipherLengths {
  readonly aead: false;
  sealer(crypto: CryptoProvider, keys: ProtectionKeys, mac: Mac): Sealer;
  opener(crypto: CryptoProvider, keys: ProtectionKeys, mac: Mac): Opener;
}

/** One cipher. */
export type Cipher = AeadCipher | PlainCipher;

const gcm = {
  aead: true,
  ivLength: 12,
  sealer: (crypto, keys) => new GcmSealer(crypto, keys.key, keys.iv),
  opener: (crypto, keys) => new GcmOpener(crypto, keys.key, keys.iv),
} satisfies Partial<AeadCipher>;

const chachaPoly = {
  aead: true,
  ivLength: 0,
  sealer: (crypto, keys) => new ChachaPolySealer(crypto, keys.key),
  opener: (crypto, keys) => new ChachaPolyOpener(crypto, keys.key),
} satisfies Partial<AeadCipher>;

const ctr = {
  aead: false,
  ivLength: 16,
  sealer: (crypto, keys, mac) => new CtrHmacSealer(crypto, keys, mac),
  opener: (crypto, keys, mac) => new CtrHmacOpener(crypto, keys, mac),
} satisfies Partial<PlainCipher>;

const rows: readonly Cipher[] = [
  { name: "aes256-gcm@openssh.com", keyLength: 32, ...gcm },
  { name: "aes128-gcm@openssh.com", keyLength: 16, ...gcm },
  { name: "chacha20-poly1305@openssh.com", keyLength: 64, ...chachaPoly },
  { name: "aes256-ctr", keyLength: 32, ...ctr },
  { name: "aes192-ctr", keyLength: 24, ...ctr },
  { name: "aes128-ctr", keyLength: 16, ...ctr },
];

/** Every cipher by its name, best first: with AES in hardware, GCM costs half of ChaCha20. */
export const ciphers: ReadonlyMap<string, Cipher> = new Map(rows.map((row) => [row.name, row]));

/**
 * Key lengths for one direction.
 * @param macName ignored where the cipher is AEAD
 * @throws {TypeError} for a name that is not in the tables
 */
export function keyMaterial(cipherName: string, macName: string | undefined): KeyMaterial {
  const cipher = find(ciphers, "cipher", cipherName);
  return {
    iv: cipher.ivLength,
    key: cipher.keyLength,
    mac: cipher.aead ? 0 : find(macs, "MAC", macName).length,
  };
}

/** Protection of what this side sends. Arguments and errors as {@link keyMaterial}; `keys` are copied. */
export function createSealer(
  crypto: CryptoProvider,
  cipherName: string,
  macName: string | undefined,
  keys: ProtectionKeys,
): Sealer {
  const cipher = find(ciphers, "cipher", cipherName);
  return cipher.aead ? cipher.sealer(crypto, keys) : cipher.sealer(crypto, keys, find(macs, "MAC", macName));
}

/** Protection of what the peer sends. Arguments and errors as {@link keyMaterial}; `keys` are copied. */
export function createOpener(
  crypto: CryptoProvider,
  cipherName: string,
  macName: string | undefined,
  keys: ProtectionKeys,
): Opener {
  const cipher = find(ciphers, "cipher", cipherName);
  return cipher.aead ? cipher.opener(crypto, keys) : cipher.opener(crypto, keys, find(macs, "MAC", macName));
}

function find<T>(table: ReadonlyMap<string, T>, kind: string, name: string | undefined): T {
  const row = table.get(name ?? "");
  if (!row) throw new TypeError(`no ${kind} '${name}'`);
  return row;
}
