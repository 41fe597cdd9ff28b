/** Connections as Node's servers want them. */
import { Duplex } from "node:stream";
import type { PlainDuplex } from "../streams/duplex.ts";

/** Bytes of one read: a TLS record with its head and tag fits. */
const READ_SIZE = 17 * 1024;

/**
 * A {@link PlainDuplex} as a `stream.Duplex`, which owns it: destroying one closes the other. What Node's servers call on
 * sockets beside that does nothing: timeouts are theirs who accepted the connection, and so is what TCP does below.
 */
export class NodeDuplex extends Duplex {
  readonly #connection: PlainDuplex;

  constructor(connection: PlainDuplex) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
  }

  override _read(): void {
    const buffer = new Uint8Array(READ_SIZE);
    this.#connection.read(buffer).then(
      (count) => this.push(count === null ? null : buffer.subarray(0, count)),
      (error) => this.destroy(error),
    );
  }

  override _write(chunk: Uint8Array<ArrayBuffer>, _encoding: string, done: (error?: Error) => void): void {
    this.#connection.write(chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#connection.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#connection.close(error ?? undefined);
    done(error);
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
