/** The connection protocol (RFC 4254): many channels and global requests over one transport. */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { printable } from "../../bytes/printable.ts";
import { Reader } from "../../bytes/reader.ts";
import type { Clock } from "../../platform/clock.ts";
import { ChannelOpenError, ChannelOpenReason, DisconnectReason, SshError } from "../error.ts";
import {
  channelOpen,
  channelOpenConfirmation,
  channelOpenFailure,
  type ChannelParameters,
  globalRequest,
  REQUEST_FAILURE,
  requestSuccess,
} from "../wire/channel_messages.ts";
import { Msg } from "../wire/numbers.ts";
import { type ChannelHost, MuxChannel } from "./channel.ts";
import {
  INITIAL_WINDOW,
  MAX_CHANNELS,
  MAX_PACKET,
  MAX_PENDING_REQUESTS,
  MAX_UINT32,
  MIN_WINDOW,
  WINDOW_BUDGET,
} from "./limits.ts";
import { PendingBytes } from "./pending_bytes.ts";
import { RoundTrip } from "./round_trip.ts";
import type { Channel, Connection, GlobalRequestHandler, IncomingChannel } from "./types.ts";
import { ReceiveWindow, WindowBudget } from "./window.ts";

/** What carries the messages: the transport, once the peer is authenticated. */
export interface MessageCarrier {
  readonly sessionId: Bytes;
  readonly peerVersion: string;
  send(head: Bytes, body?: Bytes): void;
  room(): Promise<void> | undefined;
  passTurn(): void;
  /** Hands every message from 80 to 127 to `handle`, in order. */
  attach(handle: (payload: Bytes) => void): void;
  disconnect(reason: number, description: string): void;
  readonly closed: Promise<Error | undefined>;
}

/** A round trip measured this long ago is measured anew when a channel needs it, in milliseconds. */
const ROUND_TRIP_AGE_MS = 10_000;

/** A channel that we asked for and the peer has not answered. */
interface Opening {
  readonly type: string;
  readonly window: ReceiveWindow;
  settle(result: Channel | SshError): void;
  abandoned: boolean;
}

/** Either side of the connection protocol over one carrier. Nothing is handled before {@link MuxConnection.start}. */
export class MuxConnection implements Connection {
  onChannel?: (incoming: IncomingChannel) => void | Promise<void>;
  onGlobalRequest?: GlobalRequestHandler;
  readonly closed: Promise<Error | undefined>;

  readonly #carrier: MessageCarrier;
  readonly #clock: Clock;
  readonly #budget = new WindowBudget(WINDOW_BUDGET);
  readonly #channels = new Map<number, MuxChannel>();
  /** Closed both ways before this side has read everything. */
  readonly #unread = new Set<MuxChannel>();
  readonly #openings = new Map<number, Opening>();
  /** Incoming opens that nobody has answered yet. */
  #undecided = 0;
  #nextId = 0;
  readonly #awaitingReply: ((result: Bytes | false | SshError) => void)[] = [];
  readonly #requestBytes = new PendingBytes();
  #incomingRequests = 0;
  #lastRequest: Promise<void> = Promise.resolve();
  #ended?: SshError;
  readonly #roundTrip = new RoundTrip();
  #roundTripAt = -Infinity;
  /** Bytes of channel data that were read, ever. */
  #read = 0;
  readonly #host: ChannelHost;

  constructor(carrier: MessageCarrier, clock: Clock) {
    this.#carrier = carrier;
    this.#clock = clock;
    this.#host = {
      send: (head, body) => carrier.send(head, body),
      room: () => carrier.room(),
      passTurn: () => carrier.passTurn(),
      now: () => clock.monotonic(),
      roundTrip: (read) => this.#measuredRoundTrip(read),
      release: (channel) => {
        this.#channels.delete(channel.id);
        this.#unread.add(channel);
      },
      drained: (channel) => this.#unread.delete(channel),
      requestBytes: this.#requestBytes,
    };
    this.closed = carrier.closed.then((error) => {
      this.#end(error);
      return error;
    });
  }

  /** Begins to handle what the peer sends. Set handlers before. */
  start(): void {
    this.#carrier.attach((payload) => this.#receive(payload));
  }

  get sessionId(): Bytes {
    return this.#carrier.sessionId;
  }

  get peerVersion(): string {
    return this.#carrier.peerVersion;
  }

  /** Channels open now. */
  get channelCount(): number {
    return this.#channels.size;
  }

  open(type: string, data: Bytes, options: { signal?: AbortSignal } = {}): Promise<Channel> {
    const { signal } = options;
    if (this.#ended) return Promise.reject(this.#ended);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#channels.size + this.#openings.size >= MAX_CHANNELS) {
      return Promise.reject(new SshError("limit", `more than ${MAX_CHANNELS} channels on one connection`));
    }
    const id = this.#freeId();
    const window = this.#newWindow();
    return new Promise<Channel>((resolve, reject) => {
      const opening: Opening = {
        type,
        window,
        abandoned: false,
        settle(result) {
          signal?.removeEventListener("abort", abandon);
          if (result instanceof SshError) reject(result);
          else resolve(result);
        },
      };
      // The peer's answer is still to come; the number stays taken until then.
      const abandon = () => {
        opening.abandoned = true;
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", abandon, { once: true });
      this.#openings.set(id, opening);
      this.#carrier.send(channelOpen(type, this.#parameters(id, window), data));
    });
  }

  request(name: string, data: Bytes, wantReply: boolean): Promise<Bytes | boolean> {
    if (this.#ended) return Promise.reject(this.#ended);
    this.#carrier.send(globalRequest(name, wantReply, data));
    if (!wantReply) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      this.#awaitingReply.push((result) => result instanceof SshError ? reject(result) : resolve(result));
    });
  }

  close(reason: number = DisconnectReason.byApplication, description = ""): void {
    this.#carrier.disconnect(reason, description);
  }

  // -- receiving ------------------------------------------------------------------------------------------------

  #receive(payload: Bytes): void {
    const number = payload[0];
    const reader = new Reader(payload, 1);
    if (number >= Msg.CHANNEL_WINDOW_ADJUST) {
      const id = reader.uint32();
      const channel = this.#channels.get(id);
      if (channel) return channel.receive(number, reader);
      // Late answers to a channel that is gone harm nobody; anything else says that the peer lost count.
      if (number === Msg.CHANNEL_SUCCESS || number === Msg.CHANNEL_FAILURE) return;
      throw new SshError("protocol", `message ${number} for a channel that is not open`);
    }
    switch (number) {
      case Msg.GLOBAL_REQUEST:
        return this.#queueGlobalRequest(reader.text(), reader.boolean(), reader.rest().slice());
      case Msg.REQUEST_SUCCESS:
        return this.#awaitingReply.shift()?.(reader.rest().slice());
      case Msg.REQUEST_FAILURE:
        return this.#awaitingReply.shift()?.(false);
      case Msg.CHANNEL_OPEN:
        return this.#incomingOpen(reader);
      case Msg.CHANNEL_OPEN_CONFIRMATION:
        return this.#confirmed(reader);
      case Msg.CHANNEL_OPEN_FAILURE:
        return this.#refused(reader);
    }
  }

  #confirmed(reader: Reader): void {
    const id = reader.uint32();
    const peer = readParameters(reader);
    const opening = this.#takeOpening(id);
    if (!opening) return;
    const channel = new MuxChannel(this.#host, opening.type, id, peer, opening.window);
    this.#channels.set(id, channel);
    if (opening.abandoned) channel.close();
    else opening.settle(channel);
  }

  #refused(reader: Reader): void {
    const opening = this.#takeOpening(reader.uint32());
    if (!opening) return;
    opening.window.free();
    const reason = reader.uint32();
    // Passed on to clients and their terminals: it is the peer's own word.
    if (!opening.abandoned) opening.settle(new ChannelOpenError(reason, printable(reader.text())));
  }

  /** Undefined for an answer that nobody asked for: it is dropped. */
  #takeOpening(id: number): Opening | undefined {
    const opening = this.#openings.get(id);
    this.#openings.delete(id);
    return opening;
  }

  #incomingOpen(reader: Reader): void {
    const type = reader.text();
    const peer = readParameters(reader);
    const refuse = (reason: number, description: string) =>
      this.#carrier.send(channelOpenFailure(peer.sender, reason, description));
    const costly = this.#channels.size + this.#unread.size + this.#openings.size + this.#undecided;
    if (costly >= MAX_CHANNELS) {
      return refuse(ChannelOpenReason.resourceShortage, "too many channels");
    }
    let answered = false;
    this.#undecided++;
    const answer = () => {
      if (answered) throw new TypeError("the channel open was already answered");
      answered = true;
      this.#undecided--;
    };
    const incoming: IncomingChannel = {
      type,
      data: reader.rest(),
      accept: () => {
        answer();
        if (this.#ended) throw this.#ended;
        const id = this.#freeId();
        const window = this.#newWindow();
        const channel = new MuxChannel(this.#host, type, id, peer, window);
        this.#channels.set(id, channel);
        this.#carrier.send(channelOpenConfirmation(peer.sender, this.#parameters(id, window)));
        return channel;
      },
      reject: (reason, description) => {
        answer();
        refuse(reason, description);
      },
    };
    const settled = () => {
      if (!answered) incoming.reject(ChannelOpenReason.unknownChannelType, "unknown channel type");
    };
    const failed = () => {
      if (!answered) incoming.reject(ChannelOpenReason.connectFailed, "the channel could not be opened");
    };
    try {
      const pending = this.onChannel?.(incoming);
      if (pending) pending.then(settled, failed);
      else settled();
    } catch {
      failed();
    }
  }

  /** Answers global requests in the order in which they came: replies carry no number (RFC 4254 §4). */
  #queueGlobalRequest(name: string, wantReply: boolean, data: Bytes): void {
    if (++this.#incomingRequests > MAX_PENDING_REQUESTS) {
      throw new SshError("limit", "too many unanswered global requests");
    }
    this.#requestBytes.add(data.length);
    this.#lastRequest = this.#lastRequest.then(async () => {
      let result: boolean | Bytes = false;
      try {
        result = await this.onGlobalRequest?.({ name, wantReply, data }) ?? false;
      } catch {
        // A handler that fails refuses; it has its own log.
      }
      this.#incomingRequests--;
      this.#requestBytes.remove(data.length);
      if (!wantReply) return;
      this.#carrier.send(
        result === false ? REQUEST_FAILURE : requestSuccess(result === true ? EMPTY : result),
      );
    });
  }

  // -- state ----------------------------------------------------------------------------------------------------

  #end(error: Error | undefined): void {
    this.#ended = error instanceof SshError
      ? error
      : new SshError("closed", error?.message ?? "the connection is closed", { cause: error });
    for (const opening of this.#openings.values()) opening.settle(this.#ended);
    this.#openings.clear();
    for (const channel of [...this.#channels.values()]) channel.fail(this.#ended);
    for (const settle of this.#awaitingReply.splice(0)) settle(this.#ended);
  }

  #newWindow(): ReceiveWindow {
    return new ReceiveWindow(this.#budget, this.#budget.take(INITIAL_WINDOW, MIN_WINDOW));
  }

  #parameters(id: number, window: ReceiveWindow): ChannelParameters {
    return { sender: id, window: window.size, maxPacket: MAX_PACKET };
  }

  #freeId(): number {
    // Numbers are not reused at once: a late message for an old channel then meets none, not another.
    do this.#nextId = (this.#nextId + 1) % MAX_UINT32; while (
      this.#channels.has(this.#nextId) || this.#openings.has(this.#nextId)
    );
    return this.#nextId;
  }

  #measuredRoundTrip(read: number): number | undefined {
    this.#read += read;
    const now = this.#clock.monotonic();
    if (now - this.#roundTripAt > ROUND_TRIP_AGE_MS) {
      // One measurement at a time: until it is answered, none is due.
      this.#roundTripAt = Infinity;
      const readBefore = this.#read;
      // Every implementation answers an unknown global request, with a refusal (RFC 4254 §4).
      this.request("keepalive@openssh.com", EMPTY, true).then(() => {
        this.#roundTripAt = this.#clock.monotonic();
        this.#roundTrip.note(this.#roundTripAt - now, this.#read - readBefore);
      }, () => {});
    }
    return this.#roundTrip.shortest;
  }
}

function readParameters(reader: Reader): ChannelParameters {
  const sender = reader.uint32();
  const window = reader.uint32();
  const maxPacket = reader.uint32();
  if (maxPacket === 0) throw new SshError("protocol", "a channel that takes no data");
  // A packet must fit into what this side sends at a time.
  return { sender, window, maxPacket: Math.min(maxPacket, MAX_PACKET) };
}
