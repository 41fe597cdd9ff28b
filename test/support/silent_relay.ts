/** A TCP relay that can fall silent while its connections stay open: what a lost network path looks like. */
import { close, tcpServer, type TestServer } from "./tcp.ts";

export interface SilentRelay extends TestServer {
  /** Connections that are open now pass nothing more, either way, and are never closed. New ones neither. */
  fallSilent(): void;
  /** New connections pass again; the silent ones stay silent. */
  recover(): void;
}

/** Relays to 127.0.0.1:`port`. */
export function silentRelay(port: number): SilentRelay {
  /** One per relayed connection. */
  const paths = new Set<{ silent: boolean; end: () => void }>();
  let silent = false;

  const server = tcpServer(async (near) => {
    const over = Promise.withResolvers<void>();
    const path = { silent, end: over.resolve };
    paths.add(path);
    const far = await Deno.connect({ hostname: "127.0.0.1", port });
    // A broken way ends the path at once; two ends of stream end it, too. A silent path never ends by itself.
    const ways = Promise.all([pass(near, far, path), pass(far, near, path)]).then(() => {}, () => {});
    ways.then(() => path.silent || path.end());
    await over.promise;
    paths.delete(path);
    close(far);
    close(near);
    await ways;
  });

  return {
    port: server.port,
    get accepted() {
      return server.accepted;
    },
    fallSilent() {
      silent = true;
      for (const path of paths) path.silent = true;
    },
    recover() {
      silent = false;
    },
    async [Symbol.asyncDispose]() {
      for (const path of paths) path.end();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function pass(from: Deno.TcpConn, to: Deno.TcpConn, path: { silent: boolean }): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let count; (count = await from.read(buffer)) !== null;) {
    // What arrives on a silent path is swallowed, as a dead network swallows it.
    if (path.silent) continue;
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
  if (!path.silent) await to.closeWrite();
}
