/** Reads as much of DER (X.690) as an encrypted PKCS#8 file needs. */
import type { Bytes } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";

/** Tags of the elements that such a file has (X.690 §8.1.2). */
export const Tag = { INTEGER: 0x02, OCTET_STRING: 0x04, OID: 0x06, SEQUENCE: 0x30 } as const;

/** A cursor over the elements of one constructed value. Every method throws {@link MalformedError}. */
export class DerReader {
  readonly #bytes: Bytes;
  #offset = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** Whether the next element has `tag`. */
  next(tag: number): boolean {
    return this.#bytes[this.#offset] === tag;
  }

  /** The content of the next element, which must have `tag`: a view. */
  take(tag: number): Bytes {
    const reader = new Reader(this.#bytes, this.#offset);
    if (reader.byte() !== tag) throw new MalformedError("not the DER element that belongs here");
    let length = reader.byte();
    if (length > 0x82) throw new MalformedError("DER element too long");
    if (length === 0x82) length = reader.uint16();
    else if (length === 0x81) length = reader.byte();
    else if (length === 0x80) throw new MalformedError("indefinite length");
    const content = reader.bytes(length);
    this.#offset = reader.offset;
    return content;
  }

  sequence(): DerReader {
    return new DerReader(this.take(Tag.SEQUENCE));
  }

  /** An object identifier as the hexadecimal of its content. */
  oid(): string {
    return encodeHex(this.take(Tag.OID));
  }

  /** A non-negative integer below 2³¹. */
  smallInteger(): number {
    const content = this.take(Tag.INTEGER);
    if (content.length === 0 || content.length > 4 || content[0] & 0x80) {
      throw new MalformedError("integer out of range");
    }
    return content.reduce((value, byte) => value * 256 + byte, 0);
  }
}
