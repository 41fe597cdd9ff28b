/** Writes the SSH data types of RFC 4251 §5. */
import { type Bytes, encodeText } from "./bytes.ts";

/** Appends values to a buffer that grows. Every method returns the writer itself. */
export class Writer {
  #bytes: Bytes;
  #view: DataView;
  #length = 0;

  /** @param capacity bytes to reserve at first */
  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  #reserve(length: number): number {
    const at = this.#length;
    const needed = at + length;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = needed;
    return at;
  }

  byte(value: number): this {
    // First the room: it may be a new buffer.
    const at = this.#reserve(1);
    this.#bytes[at] = value;
    return this;
  }

  boolean(value: boolean): this {
    return this.byte(value ? 1 : 0);
  }

  uint16(value: number): this {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
    return this;
  }

  uint32(value: number): this {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
    return this;
  }

  uint64(value: bigint): this {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  /** `bytes` as they are, without a length. */
  bytes(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** A `string`: length, then content; text as UTF-8. */
  string(value: Uint8Array | string): this {
    const bytes = typeof value === "string" ? encodeText(value) : value;
    return this.uint32(bytes.length).bytes(bytes);
  }

  /** A non-negative `mpint` from big-endian bytes; leading zeros are dropped, one is put before a high bit. */
  mpint(magnitude: Uint8Array): this {
    let start = 0;
    while (start < magnitude.length && magnitude[start] === 0) start++;
    const digits = magnitude.subarray(start);
    if (digits.length > 0 && digits[0] & 0x80) return this.uint32(digits.length + 1).byte(0).bytes(digits);
    return this.string(digits);
  }

  nameList(names: readonly string[]): this {
    return this.string(names.join(","));
  }

  /** What was written: a view, valid until the writer is used again. */
  finish(): Bytes {
    return this.#bytes.subarray(0, this.#length);
  }
}
