/**
 * A peer driven by hand, one message at a time, that breaks whatever rule a test wants broken. It speaks through the
 * library's own codecs; what it says, and when, is the test's.
 */
import { type Bytes, concat, EMPTY, encodeText } from "../../src/bytes/bytes.ts";
import { Reader } from "../../src/bytes/reader.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { clearOpener, clearSealer } from "../../src/ssh/algorithms/clear.ts";
import { type AlgorithmLists, defaultAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import { KexMarker, negotiate, type Negotiated, propose } from "../../src/ssh/algorithms/negotiation.ts";
import { authenticateClient } from "../../src/ssh/auth/client/authenticate.ts";
import { ServiceAccept, UserauthSuccess } from "../../src/ssh/auth/messages.ts";
import type { MessageStream } from "../../src/ssh/auth/types.ts";
import { type ClientConnection, type ClientOptions, connectSsh } from "../../src/ssh/client.ts";
import { acceptSsh, type ServerConnection, type ServerOptions } from "../../src/ssh/server.ts";
import {
  answerKeyExchange,
  ClientKeyExchange,
  type Exchanged,
  openerFor,
  sealerFor,
} from "../../src/ssh/transport/key_exchange.ts";
import { encodeKexInit, parseKexInit } from "../../src/ssh/transport/kexinit.ts";
import { MAX_PACKET_LENGTH } from "../../src/ssh/transport/limits.ts";
import { PacketReader } from "../../src/ssh/transport/packet_reader.ts";
import { PacketWriter } from "../../src/ssh/transport/packet_writer.ts";
import { Msg } from "../../src/ssh/wire/numbers.ts";
import type { PlainDuplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { clientOptions, hostKey, serverOptions, userKey } from "./handshake.ts";

export interface HandOptions {
  readonly role?: "client" | "server";
  /** Whether it announces strict key exchange. Default true. */
  readonly strict?: boolean;
  readonly algorithms?: AlgorithmLists;
}

/** Pieces of a key exchange that a test may put other messages between. */
export class HandPeer implements MessageStream {
  readonly reader = new PacketReader(clearOpener);
  readonly writer = new PacketWriter(clearSealer);
  readonly role: "client" | "server";
  readonly serverSignatureAlgorithms = undefined;
  sessionId: Bytes = EMPTY;
  hostKey: Bytes = EMPTY;
  readonly #duplex: PlainDuplex;
  readonly #announcesStrict: boolean;
  readonly #algorithms: AlgorithmLists;
  readonly #ours = encodeText("SSH-2.0-Hand_1.0");
  #theirs: Bytes = EMPTY;
  #ownInit: Bytes = EMPTY;
  #peerInit: Bytes = EMPTY;
  #negotiated!: Negotiated;
  #exchange?: ClientKeyExchange;
  #exchanged!: Exchanged;
  strict = false;

  constructor(duplex: PlainDuplex, options: HandOptions = {}) {
    this.#duplex = duplex;
    this.role = options.role ?? "client";
    this.#announcesStrict = options.strict ?? true;
    this.#algorithms = options.algorithms ?? defaultAlgorithms;
    this.reader.maxPacketLength = MAX_PACKET_LENGTH;
  }

  // -- one message ----------------------------------------------------------------------------------------------

  /** Sends without waiting for the peer to take it. */
  send(payload: Bytes): void {
    this.writer.append(payload);
    this.sendRaw(this.writer.take().slice());
  }

  sendRaw(bytes: Bytes): void {
    this.#duplex.write(bytes).catch(() => {});
  }

  /** Sends, and waits until the connection takes more. @throws when it has ended */
  async sendAndWait(...payloads: Bytes[]): Promise<void> {
    for (const payload of payloads) this.writer.append(payload);
    await this.#duplex.write(this.writer.take().slice());
  }

  /** The next message, a copy. @throws when the connection ends */
  async receive(): Promise<Bytes> {
    for (;;) {
      const payload = this.reader.next();
      if (payload) return payload.slice();
      await this.#more();
    }
  }

  /** The next message but IGNORE, EXT_INFO and the like. */
  async receiveNumber(number: number): Promise<Bytes> {
    for (;;) {
      const payload = await this.receive();
      if (payload[0] === number) return payload;
      if (payload[0] === Msg.DISCONNECT) {
        throw new Error(`the peer disconnected instead of sending ${number}`);
      }
    }
  }

  /** Everything until the connection ends. */
  async receiveAll(): Promise<Bytes[]> {
    const all: Bytes[] = [];
    try {
      for (;;) all.push(await this.receive());
    } catch {
      return all;
    }
  }

  async #more(): Promise<void> {
    const count = await this.#duplex.read(this.reader.space());
    if (count === null) throw new Error("the peer closed the connection");
    this.reader.commit(count);
  }

  /** Frees what its ciphers hold. */
  free(): void {
    this.reader.free();
    this.writer.free();
  }

  close(): void {
    this.#duplex.close(new Error("the hand-driven peer is done"));
  }

  // -- the way to a connection ----------------------------------------------------------------------------------

  async identify(): Promise<void> {
    this.sendRaw(concat(this.#ours, encodeText("\r\n")));
    for (;;) {
      const line = this.reader.line(255);
      if (line) return void (this.#theirs = line);
      await this.#more();
    }
  }

  /** Our KEXINIT. @param follows announces a guess */
  sendKexInit(follows = false): void {
    const { extInfoClient, strictClient, strictServer } = KexMarker;
    const markers: string[] = [];
    if (this.sessionId.length === 0) {
      if (this.role === "client") markers.push(extInfoClient);
      if (this.#announcesStrict) markers.push(this.role === "client" ? strictClient : strictServer);
    }
    const hostKeys = this.role === "server" ? { hostKey: ["ssh-ed25519"] } : {};
    this.#ownInit = encodeKexInit(propose({ ...this.#algorithms, ...hostKeys }, ...markers)).slice();
    if (follows) this.#ownInit[this.#ownInit.length - 5] = 1;
    this.send(this.#ownInit);
  }

  async receiveKexInit(): Promise<void> {
    this.#peerInit = await this.receiveNumber(Msg.KEXINIT);
    const [own, peer] = [parseKexInit(this.#ownInit), parseKexInit(this.#peerInit)];
    this.#negotiated = this.role === "client" ? negotiate(own, peer) : negotiate(peer, own);
    if (this.sessionId.length > 0) return;
    this.strict = this.#announcesStrict &&
      peer.kex.includes(this.role === "client" ? KexMarker.strictServer : KexMarker.strictClient);
  }

  get #transcript() {
    const client = this.role === "client";
    return {
      identifications: client
        ? { client: this.#ours, server: this.#theirs }
        : { client: this.#theirs, server: this.#ours },
      clientKexInit: client ? this.#ownInit : this.#peerInit,
      serverKexInit: client ? this.#peerInit : this.#ownInit,
    };
  }

  /** On the client: KEX_ECDH_INIT. */
  async sendMethod(): Promise<void> {
    this.#exchange = new ClientKeyExchange(nodeCrypto, this.#negotiated, this.#transcript);
    this.send(await this.#exchange.start());
  }

  /** On the client: KEX_ECDH_REPLY; on the server: KEX_ECDH_INIT and our answer. */
  async receiveMethod(): Promise<void> {
    if (this.role === "client") {
      const reply = await this.receiveNumber(Msg.KEX_ECDH_REPLY);
      this.#exchanged = await this.#exchange!.finish(reply, () => true);
    } else {
      const init = await this.receiveNumber(Msg.KEX_ECDH_INIT);
      const answer = await answerKeyExchange(nodeCrypto, this.#negotiated, this.#transcript, [hostKey], init);
      this.#exchanged = answer;
      this.send(answer.reply);
    }
    this.hostKey = this.#exchanged.hostKey;
    if (this.sessionId.length === 0) this.sessionId = this.#exchanged.exchangeHash;
  }

  sendNewKeys(): void {
    this.send(new Uint8Array([Msg.NEWKEYS]));
    const direction = this.role === "client" ? "clientToServer" : "serverToClient";
    const sealer = sealerFor(nodeCrypto, this.#exchanged, this.sessionId, this.#negotiated, direction);
    this.writer.changeKeys(sealer, this.strict);
  }

  async receiveNewKeys(): Promise<void> {
    await this.receiveNumber(Msg.NEWKEYS);
    const direction = this.role === "client" ? "serverToClient" : "clientToServer";
    const opener = openerFor(nodeCrypto, this.#exchanged, this.sessionId, this.#negotiated, direction);
    this.reader.changeKeys(opener, this.strict);
  }

  /** A whole key exchange. */
  async exchangeKeys(): Promise<void> {
    this.sendKexInit();
    await this.receiveKexInit();
    if (this.role === "client") await this.sendMethod();
    await this.receiveMethod();
    this.sendNewKeys();
    await this.receiveNewKeys();
  }

  /** Identification, keys and authentication. */
  async connect(): Promise<void> {
    await this.identify();
    await this.exchangeKeys();
    await this.authenticate();
  }

  /** As a client authenticates as `ann`, as a server lets anybody in. */
  async authenticate(): Promise<void> {
    if (this.role === "client") {
      await authenticateClient(this, {
        user: "ann",
        credentials: [{ method: "publickey", signers: [userKey] }],
      });
    } else {
      await this.receiveNumber(Msg.SERVICE_REQUEST);
      this.send(ServiceAccept.encode({ service: "ssh-userauth" }));
      await this.receiveNumber(Msg.USERAUTH_REQUEST);
      this.send(UserauthSuccess.encode({}));
    }
  }

  /** The sentence of the peer's DISCONNECT; undefined when the connection ended without. */
  async goodbye(): Promise<string | undefined> {
    const last = (await this.receiveAll()).find((payload) => payload[0] === Msg.DISCONNECT);
    if (!last) return undefined;
    const reader = new Reader(last, 1);
    reader.uint32();
    return reader.text();
  }
}

/** A hand-driven peer and the library at the other end. `library` settles when that side is connected. */
export interface HandPair<C> extends AsyncDisposable {
  readonly peer: HandPeer;
  readonly library: Promise<C>;
}

/** A hand-driven client against a server of the library. */
export function againstServer(
  options: Partial<ServerOptions<string>> = {},
  hand: HandOptions = {},
): HandPair<ServerConnection<string>> {
  const [near, far] = duplexPair();
  return handPair(new HandPeer(near, { ...hand, role: "client" }), acceptSsh(far, serverOptions(options)));
}

/** A hand-driven server against a client of the library. */
export function againstClient(
  options: Partial<ClientOptions> = {},
  hand: HandOptions = {},
): HandPair<ClientConnection> {
  const [near, far] = duplexPair();
  return handPair(new HandPeer(near, { ...hand, role: "server" }), connectSsh(far, clientOptions(options)));
}

function handPair<C extends ClientConnection | ServerConnection<string>>(
  peer: HandPeer,
  library: Promise<C>,
): HandPair<C> {
  library.catch(() => {});
  return {
    peer,
    library,
    async [Symbol.asyncDispose]() {
      peer.close();
      await library.then((connection) => connection.closed, () => {});
      peer.free();
    },
  };
}
