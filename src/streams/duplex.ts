/**
 * The one shape every hop has: bytes both ways, each way ended on its own.
 *
 * Public signatures take and give {@link Duplex}, which is two web streams. What moves bulk data (a TCP connection, an
 * SSH channel) is also a {@link PlainDuplex}, whose `read` and `write` work on a caller's buffer: one copy less and no
 * chunk objects. {@link plain} gives that view of any Duplex.
 */
import { type Bytes, EMPTY } from "../bytes/bytes.ts";

/** Bytes in both directions, with half-close: closing `writable` leaves `readable` open. */
export interface Duplex {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Bytes>;
}

/** A Duplex with buffer-oriented reads and writes. Use either these or the streams, not both. */
export interface PlainDuplex extends Duplex {
  /**
   * Fills the start of `into` with what has arrived, waiting for at least one byte.
   * Resolves to the count, or to `null` at the peer's end of stream. Rejects when the connection broke.
   * One read at a time; `into` belongs to the callee until it settles.
   */
  read(into: Bytes): Promise<number | null>;
  /**
   * Writes all of `from`. Resolves when the caller may use the buffer again and more is welcome: this is the
   * back-pressure. Rejects when the connection broke. One write at a time.
   */
  write(from: Bytes): Promise<void>;
  /** Ends the outgoing direction; what was written before still arrives. Idempotent. */
  closeWrite(): Promise<void>;
  /** Ends both directions at once and frees everything. Pending reads and writes settle. Idempotent. */
  close(reason?: unknown): void;
  /**
   * Resolves when the other end takes nothing any more; what came from it can still be read. Where this is missing,
   * only a write finds out.
   */
  readonly closed?: Promise<unknown>;
}

/** Builds the two web streams over a subclass's `read` and `write`, when somebody first asks for them. */
export abstract class PlainDuplexBase implements PlainDuplex {
  #readable?: ReadableStream<Bytes>;
  #writable?: WritableStream<Bytes>;

  abstract read(into: Bytes): Promise<number | null>;
  abstract write(from: Bytes): Promise<void>;
  abstract closeWrite(): Promise<void>;
  abstract close(reason?: unknown): void;

  get readable(): ReadableStream<Bytes> {
    return this.#readable ??= readableOver(this);
  }

  get writable(): WritableStream<Bytes> {
    return this.#writable ??= writableOver(this);
  }
}

/** Bytes that one pull of a web stream asks for. */
const PULL_SIZE = 32 * 1024;

function readableOver(duplex: PlainDuplex): ReadableStream<Bytes> {
  return new ReadableStream<Bytes>({
    async pull(controller) {
      const buffer = new Uint8Array(PULL_SIZE);
      const count = await duplex.read(buffer);
      if (count === null) controller.close();
      else controller.enqueue(buffer.subarray(0, count));
    },
    cancel: (reason) => duplex.close(reason),
  }, { highWaterMark: 0 });
}

function writableOver(duplex: PlainDuplex): WritableStream<Bytes> {
  return new WritableStream<Bytes>({
    write: (chunk) => duplex.write(chunk),
    close: () => duplex.closeWrite(),
    abort: (reason) => duplex.close(reason),
  });
}

/** `duplex` itself when it is plain already, else a plain view that holds its streams locked. */
export function plain(duplex: Duplex): PlainDuplex {
  return isPlain(duplex) ? duplex : new StreamsAsPlain(duplex);
}

function isPlain(duplex: Duplex): duplex is PlainDuplex {
  return typeof (duplex as Partial<PlainDuplex>).read === "function";
}

class StreamsAsPlain implements PlainDuplex {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Bytes>;
  readonly #reader: ReadableStreamDefaultReader<Bytes>;
  readonly #writer: WritableStreamDefaultWriter<Bytes>;
  #left = EMPTY;
  #writeClosed?: Promise<void>;

  constructor(duplex: Duplex) {
    this.readable = duplex.readable;
    this.writable = duplex.writable;
    this.#reader = duplex.readable.getReader();
    this.#writer = duplex.writable.getWriter();
    // A failure reaches the caller by the next read or write; nobody awaits these two.
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
  }

  async read(into: Bytes): Promise<number | null> {
    while (this.#left.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#left = value;
    }
    const count = Math.min(into.length, this.#left.length);
    into.set(this.#left.subarray(0, count));
    this.#left = this.#left.subarray(count);
    return count;
  }

  async write(from: Bytes): Promise<void> {
    // A stream's sink may keep the chunk; the caller's buffer is only lent.
    await this.#writer.write(from.slice());
  }

  closeWrite(): Promise<void> {
    return this.#writeClosed ??= this.#writer.close();
  }

  close(reason?: unknown): void {
    this.#reader.cancel(reason).catch(() => {});
    this.#writer.abort(reason).catch(() => {});
  }
}
