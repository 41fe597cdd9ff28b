/**
 * The transport protocol (RFC 4253) on one connection: identification, key exchange at first and ever again, an
 * allow-list of messages by state, EXT_INFO, ping, disconnect. Above it lie authentication and the connection protocol.
 */
import { type Bytes, concat, decodeText, EMPTY, encodeText } from "../../bytes/bytes.ts";
import { printable } from "../../bytes/printable.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import type { Signer } from "../../keys/types.ts";
import type { Clock } from "../../platform/clock.ts";
import type { CryptoProvider } from "../../platform/crypto.ts";
import type { PlainDuplex } from "../../streams/duplex.ts";
import { clearOpener, clearSealer } from "../algorithms/clear.ts";
import type { AlgorithmLists } from "../algorithms/lists.ts";
import { KexMarker, negotiate, type Negotiated, type Proposal, propose } from "../algorithms/negotiation.ts";
import { DisconnectReason, SshError } from "../error.ts";
import { Msg } from "../wire/numbers.ts";
import { dispositionOf, type PeerExchange, type Phase, type Role } from "./expected.ts";
import {
  encodeClientExtInfo,
  encodeServerExtInfo,
  type ExtInfo,
  NO_EXTENSIONS,
  parseExtInfo,
} from "./ext_info.ts";
import type { HostKeyVerifier, ProvenHostKey } from "./host_key.ts";
import { servableAlgorithms } from "./host_key.ts";
import { exchangeIdentification, type Identifications } from "./identification.ts";
import {
  answerKeyExchange,
  ClientKeyExchange,
  type Exchanged,
  openerFor,
  sealerFor,
} from "./key_exchange.ts";
import { encodeKexInit, type KexInit, parseKexInit } from "./kexinit.ts";
import * as limit from "./limits.ts";
import { PacketStream } from "./packet_stream.ts";

/** When keys are renewed. */
export interface RekeyLimit {
  /** Bytes in either direction. */
  readonly bytes: number;
  readonly ms: number;
}

/** What both sides are told. */
export interface TransportConfig {
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  readonly algorithms: AlgorithmLists;
  /** Identification without line ending: `SSH-2.0-name_1.0`. */
  readonly identification: string;
  readonly rekey: RekeyLimit;
}

export interface ServerTransportConfig extends TransportConfig {
  readonly role: "server";
  /** Asked at every key exchange: certificates are renewed while connections live. */
  hostKeys(): readonly Signer[];
  /** `server-sig-algs` */
  readonly signatureAlgorithms: readonly string[];
}

export interface ClientTransportConfig extends TransportConfig {
  readonly role: "client";
  readonly verifyHostKey: HostKeyVerifier;
}

/** An exchange under way. */
interface Exchange {
  /** Payload of our KEXINIT, sent. */
  readonly ownInit: Bytes;
  readonly own: Proposal;
  peer: PeerExchange;
  negotiated?: Negotiated;
  peerInit?: Bytes;
  client?: ClientKeyExchange;
  /** Skip the next method message: the peer guessed wrong. */
  skipGuess: boolean;
  exchanged?: Exchanged;
  sentNewKeys: boolean;
  cancelDeadline(): void;
}

export class Transport {
  readonly closed: Promise<Error | undefined>;

  readonly #config: ServerTransportConfig | ClientTransportConfig;
  readonly #role: Role;
  readonly #stream: PacketStream;
  #identifications!: Identifications;
  #phase: Phase = "initial";
  #exchange?: Exchange;
  #strict = false;
  #peerWantsExtInfo = false;
  #sessionId: Bytes = EMPTY;
  #hostKey: Bytes = EMPTY;
  #provenHostKey?: ProvenHostKey;
  #negotiated?: Negotiated;
  #extensions: ExtInfo = NO_EXTENSIONS;
  #held: Bytes[] = [];
  #heldBytes = 0;
  #cancelRekey = () => {};
  /** Settles the promise of {@link start}. */
  #started = Promise.withResolvers<void>();
  /** One message for {@link receive}; reading pauses until it is taken. */
  #inbox?: { message: Bytes; taken: () => void };
  #receiver?: { resolve(message: Bytes): void; reject(reason: unknown): void };
  #attached = Promise.withResolvers<void>();
  #handle?: (payload: Bytes) => void;
  readonly #pings: ((roundTrip: number | undefined) => void)[] = [];
  #ended?: { error: Error | undefined };
  #resolveClosed!: (error: Error | undefined) => void;

  private constructor(duplex: PlainDuplex, config: ServerTransportConfig | ClientTransportConfig) {
    this.#config = config;
    this.#role = config.role;
    this.#stream = new PacketStream(duplex, clearOpener, clearSealer);
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.#started.promise.catch(() => {});
  }

  /**
   * Exchanges identifications and first keys.
   * @param signal ends the attempt, later the whole connection
   * @throws {SshError}
   */
  static async start(
    duplex: PlainDuplex,
    config: ServerTransportConfig | ClientTransportConfig,
    signal?: AbortSignal,
  ): Promise<Transport> {
    const transport = new Transport(duplex, config);
    const onAbort = () => transport.#fail(asSshError(signal!.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    transport.closed.then(() => signal?.removeEventListener("abort", onAbort));
    if (signal?.aborted) onAbort();
    transport.#run();
    await transport.#started.promise;
    return transport;
  }

  get sessionId(): Bytes {
    return this.#sessionId;
  }

  get hostKey(): Bytes {
    return this.#hostKey;
  }

  /** On the client: the server's key as its callback accepted it. */
  get provenHostKey(): ProvenHostKey | undefined {
    return this.#provenHostKey;
  }

  get peerVersion(): string {
    const { client, server } = this.#identifications;
    return decodeText(this.#role === "server" ? client : server);
  }

  /** What the last key exchange agreed on. */
  get negotiated(): Negotiated {
    return this.#negotiated!;
  }

  get serverSignatureAlgorithms(): readonly string[] | undefined {
    return this.#extensions.serverSignatureAlgorithms;
  }

  get publicKeyHostbound(): boolean {
    return this.#extensions.publicKeyHostbound;
  }

  // -- for the layers above -------------------------------------------------------------------------------------

  send(head: Bytes, body: Bytes = EMPTY): void {
    if (this.#ended) return;
    const exchange = this.#exchange;
    // RFC 4253 §7.1: between our KEXINIT and our NEWKEYS nothing of the layers above.
    if (exchange && !exchange.sentNewKeys) return this.#hold(concat(head, body));
    this.#stream.send(head, body);
    if (head[0] === Msg.USERAUTH_SUCCESS && this.#role === "server") this.#authenticated();
    else this.#rekeyWhenDue();
  }

  room(): Promise<void> | undefined {
    return this.#stream.room();
  }

  passTurn(): void {
    this.#stream.passTurn();
  }

  receive(): Promise<Bytes> {
    if (this.#inbox) {
      const { message, taken } = this.#inbox;
      this.#inbox = undefined;
      taken();
      return Promise.resolve(message);
    }
    if (this.#ended) return Promise.reject(this.#ended.error ?? closedError());
    return new Promise((resolve, reject) => this.#receiver = { resolve, reject });
  }

  attach(handle: (payload: Bytes) => void): void {
    this.#handle = handle;
    this.#attached.resolve();
  }

  /**
   * Measures a round trip with SSH2_MSG_PING.
   * @returns milliseconds; undefined when the peer did not announce that it answers, or the connection ended before
   */
  ping(): Promise<number | undefined> {
    if (!this.#extensions.ping || this.#ended) return Promise.resolve(undefined);
    const sentAt = this.#config.clock.monotonic();
    return new Promise((resolve) => {
      this.#pings.push((answered) => resolve(answered === undefined ? undefined : answered - sentAt));
      this.send(new Writer(8).byte(Msg.PING).string(EMPTY).finish());
    });
  }

  /** Renews the keys now. */
  rekey(): void {
    if (this.#phase === "connected" && !this.#exchange && !this.#ended) this.#startExchange();
  }

  disconnect(reason: number, description: string): void {
    this.#end(undefined, { reason, description });
  }

  // -- life -----------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    try {
      const { identification } = this.#config;
      const peer = await exchangeIdentification(this.#stream, this.#role, identification);
      const own = encodeText(identification);
      this.#identifications = this.#role === "server"
        ? { client: peer, server: own }
        : { client: own, server: peer };
      this.#startExchange();
      await this.#stream.run((payload) => this.#receive(payload));
      this.#end(new SshError("connection-lost", "the peer closed the connection"));
    } catch (error) {
      this.#fail(asSshError(error));
    }
  }

  /** Ends because of an error of the peer's or ours; tells the peer why. */
  #fail(error: SshError): void {
    const silent = error.code === "connection-lost" || error.code === "disconnected";
    // A peer that has not identified itself may not even speak SSH: it gets no packet.
    const known = this.#identifications !== undefined;
    this.#end(error, silent || !known ? undefined : { reason: error.reason, description: error.message });
  }

  #end(error: Error | undefined, goodbye?: { reason: number; description: string }): void {
    if (this.#ended) return;
    const reason = error ?? closedError();
    if (goodbye) {
      this.#stream.send(
        new Writer().byte(Msg.DISCONNECT).uint32(goodbye.reason).string(goodbye.description).string("")
          .finish(),
      );
    }
    this.#ended = { error };
    this.#exchange?.cancelDeadline();
    this.#cancelRekey();
    this.#started.reject(reason);
    this.#attached.resolve();
    this.#receiver?.reject(reason);
    this.#inbox?.taken();
    for (const settle of this.#pings.splice(0)) settle(undefined);
    this.#resolveClosed(error);
    this.#linger(reason, goodbye !== undefined);
  }

  /** Gives the last packets a moment to leave, then frees everything. */
  async #linger(reason: unknown, wait: boolean): Promise<void> {
    if (wait) {
      let cancel = () => {};
      const deadline = new Promise<void>((resolve) => {
        cancel = this.#config.clock.after(limit.LINGER_MS, resolve);
      });
      await Promise.race([this.#stream.flushed(), deadline]);
      cancel();
    }
    this.#stream.break(reason);
  }

  // -- receiving ------------------------------------------------------------------------------------------------

  #receive(payload: Bytes): void | Promise<void> {
    const number = payload[0];
    const peer = this.#exchange?.peer ?? "none";
    switch (dispositionOf(number, this.#role, this.#phase, peer, this.#strict)) {
      case "ignore":
        return;
      case "unimplemented":
        return this.send(
          new Writer(8).byte(Msg.UNIMPLEMENTED).uint32(this.#stream.reader.lastSequence).finish(),
        );
      case "disconnect":
        throw new SshError("protocol", `message ${number} is not allowed here`);
    }
    if (this.#ended) return;
    if (number >= Msg.GLOBAL_REQUEST && number < Msg.PING) {
      this.#rekeyWhenDue();
      // Authentication has succeeded, the layer above may not be there yet.
      return this.#handle ? this.#handle(payload) : this.#handleWhenAttached(payload);
    }
    const handler = Transport.#handlers[number];
    return handler ? handler(this, payload) : this.#deliver(payload);
  }

  static readonly #handlers: Record<number, (transport: Transport, payload: Bytes) => void | Promise<void>> =
    {
      [Msg.DISCONNECT]: (transport, payload) => transport.#peerDisconnects(payload),
      [Msg.UNIMPLEMENTED]: () => {},
      [Msg.EXT_INFO]: (transport, payload) => {
        transport.#extensions = parseExtInfo(payload, transport.#extensions);
      },
      [Msg.KEXINIT]: (transport, payload) => transport.#peerStartsExchange(payload.slice()),
      [Msg.KEX_ECDH_INIT]: (transport, payload) => transport.#methodMessage(payload),
      [Msg.KEX_ECDH_REPLY]: (transport, payload) => transport.#methodMessage(payload),
      [Msg.NEWKEYS]: (transport) => transport.#peerHasNewKeys(),
      [Msg.PING]: (transport, payload) =>
        transport.send(new Writer(payload.length).byte(Msg.PONG).bytes(payload.subarray(1)).finish()),
      [Msg.PONG]: (transport) => transport.#pings.shift()?.(transport.#config.clock.monotonic()),
    };

  async #handleWhenAttached(payload: Bytes): Promise<void> {
    await this.#attached.promise;
    this.#handle?.(payload);
  }

  /** A message for {@link receive}. */
  #deliver(payload: Bytes): void | Promise<void> {
    const message = payload.slice();
    if (message[0] === Msg.USERAUTH_SUCCESS) this.#authenticated();
    if (this.#receiver) {
      const { resolve } = this.#receiver;
      this.#receiver = undefined;
      return resolve(message);
    }
    return new Promise((taken) => this.#inbox = { message, taken });
  }

  #peerDisconnects(payload: Bytes): void {
    const reader = new Reader(payload, 1);
    const reason = reader.uint32();
    const text = printable(reader.text());
    if (reason === DisconnectReason.byApplication && this.#phase === "connected") return this.#end(undefined);
    this.#end(
      new SshError("disconnected", `the peer disconnected: ${text || "no reason given"}`, { reason }),
    );
  }

  #authenticated(): void {
    this.#phase = "connected";
    this.#stream.reader.maxPacketLength = limit.MAX_PACKET_LENGTH;
  }

  // -- key exchange ---------------------------------------------------------------------------------------------

  #rekeyWhenDue(): void {
    const { reader, writer } = this.#stream;
    const { bytes } = this.#config.rekey;
    if (
      reader.openedBytes >= bytes || writer.sealedBytes >= bytes ||
      reader.openedPackets >= limit.REKEY_PACKETS || writer.sealedPackets >= limit.REKEY_PACKETS
    ) this.rekey();
  }

  #startExchange(): void {
    const { algorithms, clock } = this.#config;
    const initial = this.#phase === "initial";
    let own: Proposal;
    if (this.#config.role === "server") {
      const hostKey = servableAlgorithms(algorithms.hostKey, this.#config.hostKeys());
      own = propose(
        { ...algorithms, hostKey },
        ...(initial ? [KexMarker.extInfoServer, KexMarker.strictServer] : []),
      );
    } else {
      own = propose(algorithms, ...(initial ? [KexMarker.extInfoClient, KexMarker.strictClient] : []));
    }
    const ownInit = encodeKexInit(own);
    const late = () => this.#fail(new SshError("timeout", "the key exchange took too long"));
    this.#cancelRekey();
    this.#exchange = {
      own,
      ownInit,
      peer: "none",
      skipGuess: false,
      sentNewKeys: false,
      cancelDeadline: clock.after(limit.KEX_DEADLINE_MS, late),
    };
    this.#stream.hold = true;
    this.#stream.send(ownInit);
  }

  async #peerStartsExchange(payload: Bytes): Promise<void> {
    const peer = parseKexInit(payload);
    const initial = this.#phase === "initial";
    if (initial) this.#readMarkers(peer);
    if (!this.#exchange) this.#startExchange();
    const exchange = this.#exchange!;
    const negotiated = this.#role === "server"
      ? negotiate(peer, exchange.own)
      : negotiate(exchange.own, peer);
    exchange.negotiated = negotiated;
    exchange.peerInit = payload;
    exchange.skipGuess = peer.firstKexPacketFollows && !negotiated.guessIsRight;
    exchange.peer = "method";
    if (this.#role === "client") {
      exchange.client = new ClientKeyExchange(this.#config.crypto, negotiated, this.#transcript(exchange));
      this.#stream.send(await exchange.client.start());
    }
  }

  #readMarkers(peer: KexInit): void {
    const server = this.#role === "server";
    this.#strict = peer.kex.includes(server ? KexMarker.strictClient : KexMarker.strictServer);
    this.#peerWantsExtInfo = peer.kex.includes(server ? KexMarker.extInfoClient : KexMarker.extInfoServer);
    // Strict key exchange: nothing at all before KEXINIT (CVE-2023-48795).
    if (this.#strict && this.#stream.reader.lastSequence !== 0) {
      throw new SshError("protocol", "a message before KEXINIT under strict key exchange");
    }
  }

  #transcript(exchange: Exchange) {
    const { ownInit, peerInit } = exchange;
    return {
      identifications: this.#identifications,
      clientKexInit: this.#role === "server" ? peerInit! : ownInit,
      serverKexInit: this.#role === "server" ? ownInit : peerInit!,
    };
  }

  /** KEX_ECDH_INIT on the server, KEX_ECDH_REPLY on the client. */
  async #methodMessage(payload: Bytes): Promise<void> {
    const exchange = this.#exchange!;
    if (exchange.skipGuess) {
      exchange.skipGuess = false;
      return;
    }
    const { crypto } = this.#config;
    let exchanged: Exchanged;
    if (this.#config.role === "server") {
      const signers = this.#config.hostKeys();
      const answer = await answerKeyExchange(
        crypto,
        exchange.negotiated!,
        this.#transcript(exchange),
        signers,
        payload,
      );
      this.#stream.send(answer.reply);
      exchanged = answer;
    } else {
      const finished = await exchange.client!.finish(
        payload,
        this.#config.verifyHostKey,
        this.#provenHostKey,
      );
      this.#provenHostKey = { ...finished.proven, blob: finished.proven.blob.slice() };
      exchanged = finished;
    }
    if (this.#ended) return;
    const first = this.#sessionId.length === 0;
    if (first) this.#sessionId = exchanged.exchangeHash;
    this.#hostKey = exchanged.hostKey.slice();
    exchange.exchanged = exchanged;
    exchange.peer = "newkeys";
    this.#useNewKeys(exchange, exchanged, first);
  }

  /** Sends NEWKEYS; from here on our packets have the new protection. */
  #useNewKeys(exchange: Exchange, exchanged: Exchanged, first: boolean): void {
    this.#stream.send(new Uint8Array([Msg.NEWKEYS]));
    const direction = this.#role === "server" ? "serverToClient" : "clientToServer";
    const sealer = sealerFor(
      this.#config.crypto,
      exchanged,
      this.#sessionId,
      exchange.negotiated!,
      direction,
    );
    this.#stream.changeSendKeys(sealer, this.#strict);
    exchange.sentNewKeys = true;
    if (first && this.#peerWantsExtInfo) {
      this.#stream.send(
        this.#config.role === "server"
          ? encodeServerExtInfo(this.#config.signatureAlgorithms)
          : encodeClientExtInfo(),
      );
    }
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const message of held) this.send(message);
    this.#stream.hold = false;
  }

  #peerHasNewKeys(): void {
    const exchange = this.#exchange!;
    const direction = this.#role === "server" ? "clientToServer" : "serverToClient";
    const opener = openerFor(
      this.#config.crypto,
      exchange.exchanged!,
      this.#sessionId,
      exchange.negotiated!,
      direction,
    );
    this.#stream.changeReceiveKeys(opener, this.#strict);
    exchange.cancelDeadline();
    this.#negotiated = exchange.negotiated;
    this.#exchange = undefined;
    const { clock, rekey } = this.#config;
    this.#cancelRekey = clock.after(rekey.ms, () => this.rekey());
    if (this.#phase === "initial") {
      this.#phase = "auth";
      this.#started.resolve();
    }
  }

  #hold(message: Bytes): void {
    this.#heldBytes += message.length;
    if (this.#heldBytes > limit.MAX_HELD_DURING_KEX) {
      return this.#fail(new SshError("limit", "too much to send while the key exchange stalls"));
    }
    this.#held.push(message);
  }
}

function closedError(): SshError {
  return new SshError("closed", "the connection is closed", { reason: DisconnectReason.byApplication });
}

/** Errors of the layers below and above as ones with a reason for the peer, who learns nothing of our insides. */
function asSshError(error: unknown): SshError {
  if (error instanceof SshError) return error;
  if (error instanceof MalformedError) {
    return new SshError("protocol", `malformed message: ${error.message}`, { cause: error });
  }
  return new SshError("connection-lost", error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
