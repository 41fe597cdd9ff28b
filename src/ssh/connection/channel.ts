/** One channel: its two streams, its windows, its requests and its end (RFC 4254 §5). */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Reader } from "../../bytes/reader.ts";
import { PlainDuplexBase } from "../../streams/duplex.ts";
import { Inbox } from "../../streams/inbox.ts";
import { SshError } from "../error.ts";
import {
  type ChannelParameters,
  channelRequest,
  channelSignal,
  channelWindowAdjust,
} from "../wire/channel_messages.ts";
import { Msg } from "../wire/numbers.ts";
import { MAX_PENDING_REQUESTS } from "./limits.ts";
import type { PendingBytes } from "./pending_bytes.ts";
import type { Channel, ChannelRequest, ChannelRequestHandler } from "./types.ts";
import { type ReceiveWindow, SendWindow } from "./window.ts";

/** What a channel needs of the connection it lives on. */
export interface ChannelHost {
  send(head: Bytes, body?: Bytes): void;
  /** See {@link PacketStream.room}. */
  room(): Promise<void> | undefined;
  /** Lets the next in line have a turn that was not used. */
  passTurn(): void;
  now(): number;
  /**
   * Milliseconds; undefined until measured. Asking starts a measurement when it is due.
   * @param read bytes of data that were read since this channel last asked
   */
  roundTrip(read: number): number | undefined;
  /** The channel is closed both ways: its number is free. */
  release(channel: MuxChannel): void;
  /** What came on a released channel has been read or dropped: its memory is free. */
  drained(channel: MuxChannel): void;
  readonly requestBytes: PendingBytes;
}

/** SSH_EXTENDED_DATA_STDERR (RFC 4254 §5.2). */
const STDERR = 1;

/** Both channels' data messages end in the string's length: what stands before it, as a template. */
function dataHead(
  recipient: number,
  extendedType?: number,
): { bytes: Bytes; view: DataView; lengthAt: number } {
  const bytes = new Uint8Array(extendedType === undefined ? 9 : 13);
  const view = new DataView(bytes.buffer);
  bytes[0] = extendedType === undefined ? Msg.CHANNEL_DATA : Msg.CHANNEL_EXTENDED_DATA;
  view.setUint32(1, recipient);
  if (extendedType !== undefined) view.setUint32(5, extendedType);
  return { bytes, view, lengthAt: bytes.length - 4 };
}

/** A channel of a {@link ChannelHost}, which is its connection. */
export class MuxChannel extends PlainDuplexBase implements Channel {
  onRequest?: ChannelRequestHandler;
  readonly stderr = {
    read: (into: Bytes) => this.#stderr.read(into),
    write: (from: Bytes) => this.#sendData(dataHead(this.#peer.sender, STDERR), from),
  };
  readonly closed: Promise<void>;

  readonly #host: ChannelHost;
  readonly #peer: ChannelParameters;
  readonly #receiveWindow: ReceiveWindow;
  readonly #sendWindow: SendWindow;
  readonly #data = new Inbox((bytes) => this.#release(bytes));
  readonly #stderr = new Inbox((bytes) => this.#release(bytes));
  readonly #dataHead;
  /** Who waits for CHANNEL_SUCCESS or FAILURE, in order. */
  readonly #awaitingReply: ((result: boolean | SshError) => void)[] = [];
  #incomingRequests = 0;
  #lastRequest: Promise<void> = Promise.resolve();
  #sentEof = false;
  #sentClose = false;
  #receivedEof = false;
  #receivedClose = false;
  #finished = false;
  #freed = false;
  #resolveClosed!: () => void;

  /**
   * @param id our number
   * @param peer the other side's number, window and largest packet
   */
  constructor(
    host: ChannelHost,
    readonly type: string,
    readonly id: number,
    peer: ChannelParameters,
    receiveWindow: ReceiveWindow,
  ) {
    super();
    this.#host = host;
    this.#peer = peer;
    this.#receiveWindow = receiveWindow;
    this.#sendWindow = new SendWindow(peer.window);
    this.#dataHead = dataHead(peer.sender);
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
  }

  read(into: Bytes): Promise<number | null> {
    return this.#data.read(into);
  }

  write(from: Bytes): Promise<void> {
    return this.#sendData(this.#dataHead, from);
  }

  closeWrite(): Promise<void> {
    if (!this.#sentEof && !this.#sentClose) {
      this.#sentEof = true;
      this.#host.send(channelSignal(Msg.CHANNEL_EOF, this.#peer.sender));
    }
    return Promise.resolve();
  }

  close(): void {
    this.#sendClose();
    this.#endInput();
    this.#data.clear();
    this.#stderr.clear();
    this.#freeWhenRead();
    this.#sendWindow.wake();
  }

  request(type: string, data: Bytes, wantReply: boolean): Promise<boolean> {
    if (this.#sentClose || this.#receivedClose) return Promise.reject(this.#closedError());
    this.#host.send(channelRequest(this.#peer.sender, type, wantReply, data));
    if (!wantReply) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      this.#awaitingReply.push((result) => typeof result === "boolean" ? resolve(result) : reject(result));
    });
  }

  /** A message for this channel; `reader` stands after the channel number. */
  receive(number: number, reader: Reader): void {
    MuxChannel.#receivers[number](this, reader);
  }

  /** The connection has ended: everything that waits settles. */
  fail(reason: unknown): void {
    if (this.#receivedEof || this.#sentClose) {
      this.#endInput();
    } else {
      this.#data.fail(reason);
      this.#stderr.fail(reason);
    }
    this.#sentClose = this.#receivedClose = true;
    this.#finish();
  }

  static readonly #receivers: Record<number, (channel: MuxChannel, reader: Reader) => void> = {
    [Msg.CHANNEL_WINDOW_ADJUST]: (channel, reader) => channel.#sendWindow.adjust(reader.uint32()),
    [Msg.CHANNEL_DATA]: (channel, reader) => channel.#deliver(channel.#data, reader.string()),
    [Msg.CHANNEL_EXTENDED_DATA]: (channel, reader) => {
      const type = reader.uint32();
      const data = reader.string();
      if (type === STDERR) return channel.#deliver(channel.#stderr, data);
      // Nobody reads other types: the window must not leak away.
      channel.#checkOpenForData();
      channel.#receiveWindow.receive(data.length);
      channel.#release(data.length);
    },
    [Msg.CHANNEL_EOF]: (channel) => {
      channel.#receivedEof = true;
      channel.#endInput();
    },
    [Msg.CHANNEL_CLOSE]: (channel) => {
      channel.#receivedClose = true;
      channel.#endInput();
      if (channel.#sentClose) channel.#finish();
      else channel.#sendClose();
    },
    [Msg.CHANNEL_REQUEST]: (channel, reader) => {
      const type = reader.text();
      const wantReply = reader.boolean();
      channel.#queueRequest(type, wantReply, reader.rest().slice());
    },
    [Msg.CHANNEL_SUCCESS]: (channel) => channel.#awaitingReply.shift()?.(true),
    [Msg.CHANNEL_FAILURE]: (channel) => channel.#awaitingReply.shift()?.(false),
  };

  #endInput(): void {
    this.#data.end();
    this.#stderr.end();
  }

  #deliver(inbox: Inbox, data: Bytes): void {
    this.#checkOpenForData();
    this.#receiveWindow.receive(data.length);
    if (!this.#sentClose) inbox.deliver(data);
  }

  #checkOpenForData(): void {
    if (this.#receivedEof) throw new SshError("protocol", "data after the channel's end of stream");
  }

  #release(bytes: number): void {
    this.#freeWhenRead();
    if (this.#receivedEof || this.#sentClose || this.#receivedClose) return;
    const grant = this.#receiveWindow.release(bytes, this.#host.now(), this.#host.roundTrip(bytes));
    if (grant > 0) this.#host.send(channelWindowAdjust(this.#peer.sender, grant));
  }

  async #sendData(head: ReturnType<typeof dataHead>, from: Bytes): Promise<void> {
    for (let at = 0; at < from.length;) {
      if (this.#sentEof || this.#sentClose || this.#receivedClose) throw this.#closedError();
      if (this.#sendWindow.credit === 0) {
        await this.#sendWindow.more();
        continue;
      }
      const turn = this.#host.room();
      if (turn) {
        await turn;
        if (this.#sendWindow.credit === 0 || this.#sentEof || this.#sentClose || this.#receivedClose) {
          this.#host.passTurn();
          continue;
        }
      }
      const length = Math.min(from.length - at, this.#sendWindow.credit, this.#peer.maxPacket);
      this.#sendWindow.spend(length);
      head.view.setUint32(head.lengthAt, length);
      this.#host.send(head.bytes, from.subarray(at, at + length));
      at += length;
    }
  }

  /** Answers requests one after the other: their order is the protocol's meaning. */
  #queueRequest(type: string, wantReply: boolean, data: Bytes): void {
    if (++this.#incomingRequests > MAX_PENDING_REQUESTS) {
      throw new SshError("limit", "too many unanswered channel requests");
    }
    this.#host.requestBytes.add(data.length);
    const request = { type, wantReply, data };
    // At once when nothing is before it: an exit status is known before the CLOSE right behind it is handled.
    if (this.#incomingRequests === 1 && this.onRequest) this.#lastRequest = this.#answer(request);
    else this.#lastRequest = this.#lastRequest.then(() => this.#answer(request));
  }

  async #answer(request: ChannelRequest): Promise<void> {
    let accepted = false;
    try {
      const answer = this.onRequest?.(request) ?? false;
      accepted = typeof answer === "boolean" ? answer : await answer;
    } catch {
      // A handler that fails refuses; it has its own log.
    }
    this.#incomingRequests--;
    this.#host.requestBytes.remove(request.data.length);
    if (!request.wantReply || this.#sentClose) return;
    this.#host.send(channelSignal(accepted ? Msg.CHANNEL_SUCCESS : Msg.CHANNEL_FAILURE, this.#peer.sender));
  }

  #sendClose(): void {
    if (this.#sentClose) return;
    this.#sentClose = true;
    this.#host.send(channelSignal(Msg.CHANNEL_CLOSE, this.#peer.sender));
    if (this.#receivedClose) this.#finish();
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#sendWindow.wake();
    for (const settle of this.#awaitingReply.splice(0)) settle(this.#closedError());
    this.#host.release(this);
    this.#freeWhenRead();
    this.#resolveClosed();
  }

  /** A channel that is closed and not read out still costs its memory: the peer must not get it granted again. */
  #freeWhenRead(): void {
    if (!this.#finished || this.#freed || this.#data.length + this.#stderr.length > 0) return;
    this.#freed = true;
    this.#receiveWindow.free();
    this.#host.drained(this);
  }

  #closedError(): SshError {
    return new SshError("closed", `the ${this.type} channel is closed`);
  }
}
