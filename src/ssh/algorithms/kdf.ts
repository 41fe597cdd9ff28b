/** Keys from the shared secret: RFC 4253 §7.2. */
import { type Bytes, concat, encodeText } from "../../bytes/bytes.ts";
import type { CryptoProvider, HashName } from "../../platform/crypto.ts";
import type { KeyMaterial, ProtectionKeys } from "./ciphers.ts";

/** What a key exchange leaves for the derivation of keys. */
export interface ExchangeResult {
  /** The method's hash. */
  readonly hash: HashName;
  /** K, encoded as it went into the exchange hash. */
  readonly secret: Bytes;
  /** H of this exchange. */
  readonly exchangeHash: Bytes;
  /** H of the connection's first exchange. */
  readonly sessionId: Bytes;
}

/** The letters of RFC 4253 §7.2 by direction. */
const letters = {
  clientToServer: { iv: "A", key: "C", mac: "E" },
  serverToClient: { iv: "B", key: "D", mac: "F" },
} as const;

/** Which way packets go. */
export type Direction = keyof typeof letters;

/** All keys of one direction. */
export function deriveKeys(
  crypto: CryptoProvider,
  exchange: ExchangeResult,
  direction: Direction,
  lengths: KeyMaterial,
): ProtectionKeys {
  const letter = letters[direction];
  return {
    iv: deriveKey(crypto, exchange, letter.iv, lengths.iv),
    key: deriveKey(crypto, exchange, letter.key, lengths.key),
    mac: deriveKey(crypto, exchange, letter.mac, lengths.mac),
  };
}

/** The first `length` bytes of `HASH(K ‖ H ‖ letter ‖ session_id)`, extended by `HASH(K ‖ H ‖ all so far)`. */
export function deriveKey(
  crypto: CryptoProvider,
  { hash, secret, exchangeHash, sessionId }: ExchangeResult,
  letter: "A" | "B" | "C" | "D" | "E" | "F",
  length: number,
): Bytes {
  let key: Bytes = new Uint8Array(0);
  if (length > 0) key = crypto.hash(hash, secret, exchangeHash, encodeText(letter), sessionId);
  while (key.length < length) key = concat(key, crypto.hash(hash, secret, exchangeHash, key));
  return key.slice(0, length);
}
