/** Where a flow can go: anything that opens connections. */
import { type Duplex, plain } from "../streams/duplex.ts";

/** One connection to be opened. */
export interface OpenRequest {
  /** Who it is for, as `forwarded-tcpip` and PROXY headers tell it: the client's address. */
  readonly origin: { readonly hostname: string; readonly port: number };
  /** Aborts the opening. Once open, the connection is the caller's to close. */
  readonly signal?: AbortSignal;
}

/** One place that serves what was asked for. */
export interface Target {
  /** The same for the same place as long as it exists: what balancing counts by. */
  readonly id: string;
  /** For logs and flow records: `web.localhost:22 at 10.0.0.7:40100`. */
  readonly description: string;
  /**
   * Opens a connection.
   * @throws {TargetError} or the reason of the signal
   */
  open(request: OpenRequest): Promise<Duplex>;
}

/** Why a connection could not be opened. Until then no byte has moved: another target may be tried. */
export type TargetErrorCode =
  /** Nothing serves the name and port. */
  | "none"
  /** The place refused, or could not be reached. */
  | "failed"
  /** It did not answer in time. */
  | "timeout"
  /** The lease has ended meanwhile or passed to another. */
  | "fenced";

/** A connection that could not be opened. The message is for the log. */
export class TargetError extends Error {
  override readonly name = "TargetError";
  constructor(readonly code: TargetErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Closes a connection that nobody is going to use. */
export function discard(duplex: Duplex): void {
  plain(duplex).close();
}
