/**
 * One key exchange (RFC 4253 §§7, 8) from both KEXINITs to keys. All our methods have the shape of RFC 5656 §4:
 * INIT with the client's public value; REPLY with host key, the server's public value and a signature.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import type { Signer } from "../../keys/types.ts";
import type { CryptoProvider } from "../../platform/crypto.ts";
import { createOpener, createSealer, keyMaterial } from "../algorithms/ciphers.ts";
import { deriveKeys, type Direction, type ExchangeResult } from "../algorithms/kdf.ts";
import { type ClientExchange, type KexMethod, kexMethods } from "../algorithms/kex.ts";
import type { Negotiated } from "../algorithms/negotiation.ts";
import type { Opener, Sealer } from "../algorithms/protection.ts";
import { Msg } from "../wire/numbers.ts";
import {
  chooseHostKey,
  hostKeyError,
  type HostKeyVerifier,
  proveHostKey,
  type ProvenHostKey,
} from "./host_key.ts";
import type { Identifications } from "./identification.ts";

/** All that goes into the exchange hash before the method's own values (RFC 4253 §8). */
export interface Transcript {
  readonly identifications: Identifications;
  /** Payloads of both KEXINITs. */
  readonly clientKexInit: Bytes;
  readonly serverKexInit: Bytes;
}

/** What an exchange leaves behind. */
export interface Exchanged {
  readonly hash: ExchangeResult["hash"];
  readonly secret: Bytes;
  readonly exchangeHash: Bytes;
  /** K_S */
  readonly hostKey: Bytes;
}

/** The client's side: `start`, send what it returns, `finish` with the server's REPLY. */
export class ClientKeyExchange {
  readonly #crypto: CryptoProvider;
  readonly #negotiated: Negotiated;
  readonly #transcript: Transcript;
  readonly #method: KexMethod;
  #exchange?: ClientExchange;

  constructor(crypto: CryptoProvider, negotiated: Negotiated, transcript: Transcript) {
    this.#crypto = crypto;
    this.#negotiated = negotiated;
    this.#transcript = transcript;
    this.#method = kexMethods.get(negotiated.kex)!;
  }

  /** SSH_MSG_KEX_ECDH_INIT */
  async start(): Promise<Bytes> {
    this.#exchange = await this.#method.start(this.#crypto);
    return new Writer().byte(Msg.KEX_ECDH_INIT).string(this.#exchange.init).finish();
  }

  /**
   * @param payload SSH_MSG_KEX_ECDH_REPLY
   * @param known the host key of the connection's first exchange: a later one must show the same (RFC 4253 §9 lets it
   * change; nobody does, and a user who verified one key verified that one)
   * @throws {SshError} `host-key` when the key is not believed, `protocol` for impossible values
   */
  async finish(
    payload: Bytes,
    verify: HostKeyVerifier,
    known?: ProvenHostKey,
  ): Promise<Exchanged & { proven: ProvenHostKey }> {
    const reader = new Reader(payload, 1);
    const hostKey = reader.string();
    const reply = reader.string();
    const signature = reader.string();
    reader.end();
    const { init, finish } = this.#exchange!;
    const secret = await finish(reply);
    const exchangeHash = hashExchange(
      this.#crypto,
      this.#method,
      this.#transcript,
      hostKey,
      init,
      reply,
      secret,
    );
    const proven = await proveHostKey(this.#negotiated.hostKey, hostKey, signature, exchangeHash);
    if (!known || !sameKey(known, proven)) {
      const verdict = await verify(proven);
      if (verdict !== true) throw hostKeyError(verdict);
    }
    return { hash: this.#method.hash, secret, exchangeHash, hostKey, proven };
  }
}

function sameKey(a: ProvenHostKey, b: ProvenHostKey): boolean {
  return a.blob.length === b.blob.length && a.blob.every((byte, i) => byte === b.blob[i]);
}

/**
 * The server's side, in one step.
 * @param payload SSH_MSG_KEX_ECDH_INIT
 * @returns also SSH_MSG_KEX_ECDH_REPLY to send
 */
export async function answerKeyExchange(
  crypto: CryptoProvider,
  negotiated: Negotiated,
  transcript: Transcript,
  signers: readonly Signer[],
  payload: Bytes,
): Promise<Exchanged & { reply: Bytes }> {
  const reader = new Reader(payload, 1);
  const init = reader.string();
  reader.end();
  const method = kexMethods.get(negotiated.kex)!;
  const { reply, secret } = await method.respond(crypto, init);
  const hostKey = chooseHostKey(negotiated.hostKey, signers);
  const exchangeHash = hashExchange(crypto, method, transcript, hostKey.blob, init, reply, secret);
  const signature = await hostKey.sign(exchangeHash);
  return {
    hash: method.hash,
    secret,
    exchangeHash,
    hostKey: hostKey.blob,
    reply: new Writer(512).byte(Msg.KEX_ECDH_REPLY).string(hostKey.blob).string(reply).string(signature)
      .finish(),
  };
}

/** H = HASH(V_C ‖ V_S ‖ I_C ‖ I_S ‖ K_S ‖ Q_C ‖ Q_S ‖ K), RFC 5656 §4. `secret` is encoded already. */
function hashExchange(
  crypto: CryptoProvider,
  method: KexMethod,
  { identifications, clientKexInit, serverKexInit }: Transcript,
  hostKey: Bytes,
  init: Bytes,
  reply: Bytes,
  secret: Bytes,
): Bytes {
  const head = new Writer(4096)
    .string(identifications.client)
    .string(identifications.server)
    .string(clientKexInit)
    .string(serverKexInit)
    .string(hostKey)
    .string(init)
    .string(reply);
  return crypto.hash(method.hash, head.bytes(secret).finish());
}

/** Protection of one direction from what an exchange left. */
function keysOf(
  crypto: CryptoProvider,
  exchanged: Exchanged,
  sessionId: Bytes,
  negotiated: Negotiated,
  direction: Direction,
) {
  const { cipher, mac } = negotiated[direction];
  const keys = deriveKeys(crypto, { ...exchanged, sessionId }, direction, keyMaterial(cipher, mac));
  return { cipher, mac, keys };
}

/** New protection of what is sent in `direction`. */
export function sealerFor(
  crypto: CryptoProvider,
  exchanged: Exchanged,
  sessionId: Bytes,
  negotiated: Negotiated,
  direction: Direction,
): Sealer {
  const { cipher, mac, keys } = keysOf(crypto, exchanged, sessionId, negotiated, direction);
  return createSealer(crypto, cipher, mac, keys);
}

/** New protection of what is received in `direction`. */
export function openerFor(
  crypto: CryptoProvider,
  exchanged: Exchanged,
  sessionId: Bytes,
  negotiated: Negotiated,
  direction: Direction,
): Opener {
  const { cipher, mac, keys } = keysOf(crypto, exchanged, sessionId, negotiated, direction);
  return createOpener(crypto, cipher, mac, keys);
}
