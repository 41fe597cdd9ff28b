/** HTTPS on connections that somebody else accepted, by Node's TLS and HTTP servers. */
import { X509Certificate } from "node:crypto";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { isIP } from "node:net";
import { createServer as createTlsServer, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import type { Bytes } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import type { TcpAddress } from "../platform/net.ts";
import type { Web, WebFailure, WebServer, WebServerOptions } from "../platform/web.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { NodeDuplex } from "./node_duplex.ts";
import { requestUrl, type TlsNames } from "./web_host.ts";
import { readBody, sendResponse, toRequest } from "./web_message.ts";

/** What one client may take of the server. Milliseconds and bytes. */
export interface WebBounds {
  /** Until TLS stands: two round trips and some arithmetic. */
  readonly handshake: number;
  /** For the head of a request, from its first byte; of the first one, from the handshake on. */
  readonly head: number;
  /** For all of a request. */
  readonly request: number;
  /** Between two requests, and for a client to take the next piece of a response. */
  readonly idle: number;
  /** How often the above two of HTTP are looked at. */
  readonly check: number;
  /** Bytes of a request's head, and of its body: keys, requests for certificates, tokens. */
  readonly headSize: number;
  readonly bodySize: number;
}

/** What {@link denoWeb} grants. */
const WEB_BOUNDS: WebBounds = {
  handshake: 10_000,
  head: 5_000,
  request: 15_000,
  idle: 30_000,
  check: 500,
  headSize: 16 * 1024,
  bodySize: 64 * 1024,
};

/** The web server of this runtime. */
export const denoWeb: Web = { createServer: (options) => createWebServer(options) };

/** As {@link denoWeb} makes them, with other bounds. */
export function createWebServer<C>(
  options: WebServerOptions<C>,
  bounds: Partial<WebBounds> = {},
): WebServer<C> {
  return new NodeWebServer(options, { ...WEB_BOUNDS, ...bounds });
}

/** One connection whose handshake is done. */
interface Client<C> {
  readonly remote: TcpAddress;
  readonly context: C;
  readonly certificates?: readonly Bytes[];
  readonly names: TlsNames;
  /** Why every request is refused: the client's certificate. */
  readonly refusal?: string;
  /** Requests whose response has not been sent. */
  requests: number;
  /** A request was refused, or answered for the last time: what came behind it is not looked at. */
  over: boolean;
}

class NodeWebServer<C> implements WebServer<C> {
  readonly #options: WebServerOptions<C>;
  readonly #bounds: WebBounds;
  readonly #http: Server;
  /** Connections, before and after the handshake. */
  readonly #open = new Set<NodeDuplex>();
  readonly #clients = new Map<TLSSocket, Client<C>>();
  #closing = false;
  #whenEmpty?: () => void;

  constructor(options: WebServerOptions<C>, bounds: WebBounds) {
    this.#options = options;
    this.#bounds = bounds;
    this.#http = createHttpServer({
      headersTimeout: bounds.head,
      requestTimeout: bounds.request,
      keepAliveTimeout: bounds.idle,
      connectionsCheckingInterval: bounds.check,
      maxHeaderSize: bounds.headSize,
      // Refused below, and with it what comes behind.
      requireHostHeader: false,
    }, (incoming, outgoing) => void this.#onRequest(incoming, outgoing));
    // A server that does not listen closes each connection after one response, and starts no timers.
    Object.defineProperty(this.#http, "listening", { value: true });
    this.#http.emit("listening");
    this.#http.on("clientError", (error, socket) => this.#onClientError(error, socket as TLSSocket));
    this.#http.on("connect", (_incoming, socket) => socket.end(rawAnswer("405 Method Not Allowed")));
  }

  async serve(connection: PlainDuplex, remote: TcpAddress, context: C): Promise<void> {
    const duplex = new NodeDuplex(connection);
    // Failures show in the handshake and in requests; here they would only end the process.
    duplex.on("error", () => {});
    const ended = new Promise<void>((resolve) => duplex.once("close", resolve));
    if (this.#closing) return void duplex.destroy();
    this.#open.add(duplex);
    try {
      const { socket, certificate } = await this.#handshake(duplex);
      socket.on("error", () => duplex.destroy());
      socket.once("close", () => duplex.destroy());
      this.#clients.set(socket, this.#newClient(socket, certificate, remote, context));
      try {
        if (this.#closing) socket.destroy();
        else this.#http.emit("connection", socket);
        await ended;
      } finally {
        this.#clients.delete(socket);
        socket.destroy();
      }
    } catch (error) {
      this.#failed("handshake", remote, error);
      duplex.destroy();
    } finally {
      this.#open.delete(duplex);
      if (this.#open.size === 0) this.#whenEmpty?.();
    }
  }

  async close(grace: number): Promise<void> {
    this.#closing = true;
    const empty = new Promise<void>((resolve) => this.#whenEmpty = resolve);
    for (const [socket, { requests }] of this.#clients) if (requests === 0) socket.destroy();
    if (this.#open.size > 0) {
      const timer = setTimeout(() => this.#open.forEach((duplex) => duplex.destroy()), grace);
      await empty;
      clearTimeout(timer);
    }
    // Stops its timer; there is no listener to close.
    this.#http.close(() => {});
  }

  /** TLS on `duplex`. A server for each connection: certificates and roots are those of the moment. */
  #handshake(duplex: NodeDuplex): Promise<{ socket: TLSSocket; certificate: string }> {
    const { certificate, privateKey } = this.#options.tls();
    const roots = this.#options.clientRoots();
    const server = createTlsServer({
      cert: certificate,
      key: privateKey,
      ...(roots.length > 0 && { ca: [...roots] }),
      requestCert: roots.length > 0,
      // A client without a certificate is welcome; one with a bad certificate gets an answer that says so.
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
    });
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no TLS handshake within ${this.#bounds.handshake} ms`));
      const timer = setTimeout(late, this.#bounds.handshake);
      const fail = (error: Error) => {
        clearTimeout(timer);
        reject(error);
      };
      server.once("tlsClientError", fail);
      duplex.once("close", () => fail(new Error("the client went away during the TLS handshake")));
      server.once("secureConnection", (socket: TLSSocket) => {
        clearTimeout(timer);
        resolve({ socket, certificate });
      });
      server.emit("connection", duplex);
    });
  }

  /** @param certificate the server's, in that handshake */
  #newClient(socket: TLSSocket, certificate: string, remote: TcpAddress, context: C): Client<C> {
    const own = new X509Certificate(certificate);
    const { servername } = socket as TLSSocket & { servername?: string | false };
    const names: TlsNames = {
      ...(servername && { asked: servername }),
      covers: (name) => (isIP(name) ? own.checkIP(name) : own.checkHost(name)) !== undefined,
    };
    const certificates = sentCertificates(socket);
    const common = { remote, context, names, requests: 0, over: false };
    if (certificates.length === 0) return common;
    if (socket.authorized) return { ...common, certificates };
    const refusal = `the client certificate is not accepted: ${whyRefused(certificates[0])}`;
    this.#failed("client-certificate", remote, new Error(refusal));
    return { ...common, refusal };
  }

  async #onRequest(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const socket = incoming.socket as TLSSocket;
    const client = this.#clients.get(socket);
    if (!client) return void socket.destroy();
    // The answer to the one before ends the connection.
    if (client.over) return;
    const gone = new AbortController();
    outgoing.once("close", () => gone.abort(new Error("the client has gone")));
    client.requests++;
    try {
      const { response, last } = await this.#respond(client, incoming, gone.signal);
      await sendResponse(outgoing, response, {
        headOnly: incoming.method === "HEAD",
        last: last || this.#closing,
        stall: this.#bounds.idle,
      });
    } catch (error) {
      this.#failed("request", client.remote, error);
      socket.destroy();
    } finally {
      client.requests--;
      if (this.#closing && client.requests === 0) socket.destroySoon();
    }
  }

  /** The answer, and whether it is the connection's last. */
  async #respond(
    client: Client<C>,
    incoming: IncomingMessage,
    signal: AbortSignal,
  ): Promise<{ response: Response; last: boolean }> {
    const { names, refusal, remote, certificates, context } = client;
    const refuse = (status: number, why: string) => {
      client.over = true;
      const headers = { "content-type": "text/plain; charset=utf-8" };
      return { response: new Response(`${why}\n`, { status, headers }), last: true };
    };
    if (refusal !== undefined) return refuse(400, refusal);
    if (incoming.headersDistinct.host?.length !== 1) return refuse(400, "there is not one Host");
    const url = requestUrl(incoming.headers.host, incoming.url ?? "", names);
    if (!url) return refuse(421, "this server is not the one that the request is for");
    const body = await readBody(incoming, this.#bounds.bodySize);
    if (!body) return refuse(413, `a request has at most ${this.#bounds.bodySize} bytes`);
    let request: Request;
    try {
      request = toRequest(incoming, url, body, signal);
    } catch {
      return refuse(405, "there is no such method here");
    }
    try {
      const exchange = { request, remote, ...(certificates && { clientCertificates: certificates }) };
      const response = await this.#options.handler(exchange, context);
      const last = response.headers.get("connection") === "close";
      client.over ||= last;
      return { response, last };
    } catch (error) {
      this.#failed("handler", remote, error);
      return refuse(500, "the answer could not be made");
    }
  }

  #onClientError(error: Error & { code?: string }, socket: TLSSocket): void {
    const client = this.#clients.get(socket);
    if (client) this.#failed("request", client.remote, error);
    const status = STATUS_OF_ERRORS[error.code ?? ""] ?? "400 Bad Request";
    if (!socket.writable || client?.requests) return void socket.destroy();
    socket.end(rawAnswer(status));
    // Who does not read the answer has none.
    socket.destroySoon();
  }

  #failed(stage: WebFailure["stage"], remote: TcpAddress, cause: unknown): void {
    const message = printable(cause instanceof Error ? cause.message : String(cause));
    this.#options.onFailure?.({ stage, remote, error: new Error(message, { cause }) });
  }
}

/** Answers before there is a request that could be answered. */
const STATUS_OF_ERRORS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
};

function rawAnswer(status: string): string {
  return `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;
}

/** The likely reason why a certificate does not verify. What TLS says is not told apart by Deno. */
function whyRefused(der: Bytes): string {
  const { validFrom, validTo } = new X509Certificate(der);
  const now = Date.now();
  if (Date.parse(validTo) < now) return "it has expired";
  if (Date.parse(validFrom) > now) return "it is not valid yet";
  return "it is not for TLS clients, or no root that is trusted here has signed it";
}

/** The client's certificate and those above it, a root that is trusted here too; none when it sent none. */
function sentCertificates(socket: TLSSocket): Bytes[] {
  const found: Bytes[] = [];
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // The last one is its own issuer.
  const seen = new Set<DetailedPeerCertificate>();
  while (certificate?.raw && !seen.has(certificate)) {
    seen.add(certificate);
    found.push(new Uint8Array(certificate.raw));
    certificate = certificate.issuerCertificate;
  }
  return found;
}
