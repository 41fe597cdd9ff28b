/** The framing of draft-ietf-secsh-filexfer-02 §3: uint32 length, byte type, content. */
import type { Bytes } from "../../bytes/bytes.ts";
import { BufferPool } from "../../bytes/pool.ts";
import { Writer } from "../../bytes/writer.ts";
import type { PlainDuplex } from "../../streams/duplex.ts";
import { SshError } from "../error.ts";
import { MAX_PACKET } from "./protocol.ts";

/** Bytes of the length field. */
export const LENGTH_FIELD = 4;

/** Builds one packet. @param capacity bytes to reserve at first */
export function packet(type: number, capacity: number, content: (writer: Writer) => void): Bytes {
  const writer = new Writer(capacity).uint32(0).byte(type);
  content(writer);
  const bytes = writer.finish();
  putLength(bytes);
  return bytes;
}

/** Sets the length field of a packet that is otherwise complete. */
export function putLength(bytes: Bytes): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, bytes.length - LENGTH_FIELD);
}

/** Size of a pooled buffer: the largest packet with its length. */
const POOLED_SIZE = LENGTH_FIELD + MAX_PACKET;

/** Packets above this come from the pool; smaller ones would waste most of a buffer. */
const POOLED_ABOVE = POOLED_SIZE / 2;

/**
 * Buffers for the packets that carry file data. One that is given back is used again, so that a transfer neither
 * allocates nor clears memory for each of its packets.
 */
export class PacketPool {
  readonly #buffers: BufferPool;

  /** @param keep buffers held for later, at most */
  constructor(keep: number) {
    this.#buffers = new BufferPool(POOLED_SIZE, keep);
  }

  /** `length` bytes of arbitrary content, up to {@link MAX_PACKET} and its length field. */
  take(length: number): Bytes {
    if (length <= POOLED_ABOVE) return new Uint8Array(length);
    return this.#buffers.take().subarray(0, length);
  }

  /** Gives back the buffer under `view`, if it is one of the pool's. Nobody may use it afterwards. */
  give(view: Bytes): void {
    this.#buffers.give(new Uint8Array(view.buffer));
  }
}

/** Read from the connection at once. Many small requests share a read; data goes past it, see {@link PacketReader}. */
const READ_SIZE = 32 * 1024;

/** Takes packets apart. */
export class PacketReader {
  readonly #duplex: PlainDuplex;
  readonly #pool: PacketPool | undefined;
  readonly #buffer: Bytes = new Uint8Array(READ_SIZE);
  #start = 0;
  #end = 0;

  /** @param pool where buffers for large packets come from; without one each gets its own */
  constructor(duplex: PlainDuplex, pool?: PacketPool) {
    this.#duplex = duplex;
    this.#pool = pool;
  }

  /**
   * The next packet without its length: the caller's own (give it back to the pool when done).
   * @returns null at the end of the stream
   * @throws {SshError} `protocol` when the length is 0 or above {@link MAX_PACKET}, or the stream ends within a packet
   */
  async next(): Promise<Bytes | null> {
    while (this.#end - this.#start < LENGTH_FIELD) {
      if (!await this.#fill()) return null;
    }
    const length = new DataView(this.#buffer.buffer).getUint32(this.#start);
    if (length === 0 || length > MAX_PACKET) {
      throw new SshError("protocol", `SFTP packet of ${length} bytes; 1 to ${MAX_PACKET} are allowed`);
    }
    this.#start += LENGTH_FIELD;
    const body = this.#pool?.take(length) ?? new Uint8Array(length);
    const buffered = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + length));
    body.set(buffered);
    this.#start += buffered.length;
    // What has not arrived yet goes straight to where it will be used.
    for (let have = buffered.length; have < length;) {
      const count = await this.#duplex.read(body.subarray(have));
      if (count === null) throw truncated();
      have += count;
    }
    return body;
  }

  async #fill(): Promise<boolean> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    const count = await this.#duplex.read(this.#buffer.subarray(this.#end));
    if (count !== null) this.#end += count;
    else if (this.#end > 0) throw truncated();
    return count !== null;
  }
}

function truncated(): SshError {
  return new SshError("protocol", "the stream ended within an SFTP packet");
}

/** Sends packets one after the other, each in one write. After a failure every send fails. */
export class PacketWriter {
  readonly #duplex: PlainDuplex;
  #last: Promise<void> = Promise.resolve();

  constructor(duplex: PlainDuplex) {
    this.#duplex = duplex;
  }

  /** Resolves when the packet's buffer may be used again. Callers bound how many they have waiting. */
  send(bytes: Bytes): Promise<void> {
    return this.#last = this.#last.then(() => this.#duplex.write(bytes));
  }
}
