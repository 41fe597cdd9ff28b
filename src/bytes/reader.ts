/** Reads the SSH data types of RFC 4251 §5 from bytes. */
import { type Bytes, decodeText, decodeTextStrictly } from "./bytes.ts";

/** What a {@link Reader} throws when the bytes are not what they should be. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

/**
 * A cursor over `bytes`. Every method takes one value and moves past it; each throws {@link MalformedError} when
 * the value does not fit into what is left, before anything is allocated.
 *
 * Byte arrays that it returns are views of the input: copy what must outlive it.
 */
export class Reader {
  readonly #bytes: Bytes;
  #offset: number;

  constructor(bytes: Bytes, offset = 0) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  /** Bytes already read. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  #take(length: number): number {
    const at = this.#offset;
    if (length > this.#bytes.length - at) {
      throw new MalformedError(`needs ${length} bytes at offset ${at}, has ${this.#bytes.length - at}`);
    }
    this.#offset = at + length;
    return at;
  }

  byte(): number {
    return this.#bytes[this.#take(1)];
  }

  /** Any value other than zero is true (RFC 4251 §5). */
  boolean(): boolean {
    return this.byte() !== 0;
  }

  uint16(): number {
    const at = this.#take(2);
    return this.#bytes[at] << 8 | this.#bytes[at + 1];
  }

  uint32(): number {
    const at = this.#take(4);
    const bytes = this.#bytes;
    return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
  }

  uint64(): bigint {
    const at = this.#take(8);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at).getBigUint64(0);
  }

  /** `length` bytes as they are: a view. */
  bytes(length: number): Bytes {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** A `string`: a view of its content. */
  string(): Bytes {
    return this.bytes(this.uint32());
  }

  /** A `string` as UTF-8 text; malformed sequences become U+FFFD. */
  text(): string {
    return decodeText(this.string());
  }

  /** A `string` that must be UTF-8. */
  utf8(): string {
    const bytes = this.string();
    try {
      return decodeTextStrictly(bytes);
    } catch (cause) {
      throw new MalformedError("text is not UTF-8", { cause });
    }
  }

  /** A non-negative `mpint` as big-endian bytes without leading zeros; zero is empty. Negative ones are malformed. */
  mpint(): Bytes {
    const value = this.string();
    if (value.length === 0) return value;
    if (value[0] & 0x80) throw new MalformedError("negative mpint");
    if (value[0] !== 0) return value;
    if (value.length === 1 || !(value[1] & 0x80)) {
      throw new MalformedError("mpint with needless leading zero");
    }
    return value.subarray(1);
  }

  /** A `name-list`. Empty names are malformed. */
  nameList(): string[] {
    const text = this.text();
    if (text === "") return [];
    const names = text.split(",");
    if (names.includes("")) throw new MalformedError("empty name in name-list");
    return names;
  }

  /** All that is left: a view. */
  rest(): Bytes {
    return this.bytes(this.remaining);
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining !== 0) throw new MalformedError(`${this.remaining} bytes after the end`);
  }
}
