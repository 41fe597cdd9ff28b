/**
 * The transport protocol (RFC 4253) on one connection: identification, keys, an allow-list of messages by state,
 * EXT_INFO, ping, disconnect. Above it lie authentication and the connection protocol.
 */
import { type Bytes, concat, decodeText, EMPTY, encodeText } from "../../bytes/bytes.ts";
import { printable } from "../../bytes/printable.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { deferred } from "../../streams/deferred.ts";
import type { PlainDuplex } from "../../streams/duplex.ts";
import { clearOpener, clearSealer } from "../algorithms/clear.ts";
import type { Negotiated } from "../algorithms/negotiation.ts";
import { DisconnectReason, SshError } from "../error.ts";
import { Msg } from "../wire/numbers.ts";
import type { TransportConfig } from "./config.ts";
import { dispositionOf, type Phase } from "./expected.ts";
import { type ExtInfo, NO_EXTENSIONS, parseExtInfo } from "./ext_info.ts";
import type { ProvenHostKey } from "./host_key.ts";
import { exchangeIdentification } from "./identification.ts";
import { KeyAgreement } from "./key_agreement.ts";
import { AUTH_GRANULARITY, MAX_PACKET_LENGTH, MAX_RENEWALS_BEFORE_AUTH } from "./limits.ts";
import { Mailbox } from "./mailbox.ts";
import { PacketStream } from "./packet_stream.ts";

/** A reason and a sentence for SSH_MSG_DISCONNECT. */
interface Goodbye {
  readonly reason: number;
  readonly description: string;
}

/** One connection, from the identification line to the last packet. Made by {@link Transport.start}. */
export class Transport {
  /** Resolves when the connection has ended, with why: undefined after a clean close. */
  readonly closed: Promise<Error | undefined>;
  /** Resolves after that, when the peer has had a moment to read why and everything is freed. */
  readonly gone: Promise<void>;

  readonly #config: TransportConfig;
  readonly #stream: PacketStream;
  #phase: Phase = "initial";
  /** Undefined until the peer has identified itself. */
  #keys?: KeyAgreement;
  #peerVersion = "";
  #extensions: ExtInfo = NO_EXTENSIONS;
  #renewalsBeforeAuth = 0;
  /** Settles {@link start}. */
  readonly #started = deferred();
  /** For authentication. */
  readonly #mailbox = new Mailbox();
  readonly #attached = deferred();
  /** For the connection protocol. */
  #handle?: (payload: Bytes) => void;
  readonly #pings: ((answeredAt: number | undefined) => void)[] = [];
  #ended = false;
  #resolveClosed!: (error: Error | undefined) => void;
  #resolveGone!: () => void;

  private constructor(duplex: PlainDuplex, config: TransportConfig) {
    this.#config = config;
    this.#stream = new PacketStream(duplex, clearOpener, clearSealer);
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.gone = new Promise((resolve) => this.#resolveGone = resolve);
    this.#started.promise.catch(() => {});
  }

  /**
   * Exchanges identifications and first keys.
   * @param signal ends the attempt, later the whole connection
   * @throws {SshError}
   */
  static async start(duplex: PlainDuplex, config: TransportConfig, signal?: AbortSignal): Promise<Transport> {
    const transport = new Transport(duplex, config);
    const onAbort = () => transport.#abort(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    transport.closed.then(() => signal?.removeEventListener("abort", onAbort));
    if (signal?.aborted) onAbort();
    else transport.#run();
    await transport.#started.promise;
    return transport;
  }

  /** H of the first exchange (RFC 4253 §7.2). */
  get sessionId(): Bytes {
    return this.#keys!.sessionId;
  }

  /** The server's host key or certificate blob, as the last exchange proved it. */
  get hostKey(): Bytes {
    return this.#keys!.hostKey;
  }

  /** On the client: the server's key as its verifier accepted it. */
  get provenHostKey(): ProvenHostKey | undefined {
    return this.#keys!.provenHostKey;
  }

  /** The peer's identification line. */
  get peerVersion(): string {
    return this.#peerVersion;
  }

  /** What the last key exchange agreed on. */
  get negotiated(): Negotiated {
    return this.#keys!.negotiated!;
  }

  /** `server-sig-algs`, when the server has sent them (RFC 8308 §3.1). */
  get serverSignatureAlgorithms(): readonly string[] | undefined {
    return this.#extensions.serverSignatureAlgorithms;
  }

  /** Whether the server takes `publickey-hostbound-v00@openssh.com`. */
  get publicKeyHostbound(): boolean {
    return this.#extensions.publicKeyHostbound;
  }

  // -- for the layers above -------------------------------------------------------------------------------------

  /** Sends one message: `head` followed by `body`, both copied. Nothing happens once the connection has ended. */
  send(head: Bytes, body: Bytes = EMPTY): void {
    if (this.#ended || this.#keys!.holdBack(() => concat(head, body))) return;
    this.#stream.send(head, body);
    if (this.#phase === "connected") this.#keys!.renewWhenDue();
    else if (head[0] === Msg.USERAUTH_SUCCESS && this.#config.role === "server") {
      this.#authenticated();
      // Requests behind the successful one are dropped (RFC 4252 §5.3); one that waits must not stop the reading.
      this.#mailbox.close(new SshError("closed", "authentication is through"));
    }
  }

  /** See {@link PacketStream.room}. */
  room(): Promise<void> | undefined {
    return this.#stream.room();
  }

  /** See {@link PacketStream.passTurn}. */
  passTurn(): void {
    this.#stream.passTurn();
  }

  /** The next message of authentication; reading goes on only as they are taken. @throws {SshError} at the end */
  receive(): Promise<Bytes> {
    return this.#mailbox.take();
  }

  /** Hands every message of the connection protocol to `handle`, beginning with those that came already. */
  attach(handle: (payload: Bytes) => void): void {
    this.#handle = handle;
    this.#attached.resolve();
  }

  /**
   * Measures a round trip with SSH2_MSG_PING (OpenSSH PROTOCOL §1.8).
   * @returns milliseconds; undefined when the peer did not announce that it answers, or the connection ended before
   */
  async ping(): Promise<number | undefined> {
    if (!this.#extensions.ping || this.#ended) return undefined;
    const sentAt = this.#config.clock.monotonic();
    const answeredAt = await new Promise<number | undefined>((resolve) => {
      this.#pings.push(resolve);
      this.send(new Writer(8).byte(Msg.PING).string(EMPTY).finish());
    });
    return answeredAt === undefined ? undefined : answeredAt - sentAt;
  }

  /** Renews the keys now. Before authentication is through it does nothing. */
  rekey(): void {
    if (this.#phase === "connected") this.#keys!.start();
  }

  /** Says why and closes. Idempotent. @param reason one of `DisconnectReason` */
  disconnect(reason: number, description: string): void {
    this.#end(undefined, { reason, description });
  }

  // -- life -----------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    try {
      const { identification, role } = this.#config;
      const peer = await exchangeIdentification(this.#stream, role, identification);
      if (this.#ended) return;
      this.#peerVersion = decodeText(peer);
      const own = encodeText(identification);
      this.#keys = new KeyAgreement(
        this.#stream,
        this.#config,
        role === "server" ? { client: peer, server: own } : { client: own, server: peer },
        {
          fail: (error) => this.#fail(error),
          complete: (first) => first ? this.#keyed() : this.#renewWhenDue(),
          release: (message) => this.send(message),
        },
      );
      this.#keys.start();
      await this.#stream.run((payload) => this.#receive(payload));
      this.#end(new SshError("connection-lost", "the peer closed the connection"));
    } catch (error) {
      this.#fail(asSshError(error));
    }
  }

  /** The first keys are in use both ways. */
  #keyed(): void {
    this.#phase = "auth";
    this.#stream.writer.granularity = AUTH_GRANULARITY;
    this.#started.resolve();
  }

  #renewWhenDue(): void {
    if (this.#phase === "connected") this.#keys!.renewWhenDue();
  }

  #authenticated(): void {
    this.#phase = "connected";
    this.#stream.writer.granularity = 1;
    this.#stream.reader.maxPacketLength = MAX_PACKET_LENGTH;
  }

  /** Ends because of an error, the peer's or ours, and tells the peer. */
  #fail(error: SshError): void {
    const gone = error.code === "connection-lost" || error.code === "disconnected";
    // A peer that has not identified itself may not even speak SSH: it gets no packet.
    const goodbye = gone || !this.#keys ? undefined : { reason: error.reason, description: error.message };
    this.#end(error, goodbye);
  }

  /** Ends because somebody here wants it; the peer learns why only where that is an SshError, made for the wire. */
  #abort(reason: unknown): void {
    if (reason instanceof SshError) return this.#fail(reason);
    const { message } = reason instanceof Error ? reason : { message: String(reason) };
    const goodbye = { reason: DisconnectReason.byApplication, description: "ended by the other side" };
    this.#end(new SshError("closed", message, { cause: reason }), this.#keys && goodbye);
  }

  #end(error: Error | undefined, goodbye?: Goodbye): void {
    if (this.#ended) return;
    this.#ended = true;
    if (goodbye) this.#stream.send(encodeDisconnect(goodbye));
    const reason = error ?? new SshError("closed", "the connection is closed");
    this.#keys?.end();
    this.#started.reject(reason);
    this.#attached.resolve();
    this.#mailbox.close(reason);
    for (const settle of this.#pings.splice(0)) settle(undefined);
    this.#resolveClosed(error);
    this.#leave(reason, goodbye !== undefined);
  }

  /** Frees everything, once the peer has had a moment to read the last packets. */
  async #leave(reason: unknown, linger: boolean): Promise<void> {
    const { clock } = this.#config;
    if (linger) await this.#stream.leave((ms, callback) => clock.after(ms, callback));
    this.#stream.break(reason);
    this.#resolveGone();
  }

  // -- receiving ------------------------------------------------------------------------------------------------

  #receive(payload: Bytes): void | Promise<void> {
    if (this.#ended) return;
    const number = payload[0];
    const { peer, strict } = this.#keys!;
    switch (dispositionOf(number, this.#config.role, this.#phase, peer, strict)) {
      case "ignore":
        return;
      case "unimplemented":
        return this.send(
          new Writer(8).byte(Msg.UNIMPLEMENTED).uint32(this.#stream.reader.lastSequence).finish(),
        );
      case "disconnect":
        throw new SshError("protocol", `message ${number} is not allowed here`);
    }
    this.#renewWhenDue();
    if (number >= Msg.GLOBAL_REQUEST && number < Msg.PING) {
      // Authentication has succeeded; the layer above may not be there yet.
      return this.#handle ? this.#handle(payload) : this.#handleOnceAttached(payload);
    }
    if (number >= 30 && number <= 49) return this.#keys!.receiveMethod(payload.slice());
    const receiver = Transport.#receivers[number];
    return receiver ? receiver(this, payload) : this.#deliver(payload.slice());
  }

  static readonly #receivers: Record<number, (transport: Transport, payload: Bytes) => void | Promise<void>> =
    {
      [Msg.DISCONNECT]: (transport, payload) => transport.#peerDisconnects(payload),
      [Msg.UNIMPLEMENTED]: () => {},
      [Msg.EXT_INFO]: (transport, payload) => {
        transport.#extensions = parseExtInfo(payload, transport.#extensions);
      },
      [Msg.KEXINIT]: (transport, payload) => transport.#exchangeKeys(payload.slice()),
      [Msg.NEWKEYS]: (transport) => transport.#keys!.receiveNewKeys(),
      [Msg.PING]: (transport, payload) =>
        transport.send(new Writer(payload.length).byte(Msg.PONG).bytes(payload.subarray(1)).finish()),
      [Msg.PONG]: (transport) => transport.#pings.shift()?.(transport.#config.clock.monotonic()),
    };

  #exchangeKeys(init: Bytes): Promise<void> {
    if (this.#phase === "auth" && ++this.#renewalsBeforeAuth > MAX_RENEWALS_BEFORE_AUTH) {
      throw new SshError("limit", "too many key exchanges before authentication");
    }
    return this.#keys!.receiveInit(init);
  }

  async #handleOnceAttached(payload: Bytes): Promise<void> {
    await this.#attached.promise;
    this.#handle?.(payload);
  }

  /** A message of authentication. */
  #deliver(message: Bytes): void | Promise<void> {
    if (message[0] === Msg.USERAUTH_SUCCESS) this.#authenticated();
    return this.#mailbox.put(message);
  }

  #peerDisconnects(payload: Bytes): void {
    const reader = new Reader(payload, 1);
    const reason = reader.uint32();
    const text = printable(reader.text()) || "no reason given";
    if (reason === DisconnectReason.byApplication && this.#phase === "connected") return this.#end(undefined);
    this.#end(new SshError("disconnected", `the peer disconnected: ${text}`, { reason }));
  }
}

/** RFC 4253 §11.1 */
function encodeDisconnect({ reason, description }: Goodbye): Bytes {
  return new Writer().byte(Msg.DISCONNECT).uint32(reason).string(description).string("").finish();
}

/** Errors of the layers above and below as ones that have a code and a reason for the peer. */
function asSshError(error: unknown): SshError {
  if (error instanceof SshError) return error;
  if (error instanceof MalformedError) {
    return new SshError("protocol", `malformed message: ${error.message}`, { cause: error });
  }
  return new SshError("connection-lost", error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
