/** What client and server have in common: options, the grace time, the way from a Duplex to a connection. */
import type { Bytes } from "../bytes/bytes.ts";
import { Writer } from "../bytes/writer.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import type { AlgorithmLists } from "./algorithms/lists.ts";
import type { Negotiated } from "./algorithms/negotiation.ts";
import { MuxConnection } from "./connection/mux.ts";
import { DisconnectReason, SshError } from "./error.ts";
import { REKEY_BYTES, REKEY_MS } from "./transport/limits.ts";
import type { CommonTransportConfig, RekeyLimit } from "./transport/config.ts";
import type { ProvenHostKey } from "./transport/host_key.ts";
import type { Transport } from "./transport/transport.ts";
import { Msg } from "./wire/numbers.ts";

/** What both ends can be told. */
export interface SshOptions {
  readonly crypto: CryptoProvider;
  /** Default: the runtime's. */
  readonly clock?: Clock;
  /** Default: `defaultAlgorithms`. */
  readonly algorithms?: AlgorithmLists;
  /** Name and version that follow `SSH-2.0-`. Default {@link SOFTWARE}. */
  readonly software?: string;
  /** When keys are renewed. Default: after 1 GiB or 1 hour. */
  readonly rekey?: Partial<RekeyLimit>;
  /** Ends the attempt, and later the connection, whenever it aborts. */
  readonly signal?: AbortSignal;
  /** From the start to the end of authentication, in milliseconds. Default {@link LOGIN_GRACE_MS}. */
  readonly loginGraceMs?: number;
}

/** How this library identifies itself. RFC 4253 §4.2 allows no minus sign here. */
export const SOFTWARE = "SshMesh_0.1";

/** As sshd's LoginGraceTime. */
export const LOGIN_GRACE_MS = 120_000;

/** An authenticated connection, with what is known of it. */
export class SshConnection<A> extends MuxConnection {
  readonly #transport: Transport;

  /**
   * Made by `connectSsh` and `acceptSsh`.
   * @param authenticated what authentication found out
   */
  constructor(transport: Transport, readonly authenticated: A, clock: Clock) {
    super(transport, clock);
    this.#transport = transport;
  }

  /** What the last key exchange agreed on. */
  get negotiated(): Negotiated {
    return this.#transport.negotiated;
  }

  /** The blob of the server's host key or certificate, as the last key exchange proved it. */
  get hostKey(): Bytes {
    return this.#transport.hostKey;
  }

  /** On the client: the server's key as its verifier accepted it. */
  get provenHostKey(): ProvenHostKey | undefined {
    return this.#transport.provenHostKey;
  }

  /**
   * Resolves some time after `closed`, a second at most, when the peer has had the chance to read why the connection ends:
   * a program that exits earlier may take that from it.
   */
  get gone(): Promise<void> {
    return this.#transport.gone;
  }

  /** Renews the keys now. */
  rekey(): void {
    this.#transport.rekey();
  }

  /**
   * Measures a round trip (`ping@openssh.com`).
   * @returns milliseconds; undefined when the peer did not announce that it answers, or the connection has ended
   */
  ping(): Promise<number | undefined> {
    return this.#transport.ping();
  }

  /**
   * Sends a sentence for whoever watches the peer: `ssh -v` shows it (SSH_MSG_DEBUG, RFC 4253 §11.3).
   * @param text printable, one line
   */
  debug(text: string): void {
    this.#transport.send(new Writer().byte(Msg.DEBUG).boolean(true).string(text).string("").finish());
  }
}

/** The part of a transport's configuration that does not depend on the role. */
export function transportConfig(options: SshOptions, defaults: AlgorithmLists): CommonTransportConfig {
  const { crypto, clock = systemClock, algorithms = defaults, software = SOFTWARE, rekey } = options;
  return {
    crypto,
    clock,
    algorithms,
    identification: `SSH-2.0-${software}`,
    rekey: { bytes: rekey?.bytes ?? REKEY_BYTES, ms: rekey?.ms ?? REKEY_MS },
  };
}

/**
 * Runs handshake and authentication within the grace time, and gives the connection to `prepare` before the first
 * message is handled. The peer is told why when it fails.
 */
export async function establish<A>(
  options: SshOptions & { readonly prepare?: (connection: SshConnection<A>) => void },
  start: (signal: AbortSignal) => Promise<Transport>,
  authenticate: (transport: Transport, signal: AbortSignal) => Promise<A>,
): Promise<SshConnection<A>> {
  const { clock = systemClock, signal, loginGraceMs = LOGIN_GRACE_MS, prepare } = options;
  const life = new AbortController();
  const onAbort = () => life.abort(signal!.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  // Not thrown here: the duplex is the connection's already, and has to be closed.
  if (signal?.aborted) onAbort();
  const cancelGrace = clock.after(loginGraceMs, () => {
    const { byApplication: reason } = DisconnectReason;
    life.abort(new SshError("timeout", "authentication took too long", { reason }));
  });
  let transport: Transport | undefined;
  try {
    transport = await start(life.signal);
    const authenticated = await authenticate(transport, life.signal);
    const connection = new SshConnection(transport, authenticated, clock);
    transport.closed.then(() => signal?.removeEventListener("abort", onAbort));
    prepare?.(connection);
    connection.start();
    return connection;
  } catch (error) {
    signal?.removeEventListener("abort", onAbort);
    const { reason, message } = error instanceof SshError
      ? error
      : { reason: DisconnectReason.byApplication, message: "authentication failed" };
    transport?.disconnect(reason, message);
    throw error;
  } finally {
    cancelGrace();
  }
}
