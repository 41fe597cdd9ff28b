/** Small TCP servers to forward to, and ports nobody uses. */
import { createHash } from "node:crypto";
import { PATIENCE, waitUntil } from "./wait.ts";

/** A server on 127.0.0.1 that a test started. */
export interface TestServer extends AsyncDisposable {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
}

/**
 * A port on 127.0.0.1 that was free a moment ago, for programs that cannot be given port 0. It lies below the range that the
 * system takes ports of outgoing connections from, so only another such program can snatch it.
 */
export function freePort(): number {
  for (;;) {
    const port = 15_100 + Math.floor(Math.random() * 15_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** Listens on a free port and runs `serve` for each connection, which is closed afterwards. */
export function tcpServer(serve: (connection: Deno.TcpConn) => Promise<void>): TestServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const ends: Promise<void>[] = [];
  let accepted = 0;
  let ended: Promise<void> | undefined;
  async function one(connection: Deno.TcpConn): Promise<void> {
    open.add(connection);
    try {
      await serve(connection);
    } catch {
      // The peer broke off, or the test is over.
    } finally {
      open.delete(connection);
      close(connection);
    }
  }
  const accepting = (async () => {
    for await (const connection of listener) {
      accepted++;
      ends.push(one(connection));
    }
  })();
  async function end(): Promise<void> {
    listener.close();
    await accepting;
    for (const connection of open) close(connection);
    await Promise.all(ends);
  }
  return {
    port: (listener.addr as Deno.NetAddr).port,
    get accepted() {
      return accepted;
    },
    [Symbol.asyncDispose]: () => ended ??= end(),
  };
}

/** Closes a connection, also one that is closed already. */
export function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Sends back what it gets; ends its side when the peer has ended its own. */
export function echoServer(): TestServer {
  return tcpServer(async (connection) => {
    const buffer = new Uint8Array(64 * 1024);
    for (let count; (count = await connection.read(buffer)) !== null;) {
      await writeAll(connection, buffer.subarray(0, count));
    }
    await connection.closeWrite();
  });
}

/** Takes everything, then answers with the SHA-256 of it in hexadecimal. */
export function sinkServer(): TestServer {
  return tcpServer(async (connection) => {
    const hash = createHash("sha256");
    const buffer = new Uint8Array(256 * 1024);
    for (let count; (count = await connection.read(buffer)) !== null;) hash.update(buffer.subarray(0, count));
    await writeAll(connection, new TextEncoder().encode(hash.digest("hex")));
    await connection.closeWrite();
  });
}

/** Sends `size` bytes of {@link pattern}, then ends its side and waits for the peer's end. */
export function sourceServer(size: number): TestServer {
  return tcpServer(async (connection) => {
    for (const chunk of pattern(size)) await writeAll(connection, chunk);
    await connection.closeWrite();
    await connection.read(new Uint8Array(1));
  });
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** `size` bytes in chunks of up to 1 MiB: the same each time, without a period that a lost or doubled block could hide in. */
export function* pattern(size: number): Generator<Uint8Array<ArrayBuffer>> {
  let state = 0x2545f491;
  for (let left = size; left > 0;) {
    const words = new Uint32Array(256 * 1024);
    for (let i = 0; i < words.length; i++) {
      // xorshift32
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    const chunk = new Uint8Array(words.buffer, 0, Math.min(left, words.byteLength));
    yield chunk;
    left -= chunk.length;
  }
}

/** SHA-256, in hexadecimal, of {@link pattern} of that size. */
export function patternHash(size: number): string {
  const hash = createHash("sha256");
  for (const chunk of pattern(size)) hash.update(chunk);
  return hash.digest("hex");
}

/** SHA-256 of bytes in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Writes {@link pattern} to a file. */
export function writePattern(path: string, size: number): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  for (const chunk of pattern(size)) {
    for (let at = 0; at < chunk.length;) at += file.writeSync(chunk.subarray(at));
  }
}

/** SHA-256 of a file in hexadecimal. */
export function fileHash(path: string): string {
  using file = Deno.openSync(path);
  const hash = createHash("sha256");
  const buffer = new Uint8Array(1024 * 1024);
  for (let count; (count = file.readSync(buffer)) !== null;) hash.update(buffer.subarray(0, count));
  return hash.digest("hex");
}

/** Sends {@link pattern} to a {@link sinkServer} at `port` and resolves to the hash that comes back. */
export async function sendPattern(port: number, size: number): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  for (const chunk of pattern(size)) await writeAll(connection, chunk);
  await connection.closeWrite();
  return await new Response(connection.readable).text();
}

/** Reads a {@link sourceServer} at `port` to its end and resolves to the hash of what came. */
export async function receiveHash(port: number): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const hash = createHash("sha256");
  const buffer = new Uint8Array(256 * 1024);
  for (let count; (count = await connection.read(buffer)) !== null;) hash.update(buffer.subarray(0, count));
  return hash.digest("hex");
}

/** Sends `bytes` to 127.0.0.1:`port`, ends the outgoing side, and resolves to all that comes back. */
export async function exchange(port: number, bytes: Uint8Array): Promise<Uint8Array> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await writeAll(connection, bytes);
  await connection.closeWrite();
  return new Uint8Array(await new Response(connection.readable).arrayBuffer());
}

/**
 * As {@link exchange}, with a port behind which a forward to a server that answers is about to come up: some clients refuse
 * connections for a moment after they have asked for them.
 */
export async function exchangeSoon(port: number, bytes: Uint8Array, within = PATIENCE): Promise<Uint8Array> {
  await waitUntil(`an answer on port ${port}`, async () => {
    try {
      return (await exchange(port, new Uint8Array())).length > 0;
    } catch (error) {
      const { ConnectionRefused, ConnectionReset } = Deno.errors;
      if (!(error instanceof ConnectionRefused || error instanceof ConnectionReset)) throw error;
    }
  }, within);
  return await exchange(port, bytes);
}
