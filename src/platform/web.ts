/** HTTP over TLS on connections that have been accepted already. */
import type { Bytes } from "../bytes/bytes.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import type { TcpAddress } from "./net.ts";

/** One request, and who sent it as far as the connection tells. */
export interface WebExchange {
  readonly request: Request;
  readonly remote: TcpAddress;
  /**
   * The client certificate (DER) and those above it, verified by TLS against {@link WebServerOptions.clientRoots}. Whose they
   * are, and whether they count still, is for the handler to ask with each request: connections outlive certificates.
   */
  readonly clientCertificates?: readonly Bytes[];
}

/** What a server proves itself with. */
export interface TlsIdentity {
  /** PEM: the certificate and those above it. */
  readonly certificate: string;
  /** PEM (PKCS #8). */
  readonly privateKey: string;
}

/** @typeParam C what the server is told of a connection, and gives back with each of its requests */
export interface WebServerOptions<C> {
  /** Asked for each connection: certificates are renewed. */
  readonly tls: () => TlsIdentity;
  /** Roots of client certificates, PEM. Asked for each connection. None: clients are not asked for one. */
  readonly clientRoots: () => readonly string[];
  /** A response with `connection: close` is the connection's last. */
  readonly handler: (exchange: WebExchange, context: C) => Response | Promise<Response>;
  /**
   * Told why a connection or request got no answer of the handler's: for the log. `Error.message` is one clause; what the
   * peer sent in it is printable.
   */
  readonly onFailure?: (failure: WebFailure) => void;
}

export interface WebFailure {
  /** `handshake`: of TLS; `client-certificate`: it is not trusted; `request`: cut off or not understood; `handler`: it threw. */
  readonly stage: "handshake" | "client-certificate" | "request" | "handler";
  readonly remote: TcpAddress;
  readonly error: Error;
}

export interface WebServer<C> {
  /**
   * Serves one connection until it ends: TLS, then HTTP/1.1. Bytes that were looked at are still to be read from it.
   * Slow handshakes, heads and bodies are cut off. Never rejects.
   * @param context of this connection, for {@link WebServerOptions.handler}
   */
  serve(connection: PlainDuplex, remote: TcpAddress, context: C): Promise<void>;
  /** Lets requests that have begun finish, for at most `grace` milliseconds. */
  close(grace: number): Promise<void>;
}

/** Makes web servers. */
export interface Web {
  createServer<C>(options: WebServerOptions<C>): WebServer<C>;
}
