/** What client and server have in common: options, the grace time, the way from a Duplex to a connection. */
import { type Clock, systemClock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import type { AlgorithmLists } from "./algorithms/lists.ts";
import { MuxConnection } from "./connection/mux.ts";
import { DisconnectReason, SshError } from "./error.ts";
import { REKEY_BYTES, REKEY_MS } from "./transport/limits.ts";
import type { CommonTransportConfig, RekeyLimit } from "./transport/config.ts";
import type { Transport } from "./transport/transport.ts";

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
  /**
   * @param transport the transport underneath: agreed algorithms, rekey, ping
   * @param authenticated what authentication found out
   */
  constructor(readonly transport: Transport, readonly authenticated: A, clock: Clock) {
    super(transport, clock);
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
