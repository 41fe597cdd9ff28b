/** Connecting and listening for the peer: the granting side of forwarding. Whether to do it is a callback's decision. */
import { EMPTY } from "../../bytes/bytes.ts";
import { relay } from "../../streams/relay.ts";
import { type Duplex, plain } from "../../streams/duplex.ts";
import type { Channel, Connection, IncomingChannel } from "../connection/types.ts";
import type { Router } from "../connection/router.ts";
import { ChannelOpenReason } from "../error.ts";
import {
  decodeHostPort,
  decodePath,
  decodeTcpChannel,
  encodeForwardedStreamLocal,
  encodePort,
  encodeTcpChannel,
  type HostPort,
  type TcpChannel,
} from "./messages.ts";

/** A refusal of a channel that the peer is told: one of `ChannelOpenReason`, and a sentence. */
export class ForwardRefusal extends Error {
  override readonly name = "ForwardRefusal";
  constructor(readonly reason: number, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Listens on the peer's behalf until closed. */
export interface GrantedListener {
  /** The real port. */
  readonly port: number;
  close(): void | Promise<void>;
}

/**
 * What a server grants. A missing callback refuses. Throw a {@link ForwardRefusal} to say why; anything else is a failure to
 * connect.
 */
export interface ForwardPolicy {
  /** Opens what a `direct-tcpip` channel asks for. */
  dialTcp?(request: TcpChannel): Promise<Duplex>;
  /** Opens what a `direct-streamlocal@openssh.com` channel asks for. */
  dialStreamLocal?(path: string): Promise<Duplex>;
  /**
   * Grants a `tcpip-forward` request. Connections that come in go to `deliver`.
   * @returns undefined to refuse
   */
  listenTcp?(address: HostPort, deliver: Deliver): Promise<GrantedListener | undefined>;
  /** Grants a `streamlocal-forward@openssh.com` request. */
  listenStreamLocal?(path: string, deliver: Deliver): Promise<GrantedListener | undefined>;
}

/**
 * Opens a channel to the peer for a connection that came in, with the address exactly as the peer spelled it.
 * @throws {ChannelOpenError}
 */
export type Deliver = (originator: HostPort, signal?: AbortSignal) => Promise<Channel>;

/** Listeners that one peer may hold. */
export const MAX_LISTENERS = 256;

/** Serves all forwarding requests of one connection. Listeners are closed with it. */
export function serveForwarding(connection: Connection, router: Router, policy: ForwardPolicy): void {
  serveDialling(router, policy);
  const listeners = new Listeners(connection.closed);
  if (policy.listenTcp) serveTcpListening(connection, router, listeners, policy.listenTcp.bind(policy));
  if (policy.listenStreamLocal) {
    serveStreamLocalListening(connection, router, listeners, policy.listenStreamLocal.bind(policy));
  }
}

function serveDialling(router: Router, policy: ForwardPolicy): void {
  const { dialTcp, dialStreamLocal } = policy;
  if (dialTcp) {
    router.onChannel("direct-tcpip", (incoming) => {
      const request = decodeTcpChannel(incoming.data);
      return connect(incoming, () => dialTcp.call(policy, request));
    });
  }
  if (dialStreamLocal) {
    router.onChannel("direct-streamlocal@openssh.com", (incoming) => {
      const path = decodePath(incoming.data);
      return connect(incoming, () => dialStreamLocal.call(policy, path));
    });
  }
}

/** RFC 4254 §7.1. */
function serveTcpListening(
  connection: Connection,
  router: Router,
  listeners: Listeners,
  listen: NonNullable<ForwardPolicy["listenTcp"]>,
): void {
  router.onRequest("tcpip-forward", async ({ data }) => {
    const asked = decodeHostPort(data);
    if (!listeners.hasRoom(tcpKey(asked))) return false;
    // Which port was chosen is known only afterwards; the first connection cannot come before.
    let port = asked.port;
    const deliver: Deliver = (originator, signal) => {
      const target = { host: asked.host, port };
      return connection.open("forwarded-tcpip", encodeTcpChannel({ target, originator }), { signal });
    };
    const granted = await listen(asked, deliver);
    if (!granted) return false;
    if (asked.port === 0) port = granted.port;
    // Asked twice for any port, a policy may answer twice with the same.
    if (!listeners.keep(tcpKey({ host: asked.host, port }), granted)) return false;
    return asked.port === 0 ? encodePort(granted.port) : EMPTY;
  });
  router.onRequest("cancel-tcpip-forward", ({ data }) => listeners.cancel(tcpKey(decodeHostPort(data))));
}

/** OpenSSH PROTOCOL §2.4. */
function serveStreamLocalListening(
  connection: Connection,
  router: Router,
  listeners: Listeners,
  listen: NonNullable<ForwardPolicy["listenStreamLocal"]>,
): void {
  router.onRequest("streamlocal-forward@openssh.com", async ({ data }) => {
    const path = decodePath(data);
    if (!listeners.hasRoom(pathKey(path))) return false;
    const deliver: Deliver = (_originator, signal) =>
      connection.open("forwarded-streamlocal@openssh.com", encodeForwardedStreamLocal(path), { signal });
    const granted = await listen(path, deliver);
    return granted !== undefined && listeners.keep(pathKey(path), granted);
  });
  router.onRequest(
    "cancel-streamlocal-forward@openssh.com",
    ({ data }) => listeners.cancel(pathKey(decodePath(data))),
  );
}

/** What was granted to one peer, by what it asked for. */
class Listeners {
  readonly #granted = new Map<string, GrantedListener>();
  #ended = false;

  /** @param closed when all of them are to be closed */
  constructor(closed: Promise<unknown>) {
    closed.then(() => {
      this.#ended = true;
      for (const listener of this.#granted.values()) stop(listener);
      this.#granted.clear();
    });
  }

  /** Whether `key` may be asked for. */
  hasRoom(key: string): boolean {
    return this.#granted.size < MAX_LISTENERS && !this.#granted.has(key);
  }

  /** Keeps a granted listener under `key`, unless the connection has ended meanwhile or the place is taken: then stops it. */
  keep(key: string, granted: GrantedListener): boolean {
    const kept = !this.#ended && !this.#granted.has(key);
    if (kept) this.#granted.set(key, granted);
    else stop(granted);
    return kept;
  }

  /** Closes the listener under `key`. False when there is none. */
  async cancel(key: string): Promise<boolean> {
    const listener = this.#granted.get(key);
    if (!listener) return false;
    this.#granted.delete(key);
    await listener.close();
    return true;
  }
}

/** Opens what the channel asks for, then joins both. */
async function connect(incoming: IncomingChannel, dial: () => Promise<Duplex>): Promise<void> {
  let target: Duplex;
  try {
    target = await dial();
  } catch (error) {
    const reason = error instanceof ForwardRefusal ? error.reason : ChannelOpenReason.connectFailed;
    const message = error instanceof ForwardRefusal ? error.message : "the connection could not be opened";
    return incoming.reject(reason, message);
  }
  let channel: Channel;
  try {
    channel = incoming.accept();
  } catch (error) {
    // The connection has ended while we dialled.
    return plain(target).close(error);
  }
  relay(channel, target);
}

/** Closes what nobody waits for. */
function stop(listener: GrantedListener): void {
  (async () => await listener.close())().catch(() => {
    // A listener that cannot be closed is its owner's to report.
  });
}

function tcpKey({ host, port }: HostPort): string {
  return `tcp ${host}:${port}`;
}

function pathKey(path: string): string {
  return `unix ${path}`;
}
