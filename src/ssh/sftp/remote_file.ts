/** A file that is open on the server, as the client sees it. */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import type { Reader } from "../../bytes/reader.ts";
import type { FileSystemStat } from "../../platform/files.ts";
import type { Attributes } from "./attributes.ts";
import { FileSystemFlag, Status } from "./protocol.ts";
import type { Requester } from "./requester.ts";
import { SftpError } from "./status.ts";

/** What the server takes, in bytes. */
export interface SftpLimits {
  readonly read: number;
  readonly write: number;
  /** Undefined when the server sets none, or doesn't say. */
  readonly handles?: number;
}

/** A file system as the server tells of it. */
export interface RemoteFileSystemStat extends FileSystemStat {
  readonly readOnly: boolean;
}

/** A file open on the server. */
export class RemoteFile implements AsyncDisposable {
  readonly #requester: Requester;
  readonly #limits: SftpLimits;
  #closed?: Promise<void>;

  constructor(requester: Requester, readonly handle: Bytes, limits: SftpLimits) {
    this.#requester = requester;
    this.#limits = limits;
  }

  /** Up to `length` bytes from `offset`: what one request brings, which may be less. Null at the end of the file. */
  async read(offset: number, length: number): Promise<Bytes | null> {
    if (length === 0) return EMPTY;
    const count = Math.min(length, this.#limits.read);
    const reply = await this.#requester.send({ type: "read", handle: this.handle, offset, length: count });
    if (reply.type === "data" && reply.data.length <= count) return reply.data;
    if (reply.type === "status" && reply.status === Status.endOfFile) return null;
    if (reply.type === "status") throw new SftpError(reply.status, `read: ${reply.message}`);
    throw new SftpError(Status.badMessage, "the server answered a read with something else or too much");
  }

  /** Writes all of `data` at `offset`. It is copied, at most one request's worth at a time. */
  async write(data: Bytes, offset: number): Promise<void> {
    const step = this.#limits.write;
    for (let at = 0; at < data.length; at += step) {
      const part = data.subarray(at, at + step);
      await this.#requester.command({ type: "write", handle: this.handle, offset: offset + at, data: part });
    }
  }

  async stat(): Promise<Attributes> {
    return (await this.#requester.query({ type: "fstat", handle: this.handle }, "attributes")).attributes;
  }

  setstat(attributes: Attributes): Promise<void> {
    return this.#requester.command({ type: "fsetstat", handle: this.handle, attributes });
  }

  /** Resolves when the server's device has it all. */
  sync(): Promise<void> {
    return this.#requester.command({ type: "fsync", handle: this.handle });
  }

  statFileSystem(): Promise<RemoteFileSystemStat> {
    return this.#requester.ask({ type: "fstatvfs", handle: this.handle }, readFileSystemStat);
  }

  /** Idempotent. Rejects when the server says that something was lost on the way to its disk. */
  close(): Promise<void> {
    return this.#closed ??= this.#requester.command({ type: "close", handle: this.handle });
  }

  /** Closes without a word: what went wrong before matters more. Call `close` to learn that all went well. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }
}

/** `count` uint64 values; exact up to 2^53. */
export function readNumbers(reader: Reader, count: number): number[] {
  return Array.from({ length: count }, () => Number(reader.uint64()));
}

/** Reads the reply to statvfs@openssh.com and fstatvfs@openssh.com. */
export function readFileSystemStat(reader: Reader): RemoteFileSystemStat {
  const [blockSize, fragmentSize, blocks, blocksFree, blocksAvailable] = readNumbers(reader, 5);
  const [files, filesFree, _filesAvailable, _id, flags, maxNameLength] = readNumbers(reader, 6);
  const space = { blockSize, fragmentSize, blocks, blocksFree, blocksAvailable };
  return { ...space, files, filesFree, maxNameLength, readOnly: (flags & FileSystemFlag.readOnly) !== 0 };
}
