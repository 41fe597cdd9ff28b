/** Asking the peer to connect, and to listen, for us: the requester's side of forwarding. */
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError } from "../../bytes/reader.ts";
import type { Channel, Connection, IncomingChannel } from "../connection/types.ts";
import type { Router } from "../connection/router.ts";
import { ChannelOpenReason, SshError } from "../error.ts";
import {
  decodePath,
  decodePort,
  decodeTcpChannel,
  encodeDirectStreamLocal,
  encodeHostPort,
  encodePath,
  encodeTcpChannel,
  type HostPort,
} from "./messages.ts";

/** Originator of what begins in this process. */
const HERE: HostPort = { host: "127.0.0.1", port: 0 };

/**
 * Asks the peer to connect to `target` (`direct-tcpip`, RFC 4254 §7.2).
 * @throws {ChannelOpenError}
 */
export function openTcp(
  connection: Connection,
  target: HostPort,
  options: { originator?: HostPort; signal?: AbortSignal } = {},
): Promise<Channel> {
  const { originator = HERE, signal } = options;
  return connection.open("direct-tcpip", encodeTcpChannel({ target, originator }), { signal });
}

/**
 * Asks the peer to connect to the Unix socket at `path` (`direct-streamlocal@openssh.com`).
 * @throws {ChannelOpenError}
 */
export function openStreamLocal(
  connection: Connection,
  path: string,
  options: { signal?: AbortSignal } = {},
): Promise<Channel> {
  return connection.open("direct-streamlocal@openssh.com", encodeDirectStreamLocal(path), options);
}

/** A connection that came in at the peer's end. Answer it once. */
export interface ForwardedConnection {
  /** For TCP. */
  readonly originator?: HostPort;
  accept(): Channel;
  reject(reason: number, description: string): void;
}

/** Answers a connection that came in at the peer's end. */
export type ForwardedHandler = (connection: ForwardedConnection) => void | Promise<void>;

/** The peer listens for us until this is closed. */
export interface RemoteListener {
  /** The port, chosen by the peer when 0 was asked for. A Unix socket has none. */
  readonly port: number;
  /** Asks the peer to stop. Idempotent. */
  close(): Promise<void>;
}

/** Everything that this side has asked the peer to listen on. One per connection. */
export class RemoteForwards {
  readonly #connection: Connection;
  readonly #tcp = new Map<string, ForwardedHandler>();
  readonly #streamLocal = new Map<string, ForwardedHandler>();
  /** Requests for a port of the peer's choice that wait for it. */
  readonly #choosing = new Set<Promise<unknown>>();

  constructor(connection: Connection, router: Router) {
    this.#connection = connection;
    router.onChannel("forwarded-tcpip", (incoming) => {
      const { target, originator } = decodeTcpChannel(incoming.data);
      const handler = this.#tcp.get(tcpKey(target));
      if (handler || this.#choosing.size === 0) return dispatch(incoming, handler, originator);
      // Right behind the reply that tells the port, before that has been looked at.
      return Promise.allSettled(this.#choosing)
        .then(() => dispatch(incoming, this.#tcp.get(tcpKey(target)), originator));
    });
    router.onChannel(
      "forwarded-streamlocal@openssh.com",
      (incoming) => dispatch(incoming, this.#streamLocal.get(decodePath(incoming.data))),
    );
  }

  /**
   * Asks the peer to listen on `address` (`tcpip-forward`, RFC 4254 §7.1).
   * @throws {SshError} `request-refused`
   */
  listenTcp(address: HostPort, onConnection: ForwardedHandler): Promise<RemoteListener> {
    const listening = this.#listenTcp(address, onConnection);
    if (address.port === 0) {
      this.#choosing.add(listening);
      const chosen = () => this.#choosing.delete(listening);
      listening.then(chosen, chosen);
    }
    return listening;
  }

  async #listenTcp(address: HostPort, onConnection: ForwardedHandler): Promise<RemoteListener> {
    const key = tcpKey(address);
    if (this.#tcp.has(key)) throw new TypeError(`${key} is forwarded already`);
    // The first connection may come right behind the reply.
    if (address.port !== 0) this.#tcp.set(key, onConnection);
    const reply = await this.#ask("tcpip-forward", encodeHostPort(address), key, () => this.#tcp.delete(key));
    const port = address.port !== 0 ? address.port : chosenPort(reply);
    const granted = { host: address.host, port };
    this.#tcp.set(tcpKey(granted), onConnection);
    return this.#listener(port, "cancel-tcpip-forward", encodeHostPort(granted), this.#tcp, tcpKey(granted));
  }

  /**
   * Asks the peer to listen on a Unix socket (`streamlocal-forward@openssh.com`).
   * @throws {SshError} `request-refused`
   */
  async listenStreamLocal(path: string, onConnection: ForwardedHandler): Promise<RemoteListener> {
    if (this.#streamLocal.has(path)) throw new TypeError(`${path} is forwarded already`);
    this.#streamLocal.set(path, onConnection);
    const forget = () => this.#streamLocal.delete(path);
    await this.#ask("streamlocal-forward@openssh.com", encodePath(path), path, forget);
    const cancel = "cancel-streamlocal-forward@openssh.com";
    return this.#listener(0, cancel, encodePath(path), this.#streamLocal, path);
  }

  async #ask(
    name: string,
    data: Bytes,
    what: string,
    forget: () => void,
  ): Promise<Bytes | true> {
    const reply = await this.#connection.request(name, data, true).catch((error) => {
      forget();
      throw error;
    });
    if (reply === false) {
      forget();
      throw new SshError("request-refused", `the peer refused to listen on ${what}`);
    }
    return reply;
  }

  #listener(
    port: number,
    cancel: string,
    data: Bytes,
    handlers: Map<string, ForwardedHandler>,
    key: string,
  ): RemoteListener {
    return {
      port,
      close: async () => {
        if (!handlers.delete(key)) return;
        await this.#connection.request(cancel, data, true).catch(() => {});
      },
    };
  }
}

/** The port in a reply. @throws {SshError} `protocol` when it tells none */
function chosenPort(reply: Bytes | true): number {
  try {
    const port = reply === true ? 0 : decodePort(reply);
    if (port !== 0) return port;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
  }
  throw new SshError("protocol", "the peer listens on a port of its choice and does not say which");
}

function dispatch(
  incoming: IncomingChannel,
  handler: ForwardedHandler | undefined,
  originator?: HostPort,
): void | Promise<void> {
  if (!handler) {
    return incoming.reject(ChannelOpenReason.administrativelyProhibited, "this was not asked for");
  }
  return handler({
    originator,
    accept: () => incoming.accept(),
    reject: (reason, description) => incoming.reject(reason, description),
  });
}

function tcpKey({ host, port }: HostPort): string {
  return `${host}:${port}`;
}
