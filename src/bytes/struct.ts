/** Structs as SSH lays them out: named fields, one after the other, each of a data type of RFC 4251 §5. */
import type { Bytes } from "./bytes.ts";
import { MalformedError, Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

/** How one value is read and written. */
export interface Field<T> {
  /** @throws {MalformedError} */
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

export const boolean: Field<boolean> = { read: (r) => r.boolean(), write: (w, v) => w.boolean(v) };
export const uint32: Field<number> = { read: (r) => r.uint32(), write: (w, v) => w.uint32(v) };
/** A `string` of bytes: reads a view. */
export const string: Field<Bytes> = { read: (r) => r.string(), write: (w, v) => w.string(v) };
/** A `string` that decisions are made on: malformed unless UTF-8. */
export const utf8: Field<string> = { read: (r) => r.utf8(), write: (w, v) => w.string(v) };
/** A `string` for people, or a name that is compared with ours: anything goes. */
export const text: Field<string> = { read: (r) => r.text(), write: (w, v) => w.string(v) };
export const nameList: Field<readonly string[]> = {
  read: (r) => r.nameList(),
  write: (w, v) => w.nameList(v),
};
/** All that is left: reads a view. */
export const rest: Field<Bytes> = { read: (r) => r.rest(), write: (w, v) => w.bytes(v) };

/** `uint32 count`, then so many items. Nothing is allocated ahead: a false count runs into the end of the bytes. */
export function counted<T>(item: Field<T>): Field<readonly T[]> {
  return {
    read(reader) {
      const items: T[] = [];
      for (let left = reader.uint32(); left > 0; left--) items.push(item.read(reader));
      return items;
    },
    write(writer, items) {
      writer.uint32(items.length);
      for (const one of items) item.write(writer, one);
    },
  };
}

/**
 * Items up to the end of the bytes.
 * @param most more of them are malformed
 */
export function sequence<T>(item: Field<T>, most: number): Field<readonly T[]> {
  return {
    read(reader) {
      const items: T[] = [];
      while (reader.remaining > 0) {
        if (items.length >= most) throw new MalformedError(`more than ${most} items`);
        items.push(item.read(reader));
      }
      return items;
    },
    write(writer, items) {
      for (const one of items) item.write(writer, one);
    },
  };
}

/** Fields by name, in the order of the wire. */
// deno-lint-ignore no-explicit-any -- the type of each field is inferred by `Values`
export type Fields = Readonly<Record<string, Field<any>>>;

/** What fields hold. */
export type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** Several fields as one. */
export function struct<F extends Fields>(fields: F): Field<Values<F>> {
  const entries = Object.entries(fields);
  return {
    read(reader) {
      const values: Record<string, unknown> = {};
      for (const [name, field] of entries) values[name] = field.read(reader);
      return values as Values<F>;
    },
    write(writer, values) {
      for (const [name, field] of entries) field.write(writer, values[name]);
    },
  };
}

/** How the whole of some bytes is written and read. */
export interface Codec<T> {
  encode(value: T): Bytes;
  /** @throws {MalformedError} also when bytes are left over */
  decode(bytes: Bytes): T;
}

/**
 * A field that is alone.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { codec, struct, uint32, utf8 } from "./struct.ts";
 * const hostPort = codec(struct({ host: utf8, port: uint32 }));
 * const bytes = hostPort.encode({ host: "web", port: 22 }); // 00000003 776562 00000016
 * assert.equal(hostPort.decode(bytes).port, 22);
 * ```
 */
export function codec<T>(field: Field<T>): Codec<T> {
  return {
    encode(value) {
      const writer = new Writer();
      field.write(writer, value);
      return writer.finish();
    },
    decode(bytes) {
      const reader = new Reader(bytes);
      const value = field.read(reader);
      reader.end();
      return value;
    },
  };
}
