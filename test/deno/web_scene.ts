/** A web server on a port, for tests of it. */
import { denoNet } from "../../src/deno/net.ts";
import { createWebServer, type WebBounds } from "../../src/deno/web.ts";
import type { TcpAddress } from "../../src/platform/net.ts";
import type { WebFailure, WebServerOptions } from "../../src/platform/web.ts";
import type { PlainDuplex } from "../../src/streams/duplex.ts";
import { node, type TestAuthority, testAuthority } from "../support/authority.ts";

export interface WebScene extends AsyncDisposable {
  readonly port: number;
  /** `https://localhost:PORT`. */
  readonly origin: string;
  readonly authority: TestAuthority;
  readonly failures: WebFailure[];
  /** Connections that have not ended. */
  readonly open: number;
  close(grace: number): Promise<void>;
}

/** @param handler its connections have as context how many came before them */
export async function webScene(
  handler: WebServerOptions<number>["handler"],
  options: {
    readonly bounds?: Partial<WebBounds>;
    readonly web?: Partial<WebServerOptions<number>>;
    readonly authority?: TestAuthority;
    /** What stands between the listener and the server. */
    readonly through?: (connection: PlainDuplex) => Promise<PlainDuplex>;
  } = {},
): Promise<WebScene> {
  const through = options.through ?? ((connection) => Promise.resolve(connection));
  const authority = options.authority ?? await testAuthority();
  const tls = await authority.issue({
    identity: node("gw.mesh.example"),
    names: ["localhost"],
    gateway: true,
  });
  const failures: WebFailure[] = [];
  const server = createWebServer({
    tls: () => tls,
    clientRoots: () => [authority.certificate],
    handler,
    onFailure: (failure) => failures.push(failure),
    ...options.web,
  }, { check: 20, ...options.bounds });
  const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const { port } = listener.address as TcpAddress;
  let count = 0;
  const serving = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const connection of listener) {
      const context = count++;
      const served = through(connection)
        .then((each) => server.serve(each, connection.remote as TcpAddress, context))
        .finally(() => serving.delete(served));
      serving.add(served);
    }
  })();
  return {
    port,
    origin: `https://localhost:${port}`,
    authority,
    failures,
    get open() {
      return serving.size;
    },
    close: (grace) => server.close(grace),
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await server.close(0);
      await Promise.all(serving);
    },
  };
}
