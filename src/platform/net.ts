/** Connections to the world outside: TCP and Unix sockets. */
import type { PlainDuplex } from "../streams/duplex.ts";

/** Where to dial or listen. */
export type Address = TcpAddress | UnixAddress;

/** `hostname` is an IP address or a name to look up. */
export interface TcpAddress {
  readonly transport: "tcp";
  readonly hostname: string;
  readonly port: number;
}

/** A Unix socket by the path of its file. */
export interface UnixAddress {
  readonly transport: "unix";
  readonly path: string;
}

/** One connection of the system's. */
export interface NetConnection extends PlainDuplex {
  readonly local: Address;
  readonly remote: Address;
}

/** Accepts connections until closed. */
export interface NetListener extends AsyncIterable<NetConnection> {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: Address;
  close(): void;
}

/** The network of the system. */
export interface Net {
  /**
   * Opens a connection; TCP with `TCP_NODELAY`.
   * @throws {NetError} with a `code` that says why
   */
  dial(address: Address, options?: { signal?: AbortSignal }): Promise<NetConnection>;
  /** Listens. A Unix path gets mode 0600. @throws {NetError} */
  listen(address: Address): Promise<NetListener>;
  /** IP addresses of a host name; an address resolves to itself. @throws {NetError} `not-found` */
  resolve(hostname: string): Promise<string[]>;
}

/** Why it did not work, for programs. */
export type NetErrorCode =
  | "refused"
  | "not-found"
  | "unreachable"
  | "timeout"
  | "in-use"
  | "denied"
  | "failed";

/** A dial, listen or look-up that did not work. */
export class NetError extends Error {
  override readonly name = "NetError";
  constructor(readonly code: NetErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** `host:port`, `[v6]:port` or the path. */
export function formatAddress(address: Address): string {
  if (address.transport === "unix") return address.path;
  return formatHostPort(address.hostname, address.port);
}

/** `host:port`, `[v6]:port`. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Reads `host:port`, `[v6]:port`.
 * @throws {TypeError} when it is neither or the port is not 0–65535
 */
export function parseTcpAddress(text: string): TcpAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = match ? Number(match[3]) : NaN;
  if (!match || !(port <= 65535)) throw new TypeError(`'${text}' is not HOST:PORT`);
  return { transport: "tcp", hostname: match[1] ?? match[2], port };
}

/** IPv4 addresses as such, also on a socket that takes both. */
export function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}
