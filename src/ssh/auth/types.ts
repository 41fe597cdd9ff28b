/** What the authentication protocol (RFC 4252) needs from below and asks of above. */
import type { Bytes } from "../../bytes/bytes.ts";

/** Messages as the transport carries them once the first key exchange is done. */
export interface MessageStream {
  /** The exchange hash of the first key exchange: what signatures are bound to. */
  readonly sessionId: Bytes;
  /** The server's host key blob as the key exchange proved it (for `publickey-hostbound-v00@openssh.com`). */
  readonly hostKey: Bytes;
  /** The peer's `server-sig-algs` (RFC 8308), when it sent them. */
  readonly serverSignatureAlgorithms: readonly string[] | undefined;
  /** Sends one message; the payload starts with its number. The buffer may be reused at once. */
  send(payload: Bytes): void;
  /** The next message: a copy of its own. @throws {SshError} when the connection has ended */
  receive(): Promise<Bytes>;
}
