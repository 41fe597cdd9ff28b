/** What the authentication protocol (RFC 4252) needs from below and says on both sides. */
import type { Bytes } from "../../bytes/bytes.ts";
import { DisconnectReason, SshError } from "../error.ts";

/** Messages as the transport carries them once the first key exchange is done. */
export interface MessageStream {
  /** The exchange hash of the first key exchange: what signatures are bound to. */
  readonly sessionId: Bytes;
  /** The server's host key blob as the key exchange proved it (for `publickey-hostbound-v00@openssh.com`). */
  readonly hostKey: Bytes;
  /** The peer's `server-sig-algs` (RFC 8308), when it sent them. Read anew for each use: EXT_INFO may come late. */
  readonly serverSignatureAlgorithms: readonly string[] | undefined;
  /**
   * Whether the server announced `publickey-hostbound@openssh.com` (version `0`) in EXT_INFO: the client then binds its
   * signatures to the host key too (OpenSSH PROTOCOL §3.1). Servers need not fill it in.
   */
  readonly publicKeyHostbound?: boolean;
  /** Sends one message; the payload starts with its number. The buffer may be reused at once. */
  send(payload: Bytes): void;
  /** The next message: a copy of its own. @throws {SshError} when the connection has ended */
  receive(): Promise<Bytes>;
}

/** The service that authentication itself is (RFC 4252 §4). */
export const USERAUTH_SERVICE = "ssh-userauth";
/** The service that authentication is for: the only one there is (RFC 4254). */
export const CONNECTION_SERVICE = "ssh-connection";

/** The names of methods on the wire. */
export const Method = {
  none: "none",
  publicKey: "publickey",
  /** OpenSSH PROTOCOL §3.1: `publickey` whose signature covers the host key. Never listed, always understood. */
  publicKeyHostbound: "publickey-hostbound-v00@openssh.com",
  password: "password",
  keyboardInteractive: "keyboard-interactive",
} as const;

/** One question of `keyboard-interactive` (RFC 4256 §3.2). */
export interface Prompt {
  readonly text: string;
  /** Whether the answer may be shown while it is typed. */
  readonly echo: boolean;
}

/** One round of questions. No prompts at all is allowed: then `instruction` is information. */
export interface Challenge {
  readonly name: string;
  readonly instruction: string;
  readonly prompts: readonly Prompt[];
}

/** Rounds of one `keyboard-interactive` attempt: the longest tokens take about a dozen, an endless peer is cut off. */
export const MAX_ROUNDS = 100;

/** Authentication came to its end without success. */
export class AuthenticationError extends SshError {
  override readonly name = "AuthenticationError";

  /** @param methods those that the server would still take, as it last said */
  constructor(message: string, readonly methods: readonly string[], options?: ErrorOptions) {
    super("auth", message, { ...options, reason: DisconnectReason.noMoreAuthMethodsAvailable });
  }
}
