/** Two ends of a channel in memory, with the meaning of {@link Channel} and a small window. */
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { PlainDuplexBase } from "../../../src/streams/duplex.ts";
import type { Channel, ChannelRequest, ChannelRequestHandler } from "../../../src/ssh/connection/types.ts";
import { SshError } from "../../../src/ssh/error.ts";

/** Bytes that one stream holds until its writer waits. */
export const FAKE_WINDOW = 64 * 1024;

/** One direction of one stream. What was written before the end is still read. */
class Stream {
  #chunks: Bytes[] = [];
  held = 0;
  #ended = false;
  #wake: (() => void)[] = [];

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  async read(into: Bytes): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#ended) return null;
      await this.#change();
    }
    const part = this.#chunks[0].subarray(0, into.length);
    into.set(part);
    if (part.length === this.#chunks[0].length) this.#chunks.shift();
    else this.#chunks[0] = this.#chunks[0].subarray(part.length);
    this.held -= part.length;
    this.#changed();
    return part.length;
  }

  async write(from: Bytes): Promise<void> {
    while (this.held >= FAKE_WINDOW && !this.#ended) await this.#change();
    if (this.#ended) throw new SshError("closed", "the channel is closed");
    if (from.length === 0) return;
    this.#chunks.push(from.slice());
    this.held += from.length;
    this.#changed();
  }

  end(): void {
    this.#ended = true;
    this.#changed();
  }
}

export class FakeChannel extends PlainDuplexBase implements Channel {
  readonly type = "session";
  readonly id = 0;
  onRequest?: ChannelRequestHandler;
  readonly closed: Promise<void>;
  /** What this side did, in order: `data`, `request TYPE`, `eof`, `close`. */
  readonly log: string[] = [];
  /** Bytes written here that the peer has not read. */
  get unread(): number {
    return this.#outgoing.held + this.#outgoingError.held;
  }
  peer!: FakeChannel;
  readonly #incoming = new Stream();
  readonly #incomingError = new Stream();
  #lastRequest: Promise<unknown> = Promise.resolve();
  #sentEof = false;
  #sentClose = false;
  #resolveClosed!: () => void;
  readonly stderr = {
    read: (into: Bytes) => this.#incomingError.read(into),
    write: (from: Bytes) => this.#send(this.#outgoingError, "stderr", from),
  };

  constructor() {
    super();
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
  }

  get #outgoing(): Stream {
    return this.peer.#incoming;
  }

  get #outgoingError(): Stream {
    return this.peer.#incomingError;
  }

  #note(event: string): void {
    if (this.log.at(-1) !== event) this.log.push(event);
  }

  async #send(stream: Stream, event: string, from: Bytes): Promise<void> {
    if (this.#sentEof || this.#sentClose) throw new SshError("closed", "the channel is closed");
    this.#note(event);
    await stream.write(from);
  }

  read(into: Bytes): Promise<number | null> {
    return this.#incoming.read(into);
  }

  write(from: Bytes): Promise<void> {
    return this.#send(this.#outgoing, "data", from);
  }

  closeWrite(): Promise<void> {
    if (!this.#sentEof && !this.#sentClose) {
      this.#sentEof = true;
      this.#note("eof");
      this.#outgoing.end();
      this.#outgoingError.end();
    }
    return Promise.resolve();
  }

  close(): void {
    if (this.#sentClose) return;
    this.#sentClose = true;
    this.#note("close");
    for (const stream of [this.#incoming, this.#incomingError, this.#outgoing, this.#outgoingError]) {
      stream.end();
    }
    if (this.peer.#sentClose) {
      this.#resolveClosed();
      this.peer.#resolveClosed();
    } else {
      this.peer.close();
    }
  }

  request(type: string, data: Bytes, wantReply: boolean): Promise<boolean> {
    if (this.#sentClose) return Promise.reject(new SshError("closed", "the channel is closed"));
    this.#note(`request ${type}`);
    return this.peer.#receive({ type, data: data.slice(), wantReply });
  }

  #receive(request: ChannelRequest): Promise<boolean> {
    const answered = this.#lastRequest.then(async () => {
      const result = await this.onRequest?.(request) ?? false;
      if (request.wantReply) this.#note(result ? "success" : "failure");
      return result;
    });
    this.#lastRequest = answered;
    return request.wantReply ? answered : Promise.resolve(true);
  }
}

/** Both ends of one channel: the client's, the server's. */
export function channelPair(): [FakeChannel, FakeChannel] {
  const client = new FakeChannel();
  const server = new FakeChannel();
  client.peer = server;
  server.peer = client;
  return [client, server];
}
