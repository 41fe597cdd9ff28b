/**
 * The keys of a connection: agreed at first, renewed ever after (RFC 4253 §§7–9), strictly where both sides can
 * (OpenSSH PROTOCOL §1.10).
 */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { KexMarker, negotiate, type Negotiated, type Proposal, propose } from "../algorithms/negotiation.ts";
import { SshError } from "../error.ts";
import { Msg } from "../wire/numbers.ts";
import type { TransportConfig } from "./config.ts";
import type { PeerExchange } from "./expected.ts";
import { encodeClientExtInfo, encodeServerExtInfo } from "./ext_info.ts";
import { type ProvenHostKey, servableAlgorithms } from "./host_key.ts";
import type { Identifications } from "./identification.ts";
import {
  answerKeyExchange,
  ClientKeyExchange,
  type Exchanged,
  openerFor,
  sealerFor,
} from "./key_exchange.ts";
import { encodeKexInit, type KexInit, parseKexInit } from "./kexinit.ts";
import { KEX_DEADLINE_MS, MAX_HELD_DURING_KEX, REKEY_PACKETS } from "./limits.ts";
import type { PacketStream } from "./packet_stream.ts";

/** An exchange under way, from our KEXINIT to the peer's NEWKEYS. */
interface Exchange {
  /** Payload of our KEXINIT. */
  readonly ownInit: Bytes;
  readonly own: Proposal;
  /** Stops the deadline. */
  readonly inTime: () => void;
  peer: PeerExchange;
  peerInit?: Bytes;
  negotiated?: Negotiated;
  client?: ClientKeyExchange;
  exchanged?: Exchanged;
  sentNewKeys: boolean;
}

/** What the agreement tells the transport. */
export interface KeyAgreementEvents {
  /** The exchange failed outside of any message handler. */
  fail(error: SshError): void;
  /** An exchange is complete. @param first the connection's first */
  complete(first: boolean): void;
  /** A message that was held back may be sent now. */
  release(message: Bytes): void;
}

/** All key exchanges of one connection, one at a time; what they change, they change in its stream. */
export class KeyAgreement {
  readonly #stream: PacketStream;
  readonly #config: TransportConfig;
  readonly #events: KeyAgreementEvents;
  readonly #identifications: Identifications;
  #exchange?: Exchange;
  #strict = false;
  #peerTakesExtInfo = false;
  #held: Bytes[] = [];
  #heldBytes = 0;
  #cancelRenewal = () => {};
  #ended = false;
  /** H of the first exchange; empty before. */
  sessionId: Bytes = EMPTY;
  /** K_S of the last exchange. */
  hostKey: Bytes = EMPTY;
  /** On the client: the server's key that was verified. */
  provenHostKey?: ProvenHostKey;
  /** What the last exchange agreed on. */
  negotiated?: Negotiated;

  constructor(
    stream: PacketStream,
    config: TransportConfig,
    identifications: Identifications,
    events: KeyAgreementEvents,
  ) {
    this.#stream = stream;
    this.#config = config;
    this.#identifications = identifications;
    this.#events = events;
  }

  /** Whether strict key exchange holds. */
  get strict(): boolean {
    return this.#strict;
  }

  /** What the peer owes. */
  get peer(): PeerExchange {
    return this.#exchange?.peer ?? "none";
  }

  get #initial(): boolean {
    return this.sessionId.length === 0;
  }

  /** Sends KEXINIT, unless an exchange is under way. */
  start(): void {
    if (this.#exchange || this.#ended) return;
    const own = this.#proposal();
    const late = () => this.#events.fail(new SshError("timeout", "the key exchange took too long"));
    this.#cancelRenewal();
    this.#exchange = {
      own,
      ownInit: encodeKexInit(own),
      inTime: this.#config.clock.after(KEX_DEADLINE_MS, late),
      peer: "none",
      sentNewKeys: false,
    };
    this.#stream.hold = true;
    this.#stream.send(this.#exchange.ownInit);
  }

  /** Starts an exchange when enough has gone either way under the present keys. */
  renewWhenDue(): void {
    const { reader, writer } = this.#stream;
    const { bytes } = this.#config.rekey;
    const sentEnough = writer.sealedBytes >= bytes || writer.sealedPackets >= REKEY_PACKETS;
    if (!sentEnough && reader.openedBytes < bytes && reader.openedPackets < REKEY_PACKETS) return;
    // Our new keys may have done their share before the peer has got to its own: then bulk data waits for the next ones.
    if (sentEnough && this.#exchange?.sentNewKeys) this.#stream.hold = true;
    this.start();
  }

  /**
   * Keeps a message of the layers above for after our NEWKEYS, if it may not be sent now (RFC 4253 §7.1).
   * @param message copied by the caller
   * @returns whether it was kept
   */
  holdBack(message: () => Bytes): boolean {
    if (!this.#exchange || this.#exchange.sentNewKeys) return false;
    const bytes = message();
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > MAX_HELD_DURING_KEX) {
      this.#events.fail(new SshError("limit", "too much to send while the key exchange stalls"));
    } else {
      this.#held.push(bytes);
    }
    return true;
  }

  /** Frees timers; nothing starts any more. */
  end(): void {
    this.#ended = true;
    this.#exchange?.inTime();
    this.#cancelRenewal();
  }

  // -- the peer's messages --------------------------------------------------------------------------------------

  /** KEXINIT. @param payload kept */
  async receiveInit(payload: Bytes): Promise<void> {
    const peer = parseKexInit(payload);
    if (this.#initial) this.#readMarkers(peer);
    this.start();
    const exchange = this.#exchange!;
    const server = this.#config.role === "server";
    const negotiated = server ? negotiate(peer, exchange.own) : negotiate(exchange.own, peer);
    exchange.negotiated = negotiated;
    exchange.peerInit = payload;
    exchange.peer = peer.firstKexPacketFollows && !negotiated.guessIsRight ? "guess" : "method";
    if (!server) {
      exchange.client = new ClientKeyExchange(this.#config.crypto, negotiated, this.#transcript(exchange));
      this.#stream.send(await exchange.client.start());
    }
  }

  /** KEX_ECDH_INIT on the server, KEX_ECDH_REPLY on the client; any message of a method as a wrong guess. */
  async receiveMethod(payload: Bytes): Promise<void> {
    const exchange = this.#exchange!;
    if (exchange.peer === "guess") {
      exchange.peer = "method";
      return;
    }
    const exchanged = this.#config.role === "server"
      ? await this.#answer(exchange, payload)
      : await this.#finish(exchange, payload);
    if (this.#ended) return;
    const first = this.#initial;
    if (first) this.sessionId = exchanged.exchangeHash;
    this.hostKey = exchanged.hostKey.slice();
    exchange.exchanged = exchanged;
    exchange.peer = "newkeys";
    this.#useNewKeys(exchange, exchanged, first);
  }

  /** NEWKEYS: from here on the peer's packets have the new protection. */
  receiveNewKeys(): void {
    const exchange = this.#exchange!;
    const first = this.negotiated === undefined;
    const { crypto, clock, rekey, role } = this.#config;
    const direction = role === "server" ? "clientToServer" : "serverToClient";
    const opener = openerFor(crypto, exchange.exchanged!, this.sessionId, exchange.negotiated!, direction);
    this.#stream.changeReceiveKeys(opener, this.#strict);
    exchange.inTime();
    this.negotiated = exchange.negotiated;
    this.#exchange = undefined;
    this.#cancelRenewal = clock.after(rekey.ms, () => this.start());
    this.#stream.hold = false;
    this.#events.complete(first);
  }

  // -- ours -----------------------------------------------------------------------------------------------------

  #proposal(): Proposal {
    const { algorithms, role } = this.#config;
    const { extInfoClient, extInfoServer, strictClient, strictServer } = KexMarker;
    if (role === "client") {
      return propose(algorithms, ...(this.#initial ? [extInfoClient, strictClient] : []));
    }
    const hostKey = servableAlgorithms(algorithms.hostKey, this.#config.hostKeys());
    return propose({ ...algorithms, hostKey }, ...(this.#initial ? [extInfoServer, strictServer] : []));
  }

  /** What the peer's first list of methods says besides methods; later ones mean nothing. */
  #readMarkers(peer: KexInit): void {
    const server = this.#config.role === "server";
    this.#strict = peer.kex.includes(server ? KexMarker.strictClient : KexMarker.strictServer);
    this.#peerTakesExtInfo = peer.kex.includes(server ? KexMarker.extInfoClient : KexMarker.extInfoServer);
    // Strict: nothing at all before KEXINIT (CVE-2023-48795).
    if (this.#strict && this.#stream.reader.lastSequence !== 0) {
      throw new SshError("protocol", "a message before KEXINIT under strict key exchange");
    }
  }

  #transcript({ ownInit, peerInit }: Exchange) {
    const [clientKexInit, serverKexInit] = this.#config.role === "server"
      ? [peerInit!, ownInit]
      : [ownInit, peerInit!];
    return { identifications: this.#identifications, clientKexInit, serverKexInit };
  }

  async #answer(exchange: Exchange, payload: Bytes): Promise<Exchanged> {
    const config = this.#config;
    if (config.role !== "server") throw new TypeError("only a server answers");
    const answer = await answerKeyExchange(
      config.crypto,
      exchange.negotiated!,
      this.#transcript(exchange),
      config.hostKeys(),
      payload,
    );
    this.#stream.send(answer.reply);
    return answer;
  }

  async #finish(exchange: Exchange, payload: Bytes): Promise<Exchanged> {
    const config = this.#config;
    if (config.role !== "client") throw new TypeError("only a client finishes");
    const finished = await exchange.client!.finish(payload, config.verifyHostKey, this.provenHostKey);
    // The reader's buffer is reused: what stays is copied.
    this.provenHostKey = { ...finished.proven, blob: finished.proven.blob.slice() };
    return finished;
  }

  /** Sends NEWKEYS; from here on our packets have the new protection. */
  #useNewKeys(exchange: Exchange, exchanged: Exchanged, first: boolean): void {
    const config = this.#config;
    this.#stream.send(new Uint8Array([Msg.NEWKEYS]));
    const direction = config.role === "server" ? "serverToClient" : "clientToServer";
    const sealer = sealerFor(config.crypto, exchanged, this.sessionId, exchange.negotiated!, direction);
    this.#stream.changeSendKeys(sealer, this.#strict);
    exchange.sentNewKeys = true;
    if (first && this.#peerTakesExtInfo) {
      this.#stream.send(
        config.role === "server" ? encodeServerExtInfo(config.signatureAlgorithms) : encodeClientExtInfo(),
      );
    }
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    this.#stream.hold = false;
    for (const message of held) this.#events.release(message);
  }
}
