/** A small HTTP server for local use. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { NetError, type TcpAddress } from "../platform/net.ts";

export interface HttpServer {
  readonly address: TcpAddress;
  close(): Promise<void>;
}

/**
 * Bounds for clients that are slow or many: whoever has an account on the machine can connect here, and must not use up
 * the descriptors that the gateway serves its own clients with.
 */
const LIMITS = {
  /** Milliseconds for a request's head, and for all of it. */
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  /** Bytes of a request's head. */
  maxHeaderSize: 8 * 1024,
} as const;
const MAX_CONNECTIONS = 32;

/**
 * Serves `handler` at `address`, one request per connection. Bodies of requests are not read.
 * @throws {NetError} when it cannot listen there
 */
export async function serveHttp(
  address: TcpAddress,
  handler: (request: Request) => Response | Promise<Response>,
): Promise<HttpServer> {
  const { hostname, port } = address;
  const server = createServer(LIMITS, (incoming, outgoing) => void answer(incoming, outgoing, handler));
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: Error & { code?: string }) => {
      const taken = cause.code === "EADDRINUSE";
      const why = taken ? "the address is already in use" : cause.message;
      const sentence = `cannot listen on ${hostname}:${port}: ${why}`;
      reject(new NetError(taken ? "in-use" : "failed", sentence, { cause }));
    });
    server.listen(port, hostname, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: { transport: "tcp", hostname: bound.address, port: bound.port },
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

async function answer(
  { method, headers, url }: IncomingMessage,
  outgoing: ServerResponse,
  handler: (request: Request) => Response | Promise<Response>,
): Promise<void> {
  const response = await respond(`http://${headers.host ?? ""}${url}`, method, handler);
  outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), connection: "close" });
  outgoing.end(method === "HEAD" ? undefined : await response.text());
}

async function respond(
  url: string,
  method: string | undefined,
  handler: (request: Request) => Response | Promise<Response>,
): Promise<Response> {
  let request: Request;
  try {
    request = new Request(url, { method });
  } catch {
    return new Response("this is no request for a page here\n", { status: 400 });
  }
  try {
    return await handler(request);
  } catch {
    return new Response("the page could not be made\n", { status: 500 });
  }
}
