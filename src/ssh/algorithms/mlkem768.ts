/**
 * ML-KEM-768 (FIPS 203) by WebCrypto ("Modern Algorithms in the Web Cryptography API"), where the runtime has it.
 * The types are written out here until TypeScript's library knows them.
 */
import type { Bytes } from "../../bytes/bytes.ts";

const NAME = "ML-KEM-768";

/** Bytes of an encapsulation key. */
export const publicKeyLength = 1184;
/** Bytes of a ciphertext. */
export const ciphertextLength = 1088;

interface SubtleKem {
  encapsulateBits(
    name: string,
    publicKey: CryptoKey,
  ): Promise<{ ciphertext: ArrayBuffer; sharedKey: ArrayBuffer }>;
  decapsulateBits(name: string, privateKey: CryptoKey, ciphertext: Bytes): Promise<ArrayBuffer>;
  generateKey(name: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>;
  exportKey(format: string, key: CryptoKey): Promise<ArrayBuffer>;
  importKey(
    format: string,
    key: Bytes,
    name: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>;
}

const subtle = crypto.subtle as unknown as SubtleKem;

/** Whether the runtime's WebCrypto has it. */
export function supported(): boolean {
  return typeof subtle.encapsulateBits === "function";
}

/** A fresh key pair, whose private half does not leave WebCrypto. */
export interface DecapsulationKey {
  /** The encapsulation key to send. */
  readonly publicKey: Bytes;
  /** The shared secret in `ciphertext`; of a wrong one a random secret (implicit rejection). */
  decapsulate(ciphertext: Bytes): Promise<Bytes>;
}

/** Makes a key pair for one exchange. */
export async function generate(): Promise<DecapsulationKey> {
  const { publicKey, privateKey } = await subtle.generateKey(NAME, false, [
    "encapsulateBits",
    "decapsulateBits",
  ]);
  return {
    publicKey: new Uint8Array(await subtle.exportKey("raw-public", publicKey)),
    decapsulate: async (ciphertext) =>
      new Uint8Array(await subtle.decapsulateBits(NAME, privateKey, ciphertext)),
  };
}

/** A fresh shared secret for the holder of `publicKey`. Rejects when that is no encapsulation key. */
export async function encapsulate(publicKey: Bytes): Promise<{ ciphertext: Bytes; secret: Bytes }> {
  const key = await subtle.importKey("raw-public", publicKey, NAME, false, ["encapsulateBits"]);
  const { ciphertext, sharedKey } = await subtle.encapsulateBits(NAME, key);
  return { ciphertext: new Uint8Array(ciphertext), secret: new Uint8Array(sharedKey) };
}
