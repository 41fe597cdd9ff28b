/**
 * Every request of SFTP version 3 and of the extensions spoken here, as one table: a row names the fields in wire
 * order, and from it come the type {@link Request}, its encoder and its decoder.
 */
import { type Bytes, decodeTextStrictly } from "../../bytes/bytes.ts";
import type { Reader } from "../../bytes/reader.ts";
import { type Field, string, struct, uint32, type Values } from "../../bytes/struct.ts";
import { FilesError } from "../../platform/files.ts";
import { type Attributes, readAttributes, writeAttributes } from "./attributes.ts";
import { packet } from "./packet.ts";
import { PacketType } from "./protocol.ts";

/** Exact up to 2^53; what is larger no file reaches, and the file system refuses it. */
const uint64: Field<number> = {
  read: (reader) => Number(reader.uint64()),
  write: (writer, value) => writer.uint64(BigInt(value)),
};

/**
 * A path or name. The draft says nothing of its encoding; everyone uses UTF-8. What isn't, or holds a NUL, cannot name
 * a file here: that is the request's failure and not the session's.
 */
const path: Field<string> = {
  read(reader) {
    const bytes = reader.string();
    try {
      const text = decodeTextStrictly(bytes);
      if (!text.includes("\0")) return text;
    } catch {
      // As with NUL.
    }
    throw new FilesError("invalid", "a name that is not UTF-8 text");
  },
  write: (writer, value) => writer.string(value),
};

const attributes: Field<Attributes> = { read: readAttributes, write: writeAttributes };

const handle = string;

/** Draft §6; the numbers are those of §3. */
const PLAIN = {
  open: { number: 3, fields: { path, flags: uint32, attributes } },
  close: { number: 4, fields: { handle } },
  read: { number: 5, fields: { handle, offset: uint64, length: uint32 } },
  write: { number: 6, fields: { handle, offset: uint64, data: string } },
  lstat: { number: 7, fields: { path } },
  fstat: { number: 8, fields: { handle } },
  setstat: { number: 9, fields: { path, attributes } },
  fsetstat: { number: 10, fields: { handle, attributes } },
  opendir: { number: 11, fields: { path } },
  readdir: { number: 12, fields: { handle } },
  remove: { number: 13, fields: { path } },
  mkdir: { number: 14, fields: { path, attributes } },
  rmdir: { number: 15, fields: { path } },
  realpath: { number: 16, fields: { path } },
  stat: { number: 17, fields: { path } },
  rename: { number: 18, fields: { from: path, to: path } },
  readlink: { number: 19, fields: { path } },
  // The draft has linkpath first. OpenSSH has had them the other way round since it exists, and all follow it.
  symlink: { number: 20, fields: { target: path, path } },
} as const;

/** OpenSSH's PROTOCOL file §4, and draft-ietf-secsh-filexfer-extensions-00 for those without a domain. */
const EXTENDED = {
  posixRename: { extension: "posix-rename@openssh.com", version: "1", fields: { from: path, to: path } },
  statvfs: { extension: "statvfs@openssh.com", version: "2", fields: { path } },
  fstatvfs: { extension: "fstatvfs@openssh.com", version: "2", fields: { handle } },
  hardlink: { extension: "hardlink@openssh.com", version: "1", fields: { existing: path, path } },
  fsync: { extension: "fsync@openssh.com", version: "1", fields: { handle } },
  lsetstat: { extension: "lsetstat@openssh.com", version: "1", fields: { path, attributes } },
  limits: { extension: "limits@openssh.com", version: "1", fields: {} },
  expandPath: { extension: "expand-path@openssh.com", version: "1", fields: { path } },
  copyData: {
    extension: "copy-data",
    version: "1",
    fields: { from: handle, fromOffset: uint64, length: uint64, to: handle, toOffset: uint64 },
  },
  homeDirectory: { extension: "home-directory", version: "1", fields: { user: path } },
  // Each `string` holds uint32 after uint32.
  namesById: {
    extension: "users-groups-by-id@openssh.com",
    version: "1",
    fields: { users: string, groups: string },
  },
} as const;

type Rows = typeof PLAIN & typeof EXTENDED;

/** A request by its name in the tables above, with its fields. */
export type Request = { [K in keyof Rows]: { readonly type: K } & Values<Rows[K]["fields"]> }[keyof Rows];

/** One kind of request. */
export type RequestOf<K extends Request["type"]> = Extract<Request, { type: K }>;

/** The extensions: name on the wire and version, by request type. */
export const EXTENSIONS: Readonly<Record<keyof typeof EXTENDED, { extension: string; version: string }>> =
  EXTENDED;

/** One kind of request on the wire. */
interface Row {
  readonly type: string;
  /** Type of the packet. */
  readonly number: number;
  /** Name of the extension, which stands before the fields. */
  readonly extension?: string;
  readonly body: Field<object>;
}

const rows: readonly Row[] = [
  ...Object.entries(PLAIN).map(([type, { number, fields }]) => ({ type, number, body: struct(fields) })),
  ...Object.entries(EXTENDED).map(([type, { extension, fields }]) => (
    { type, number: PacketType.extended, extension, body: struct(fields) }
  )),
];

const byType = new Map(rows.map((row) => [row.type, row]));
const byName = new Map(rows.map((row) => [row.extension ?? row.number, row]));

/**
 * Reads a request after its type and id. Byte fields are views of the packet. What follows the last field is ignored,
 * as OpenSSH does.
 * @param type the packet's type
 * @returns undefined when type or extension is not known
 * @throws {MalformedError} when the packet is shorter than its fields say
 * @throws {FilesError} `invalid` when a name in it cannot be one
 */
export function decodeRequest(type: number, reader: Reader): Request | undefined {
  const row = byName.get(type === PacketType.extended ? reader.text() : type);
  return row && { type: row.type, ...row.body.read(reader) } as Request;
}

/** A whole packet with its length. */
export function encodeRequest(id: number, request: Request): Bytes {
  const { number, extension, body } = byType.get(request.type)!;
  const capacity = request.type === "write" ? request.data.length + 64 : 256;
  return packet(number, capacity, (writer) => {
    writer.uint32(id);
    if (extension) writer.string(extension);
    body.write(writer, request);
  });
}
