/** What the connection layer (RFC 4254) offers to everything above it: sessions, forwarding, SFTP, the mesh. */
import type { Bytes } from "../../bytes/bytes.ts";
import type { PlainDuplex } from "../../streams/duplex.ts";

/** A request on a channel (RFC 4254 §5.4). `data` is what follows want_reply: a view, gone after the handler returned. */
export interface ChannelRequest {
  readonly type: string;
  readonly wantReply: boolean;
  readonly data: Bytes;
}

/** Answers a channel request: true is SUCCESS, false FAILURE. The next request waits until it has settled. */
export type ChannelRequestHandler = (request: ChannelRequest) => boolean | Promise<boolean>;

/**
 * An open channel. As a {@link PlainDuplex} it carries CHANNEL_DATA with flow control by windows:
 * `read` returns null at the peer's EOF or CLOSE, `closeWrite` sends EOF, `close` sends CLOSE.
 */
export interface Channel extends PlainDuplex {
  /** `session`, `direct-tcpip`, … */
  readonly type: string;
  /** Number by which this side knows it. */
  readonly id: number;
  /** Standard error: SSH_MSG_CHANNEL_EXTENDED_DATA of type 1. Shares the windows with the main stream. */
  readonly stderr: { read(into: Bytes): Promise<number | null>; write(from: Bytes): Promise<void> };
  /** Resolves when both sides have sent CLOSE, or the connection has ended (never rejects). */
  readonly closed: Promise<void>;
  /** Set this before the first await after opening or accepting. Without one every request is refused. */
  onRequest?: ChannelRequestHandler;
  /**
   * Sends a request. With `wantReply` resolves to whether it succeeded; otherwise to true when sent.
   * @throws {SshError} when the channel closes before the answer
   */
  request(type: string, data: Bytes, wantReply: boolean): Promise<boolean>;
}

/** A peer's SSH_MSG_CHANNEL_OPEN. Answer it with `accept` or `reject`, once; unanswered it is refused when the handler settles. */
export interface IncomingChannel {
  readonly type: string;
  /** Type-specific data: a view, gone after the handler first awaits. */
  readonly data: Bytes;
  /** Confirms it: from now on the peer may send. */
  accept(): Channel;
  /** Refuses it. @param reason one of `ChannelOpenReason`; the peer is shown `description` */
  reject(reason: number, description: string): void;
}

/** A global request (RFC 4254 §4). `data` is what follows want_reply. */
export interface GlobalRequest {
  readonly name: string;
  readonly wantReply: boolean;
  readonly data: Bytes;
}

/** Answers a global request: false is FAILURE, true SUCCESS without data, bytes SUCCESS with them. Answered in order. */
export type GlobalRequestHandler = (request: GlobalRequest) => boolean | Bytes | Promise<boolean | Bytes>;

/** One authenticated SSH connection, either side. */
export interface Connection {
  /** The exchange hash of the first key exchange (RFC 4253 §7.2). */
  readonly sessionId: Bytes;
  /** The peer's identification line, without CR LF. */
  readonly peerVersion: string;
  onChannel?: (incoming: IncomingChannel) => void | Promise<void>;
  onGlobalRequest?: GlobalRequestHandler;
  /**
   * Opens a channel.
   * @param data type-specific data of SSH_MSG_CHANNEL_OPEN
   * @throws {ChannelOpenError} when the peer refuses
   */
  open(type: string, data: Bytes, options?: { signal?: AbortSignal }): Promise<Channel>;
  /**
   * Sends a global request. With `wantReply` resolves to the reply's data or to false; else to true when sent.
   */
  request(name: string, data: Bytes, wantReply: boolean): Promise<Bytes | boolean>;
  /** Disconnects with a reason (default: by application) and closes. Idempotent. */
  close(reason?: number, description?: string): void;
  /** Resolves when the connection has ended, with why: undefined after a clean close. Never rejects. */
  readonly closed: Promise<Error | undefined>;
}
