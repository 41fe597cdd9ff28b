/** ATTRS of draft-ietf-secsh-filexfer-02 §5. */
import type { Reader } from "../../bytes/reader.ts";
import type { Writer } from "../../bytes/writer.ts";
import type { FileChange, FileStat } from "../../platform/files.ts";

/** Attributes of a file; each group may be absent. */
export interface Attributes {
  /** Bytes. Exact up to 2^53. */
  readonly size?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** `st_mode`: type and permission bits. */
  readonly mode?: number;
  /** Whole seconds since 1970, 32 bits. */
  readonly times?: { readonly accessed: number; readonly modified: number };
}

const SIZE = 0x01;
const OWNER = 0x02;
const MODE = 0x04;
const TIMES = 0x08;
const EXTENDED = 0x80000000;

/** Reads ATTRS. Extended pairs are skipped: none is known. @throws {MalformedError} */
export function readAttributes(reader: Reader): Attributes {
  const flags = reader.uint32();
  const attributes: { -readonly [K in keyof Attributes]: Attributes[K] } = {};
  if (flags & SIZE) attributes.size = Number(reader.uint64());
  if (flags & OWNER) attributes.owner = { uid: reader.uint32(), gid: reader.uint32() };
  if (flags & MODE) attributes.mode = reader.uint32();
  if (flags & TIMES) attributes.times = { accessed: reader.uint32(), modified: reader.uint32() };
  if (flags & EXTENDED) {
    // The count needs no cap: each pair takes at least eight bytes of a bounded packet.
    for (let left = reader.uint32(); left > 0; left--) {
      reader.string();
      reader.string();
    }
  }
  return attributes;
}

/** Writes ATTRS. */
export function writeAttributes(writer: Writer, { size, owner, mode, times }: Attributes): void {
  writer.uint32(
    (size === undefined ? 0 : SIZE) | (owner ? OWNER : 0) | (mode === undefined ? 0 : MODE) |
      (times ? TIMES : 0),
  );
  if (size !== undefined) writer.uint64(BigInt(size));
  if (owner) writer.uint32(owner.uid).uint32(owner.gid);
  if (mode !== undefined) writer.uint32(mode);
  if (times) writer.uint32(times.accessed).uint32(times.modified);
}

/** Seconds as the wire holds them: whole, unsigned, 32 bits; what lies outside comes as the nearest. */
function wireSeconds(seconds: number): number {
  return Math.min(Math.max(Math.floor(seconds), 0), 0xffffffff);
}

/** What a server tells of a file. */
export function fromStat(stat: FileStat): Attributes {
  return {
    size: stat.size,
    owner: { uid: stat.uid, gid: stat.gid },
    mode: stat.mode,
    times: { accessed: wireSeconds(stat.accessed), modified: wireSeconds(stat.modified) },
  };
}

/** What SETSTAT asks for. Type bits of the mode are dropped: `chmod` takes none. */
export function toChange({ size, owner, mode, times }: Attributes): FileChange {
  return { size, owner, mode: mode === undefined ? undefined : mode & 0o7777, times };
}
