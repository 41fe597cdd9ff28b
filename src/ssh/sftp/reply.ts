/** Replies of draft-ietf-secsh-filexfer-02 §7, both ways. */
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import type { Writer } from "../../bytes/writer.ts";
import { type Attributes, readAttributes, writeAttributes } from "./attributes.ts";
import { LENGTH_FIELD, packet, putLength } from "./packet.ts";
import { PacketType, SFTP_VERSION } from "./protocol.ts";

/** One file in a NAME reply. */
export interface NameEntry {
  readonly name: string;
  /** As `ls -l` writes it; for people only. */
  readonly longName: string;
  readonly attributes: Attributes;
}

/** SSH_FXP_VERSION with extension pairs. */
export function versionPacket(extensions: Iterable<readonly [name: string, version: string]>): Bytes {
  return packet(PacketType.version, 512, (writer) => {
    writer.uint32(SFTP_VERSION);
    for (const [name, version] of extensions) writer.string(name).string(version);
  });
}

/** SSH_FXP_INIT. */
export function initPacket(): Bytes {
  return packet(PacketType.init, 16, (writer) => writer.uint32(SFTP_VERSION));
}

/** Reads INIT or VERSION after the type. @throws {MalformedError} */
export function readVersion(reader: Reader): { version: number; extensions: Map<string, string> } {
  const version = reader.uint32();
  const extensions = new Map<string, string>();
  while (reader.remaining > 0) extensions.set(reader.text(), reader.text());
  return { version, extensions };
}

/** SSH_FXP_STATUS, without a language tag. @param status one of `Status` */
export function statusReply(id: number, status: number, message: string): Bytes {
  return packet(
    PacketType.status,
    64,
    (writer) => writer.uint32(id).uint32(status).string(message).string(""),
  );
}

/** SSH_FXP_HANDLE. */
export function handleReply(id: number, handle: Bytes): Bytes {
  return packet(PacketType.handle, 32, (writer) => writer.uint32(id).string(handle));
}

/** SSH_FXP_ATTRS. */
export function attributesReply(id: number, attributes: Attributes): Bytes {
  return packet(PacketType.attributes, 64, (writer) => writeAttributes(writer.uint32(id), attributes));
}

/** SSH_FXP_NAME. */
export function nameReply(id: number, entries: readonly NameEntry[]): Bytes {
  return packet(PacketType.name, 128 * entries.length + 16, (writer) => {
    writer.uint32(id).uint32(entries.length);
    for (const { name, longName, attributes } of entries) {
      writeAttributes(writer.string(name).string(longName), attributes);
    }
  });
}

/** SSH_FXP_EXTENDED_REPLY with what `content` writes. */
export function extendedReply(id: number, content: (writer: Writer) => void): Bytes {
  return packet(PacketType.extendedReply, 128, (writer) => content(writer.uint32(id)));
}

/** Where the data begins in a DATA packet: length, type, id, data length. */
export const DATA_OFFSET = LENGTH_FIELD + 1 + 4 + 4;

/** Makes a DATA reply of a buffer whose data, `length` bytes, lies at {@link DATA_OFFSET} already: no copy. */
export function dataReply(id: number, buffer: Bytes, length: number): Bytes {
  const reply = buffer.subarray(0, DATA_OFFSET + length);
  const view = new DataView(reply.buffer, reply.byteOffset);
  view.setUint8(LENGTH_FIELD, PacketType.data);
  view.setUint32(LENGTH_FIELD + 1, id);
  view.setUint32(LENGTH_FIELD + 5, length);
  putLength(reply);
  return reply;
}

/** A reply as a client reads it. */
export type Reply =
  | { readonly type: "status"; readonly status: number; readonly message: string }
  | { readonly type: "handle"; readonly handle: Bytes }
  | { readonly type: "data"; readonly data: Bytes }
  | { readonly type: "name"; readonly entries: readonly NameEntry[] }
  | { readonly type: "attributes"; readonly attributes: Attributes }
  | { readonly type: "extended"; readonly content: Bytes };

/** Bytes that an entry of a NAME reply takes at least: two lengths and the flags. */
const MIN_ENTRY = 12;

const DECODERS: Readonly<Record<number, (reader: Reader) => Reply>> = {
  [PacketType.status]: (reader) => {
    const status = reader.uint32();
    // Servers of version 2 and below, and some that say 3, send neither message nor language.
    return { type: "status", status, message: reader.remaining > 0 ? reader.text() : "" };
  },
  [PacketType.handle]: (reader) => ({ type: "handle", handle: reader.string() }),
  [PacketType.data]: (reader) => ({ type: "data", data: reader.string() }),
  [PacketType.name]: (reader) => {
    const count = reader.uint32();
    if (count > reader.remaining / MIN_ENTRY) throw new MalformedError(`${count} names do not fit`);
    const entries = Array.from({ length: count }, () => ({
      name: reader.text(),
      longName: reader.text(),
      attributes: readAttributes(reader),
    }));
    return { type: "name", entries };
  },
  [PacketType.attributes]: (reader) => ({ type: "attributes", attributes: readAttributes(reader) }),
  [PacketType.extendedReply]: (reader) => ({ type: "extended", content: reader.rest() }),
};

/**
 * Reads a reply packet (without its length). Byte fields are views of it.
 * @throws {MalformedError}
 */
export function decodeReply(body: Bytes): { id: number; reply: Reply } {
  const reader = new Reader(body);
  const type = reader.byte();
  const decode = DECODERS[type];
  if (!decode) throw new MalformedError(`packet type ${type} is no reply`);
  const id = reader.uint32();
  return { id, reply: decode(reader) };
}

/** `uint32` after `uint32`, as users-groups-by-id packs ids. A rest shorter than four bytes is left. */
export function unpackIds(packed: Bytes): number[] {
  const reader = new Reader(packed);
  return Array.from({ length: Math.floor(packed.length / 4) }, () => reader.uint32());
}

/** `string` after `string`, as users-groups-by-id packs names. */
export function unpackNames(packed: Bytes): string[] {
  const reader = new Reader(packed);
  const names: string[] = [];
  while (reader.remaining > 0) names.push(reader.text());
  return names;
}
