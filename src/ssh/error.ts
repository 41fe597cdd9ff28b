/** What goes wrong in SSH: one family of errors with a stable code and the reason that the wire carries. */

/** Reasons of SSH_MSG_DISCONNECT (RFC 4253 §11.1). */
export const DisconnectReason = {
  hostNotAllowedToConnect: 1,
  protocolError: 2,
  keyExchangeFailed: 3,
  reserved: 4,
  macError: 5,
  compressionError: 6,
  serviceNotAvailable: 7,
  protocolVersionNotSupported: 8,
  hostKeyNotVerifiable: 9,
  connectionLost: 10,
  byApplication: 11,
  tooManyConnections: 12,
  authCancelledByUser: 13,
  noMoreAuthMethodsAvailable: 14,
  illegalUserName: 15,
} as const;

/** Stable codes for programs; the message is for people. */
export type SshErrorCode =
  /** The peer broke the protocol. */
  | "protocol"
  /** Both sides share no algorithm of a kind. */
  | "negotiation"
  /** A packet or the exchange failed its integrity check. */
  | "integrity"
  /** The host key was refused by the caller's check. */
  | "host-key"
  /** No credential was accepted, or tries or time ran out. */
  | "auth"
  /** The peer disconnected with a reason. */
  | "disconnected"
  /** The transport ended or broke without a word. */
  | "connection-lost"
  /** Something took longer than it may. */
  | "timeout"
  /** A limit of ours was reached. */
  | "limit"
  /** This side closed. */
  | "closed"
  /** The peer refused a channel; see {@link ChannelOpenError}. */
  | "channel-refused"
  /** The peer refused a request. */
  | "request-refused";

/** What ends a connection, a channel or a request. */
export class SshError extends Error {
  override readonly name: string = "SshError";
  /** The reason for SSH_MSG_DISCONNECT, where this error ends the connection. */
  readonly reason: number;

  constructor(readonly code: SshErrorCode, message: string, options?: ErrorOptions & { reason?: number }) {
    super(message, options);
    this.reason = options?.reason ?? DisconnectReason.protocolError;
  }
}

/** Reasons of SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 §5.1). */
export const ChannelOpenReason = {
  administrativelyProhibited: 1,
  connectFailed: 2,
  unknownChannelType: 3,
  resourceShortage: 4,
} as const;

/** The peer refused to open a channel. */
export class ChannelOpenError extends SshError {
  override readonly name = "ChannelOpenError";
  /** @param openReason one of {@link ChannelOpenReason} */
  constructor(readonly openReason: number, message: string, options?: ErrorOptions) {
    super("channel-refused", message, options);
  }
}
