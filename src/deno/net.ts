/** TCP and Unix sockets by Deno: plain reads and writes, no web stream in between. */
import type { Bytes } from "../bytes/bytes.ts";
import {
  type Address,
  formatAddress,
  type Net,
  type NetConnection,
  NetError,
  type NetErrorCode,
  type NetListener,
} from "../platform/net.ts";
import { PlainDuplexBase } from "../streams/duplex.ts";
import { turnAfter } from "./fair_turn.ts";

class DenoConnection extends PlainDuplexBase implements NetConnection {
  readonly local: Address;
  readonly remote: Address;
  readonly #conn: Deno.Conn;
  #closed?: { reason: unknown };
  #writeClosed?: Promise<void>;

  constructor(conn: Deno.Conn) {
    super();
    this.#conn = conn;
    this.local = toAddress(conn.localAddr);
    this.remote = toAddress(conn.remoteAddr);
    if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
  }

  async read(into: Bytes): Promise<number | null> {
    try {
      const began = performance.now();
      const count = await this.#conn.read(into);
      const turn = turnAfter(began);
      if (turn) await turn;
      return count;
    } catch (error) {
      throw this.#closed ? this.#closed.reason : toNetError(error, "read from", this.remote);
    }
  }

  async write(from: Bytes): Promise<void> {
    try {
      for (let at = 0; at < from.length;) at += await this.#conn.write(at === 0 ? from : from.subarray(at));
    } catch (error) {
      throw this.#closed ? this.#closed.reason : toNetError(error, "write to", this.remote);
    }
  }

  closeWrite(): Promise<void> {
    return this.#writeClosed ??= this.#conn.closeWrite().catch(() => {
      // The peer has gone: there is no direction left to end.
    });
  }

  close(reason?: unknown): void {
    if (this.#closed) return;
    this.#closed = { reason: reason ?? new NetError("failed", "the connection was closed") };
    this.#conn.close();
  }
}

class DenoListener implements NetListener {
  readonly address: Address;
  readonly #listener: Deno.Listener;
  readonly #onClose: () => void;
  #closed = false;

  constructor(listener: Deno.Listener, onClose: () => void) {
    this.#listener = listener;
    this.address = toAddress(listener.addr);
    this.#onClose = onClose;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<NetConnection> {
    while (!this.#closed) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (this.#closed || error instanceof Deno.errors.BadResource) return;
        // Out of file descriptors, or the peer has already gone: the next one may do better, a moment later.
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      let connection: NetConnection;
      try {
        connection = new DenoConnection(conn);
      } catch {
        conn.close();
        continue;
      }
      yield connection;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    this.#onClose();
  }
}

/** The system's network. */
export const denoNet: Net = {
  async dial(address, { signal } = {}) {
    signal?.throwIfAborted();
    try {
      const conn = address.transport === "tcp"
        ? await Deno.connect({ hostname: address.hostname, port: address.port, signal })
        : await Deno.connect({ transport: "unix", path: address.path });
      return new DenoConnection(conn);
    } catch (error) {
      signal?.throwIfAborted();
      throw toNetError(error, "dial", address);
    }
  },

  async listen(address) {
    try {
      if (address.transport === "tcp") {
        const { hostname, port } = address;
        return new DenoListener(Deno.listen({ hostname, port }), () => {});
      }
      const listener = Deno.listen({ transport: "unix", path: address.path });
      await Deno.chmod(address.path, 0o600);
      return new DenoListener(listener, () => {
        try {
          Deno.removeSync(address.path);
        } catch {
          // Somebody else has removed it.
        }
      });
    } catch (error) {
      throw toNetError(error, "listen on", address);
    }
  },

  async resolve(hostname) {
    if (/^[\d.]+$/.test(hostname) || hostname.includes(":")) return [hostname];
    const { lookup } = await import("node:dns/promises");
    try {
      return (await lookup(hostname, { all: true })).map((found) => found.address);
    } catch (cause) {
      throw new NetError("not-found", `no address is known for ${hostname}`, { cause });
    }
  },
};

function toAddress(addr: Deno.Addr): Address {
  if (addr.transport === "tcp") return { transport: "tcp", hostname: addr.hostname, port: addr.port };
  return { transport: "unix", path: (addr as Deno.UnixAddr).path ?? "" };
}

const codes: [new (message: string) => Error, NetErrorCode, string][] = [
  [Deno.errors.ConnectionRefused, "refused", "nothing listens there"],
  [Deno.errors.AddrInUse, "in-use", "the address is already in use"],
  [Deno.errors.PermissionDenied, "denied", "the system does not permit it"],
  [Deno.errors.NotCapable, "denied", "Deno was not given the permission (--allow-net)"],
  [Deno.errors.NotFound, "not-found", "it does not exist"],
  [Deno.errors.TimedOut, "timeout", "no answer in time"],
  [Deno.errors.AddrNotAvailable, "unreachable", "the address is not this machine's"],
];

function toNetError(error: unknown, what: string, address: Address): NetError {
  const [, code, why] = codes.find(([type]) => error instanceof type) ?? [, guess(error), String(error)];
  return new NetError(code as NetErrorCode, `cannot ${what} ${formatAddress(address)}: ${why}`, {
    cause: error,
  });
}

/** Deno has no error class of its own for these. */
function guess(error: unknown): NetErrorCode {
  const text = String(error);
  if (/failed to lookup|nodename nor servname|Name or service/i.test(text)) return "not-found";
  return /unreachable|os error 10[13]/i.test(text) ? "unreachable" : "failed";
}
