/** A small HTTP server for local use. */
import { NetError, type TcpAddress } from "../platform/net.ts";

export interface HttpServer {
  readonly address: TcpAddress;
  close(): Promise<void>;
}

/**
 * Serves `handler` at `address`.
 * @throws {NetError} when it cannot listen there
 */
export function serveHttp(
  address: TcpAddress,
  handler: (request: Request) => Response | Promise<Response>,
): HttpServer {
  const { hostname, port } = address;
  try {
    const server = Deno.serve({ hostname, port, onListen() {} }, handler);
    return {
      address: { transport: "tcp", hostname: server.addr.hostname, port: server.addr.port },
      async close() {
        await server.shutdown();
      },
    };
  } catch (cause) {
    const taken = cause instanceof Deno.errors.AddrInUse;
    const why = taken
      ? "the address is already in use"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    const sentence = `cannot listen on ${hostname}:${port}: ${why}`;
    throw new NetError(taken ? "in-use" : "failed", sentence, { cause });
  }
}
