/** HTTPS requests to a server on this machine, with a client certificate where one is given. */
import { request } from "node:https";
import { connect, type TLSSocket } from "node:tls";

export interface HttpsOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Roots that the server is verified against, PEM. */
  readonly ca: string | readonly string[];
  /** Client certificate, with those above it, and its key. PEM. */
  readonly certificate?: string;
  readonly privateKey?: string;
  /** Server name in TLS; default the URL's host. */
  readonly servername?: string;
}

/**
 * Makes one request on a connection of its own. The name in the URL counts for Host and TLS; the connection goes to 127.0.0.1.
 * Rejects when the server's certificate does not verify, or the connection fails.
 */
export function httpsFetch(url: string | URL, options: HttpsOptions): Promise<Response> {
  const { hostname, host, port, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: "127.0.0.1",
      port: port || 443,
      path: pathname + search,
      method: options.method ?? (options.body === undefined ? "GET" : "POST"),
      headers: { host, ...options.headers },
      servername: options.servername ?? hostname,
      ca: [options.ca].flat(),
      cert: options.certificate,
      key: options.privateKey,
      agent: false,
    }, async (incoming) => {
      try {
        const chunks: Uint8Array[] = [];
        for await (const chunk of incoming) chunks.push(chunk);
        const headers = new Headers();
        const { rawHeaders, statusCode: status = 0 } = incoming;
        for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at], rawHeaders[at + 1]);
        const body = status === 204 || status === 304 ? null : new Blob(chunks as BlobPart[]);
        resolve(new Response(body, { status, headers }));
      } catch (error) {
        reject(error);
      }
    });
    outgoing.once("error", reject);
    outgoing.end(options.body);
  });
}

/** A TLS connection to 127.0.0.1, verified; for requests that no client library would make. */
export function tlsConnect(port: number, options: HttpsOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: options.servername ?? "localhost",
      ca: [options.ca].flat(),
      cert: options.certificate,
      key: options.privateKey,
      ALPNProtocols: ["http/1.1"],
    }, () => {
      socket.off("error", reject);
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

/** All that `socket` says until it closes, as text. */
export function textUntilClose(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk) => text += chunk);
    socket.on("error", () => {});
    socket.once("close", () => resolve(text));
  });
}
