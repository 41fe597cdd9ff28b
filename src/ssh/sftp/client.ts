/** The SFTP client. */
import type { Bytes } from "../../bytes/bytes.ts";
import { Writer } from "../../bytes/writer.ts";
import { type Duplex, plain } from "../../streams/duplex.ts";
import type { Attributes } from "./attributes.ts";
import { MAX_DATA, OpenFlag, PORTABLE_DATA, Status } from "./protocol.ts";
import {
  readFileSystemStat,
  readNumbers,
  RemoteFile,
  type RemoteFileSystemStat,
  type SftpLimits,
} from "./remote_file.ts";
import { type NameEntry, unpackNames } from "./reply.ts";
import { EXTENSIONS, type Request } from "./request.ts";
import { Requester } from "./requester.ts";
import { SftpError } from "./status.ts";
import { readAhead, streamOf, writeBehind } from "./transfer.ts";

/** How to open a file on the server. At least one of `read` and `write` is set. */
export interface RemoteOpenOptions {
  readonly read?: boolean;
  readonly write?: boolean;
  readonly append?: boolean;
  readonly create?: boolean;
  readonly truncate?: boolean;
  readonly exclusive?: boolean;
  /** Permission bits of a file that is created. */
  readonly mode?: number;
}

/**
 * Starts SFTP on a channel whose `sftp` subsystem runs, or any other connection to an SFTP server.
 *
 * ```ts ignore
 * await using sftp = await openSftp(channel);
 * for await (const { name, attributes } of sftp.list("/etc")) console.log(name, attributes.size);
 * await sftp.download("/etc/hostname").pipeTo(sink);
 * ```
 *
 * @param options.signal ends the session and closes the connection
 * @throws {SshError} when the other end doesn't speak SFTP version 3
 */
export async function openSftp(duplex: Duplex, options: { signal?: AbortSignal } = {}): Promise<SftpClient> {
  const { signal } = options;
  signal?.throwIfAborted();
  const stream = plain(duplex);
  const abortStart = () => stream.close(signal!.reason);
  signal?.addEventListener("abort", abortStart, { once: true });
  try {
    const { requester, extensions } = await Requester.start(stream);
    const limits = await askLimits(requester, extensions);
    return new SftpClient(requester, extensions, limits, signal);
  } catch (error) {
    stream.close(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", abortStart);
  }
}

async function askLimits(requester: Requester, extensions: ReadonlyMap<string, string>): Promise<SftpLimits> {
  if (!extensions.has(EXTENSIONS.limits.extension)) return { read: PORTABLE_DATA, write: PORTABLE_DATA };
  const [, read, write, handles] = await requester.ask(
    { type: "limits" },
    (reader) => readNumbers(reader, 4),
  );
  // 0 stands for "no limit known"; neither that nor a generous server is a reason to break our own.
  const cap = (limit: number) => limit === 0 ? PORTABLE_DATA : Math.min(limit, MAX_DATA);
  return { read: cap(read), write: cap(write), handles: handles || undefined };
}

/** An SFTP session. Every method rejects with {@link SftpError} when the server refuses, {@link SshError} otherwise. */
export class SftpClient implements AsyncDisposable {
  readonly #requester: Requester;
  readonly #signal?: AbortSignal;
  readonly #abort = () => this.#requester.close(this.#signal!.reason);

  /** Use {@link openSftp}. */
  constructor(
    requester: Requester,
    /** Extensions that the server announced, with their versions. */
    readonly extensions: ReadonlyMap<string, string>,
    readonly limits: SftpLimits,
    signal?: AbortSignal,
  ) {
    this.#requester = requester;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort, { once: true });
    if (signal?.aborted) this.#abort();
  }

  /** Ends the session and closes the connection. Idempotent. */
  close(): void {
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#requester.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #extended<T extends Request & { type: keyof typeof EXTENSIONS }>(request: T): T {
    const { extension } = EXTENSIONS[request.type];
    if (this.extensions.has(extension)) return request;
    throw new SftpError(Status.unsupported, `the server has no ${extension}`);
  }

  /** Opens a file. Close it, or hold it with `await using`. */
  async open(path: string, options: RemoteOpenOptions): Promise<RemoteFile> {
    let flags = 0;
    for (const name of Object.keys(OpenFlag) as (keyof typeof OpenFlag)[]) {
      if (options[name]) flags |= OpenFlag[name];
    }
    const attributes = { mode: options.mode };
    const { handle } = await this.#requester.query({ type: "open", path, flags, attributes }, "handle");
    return new RemoteFile(this.#requester, handle, this.limits);
  }

  /** What the server says of the file that `path` leads to. */
  async stat(path: string): Promise<Attributes> {
    return (await this.#requester.query({ type: "stat", path }, "attributes")).attributes;
  }

  /** As `stat`, of a symbolic link itself. */
  async lstat(path: string): Promise<Attributes> {
    return (await this.#requester.query({ type: "lstat", path }, "attributes")).attributes;
  }

  /** Changes what `attributes` holds; the rest stays. */
  setstat(path: string, attributes: Attributes): Promise<void> {
    return this.#requester.command({ type: "setstat", path, attributes });
  }

  /** As `setstat`, of a symbolic link itself. */
  async lsetstat(path: string, attributes: Attributes): Promise<void> {
    await this.#requester.command(this.#extended({ type: "lsetstat", path, attributes }));
  }

  /** The entries of a directory, without `.` and `..`. */
  async *list(path: string): AsyncGenerator<NameEntry, void, void> {
    const { handle } = await this.#requester.query({ type: "opendir", path }, "handle");
    try {
      for (;;) {
        const reply = await this.#requester.send({ type: "readdir", handle });
        if (reply.type === "status" && reply.status === Status.endOfFile) return;
        if (reply.type === "status") throw new SftpError(reply.status, `readdir: ${reply.message}`);
        if (reply.type !== "name") throw new SftpError(Status.badMessage, `a ${reply.type} reply to readdir`);
        yield* reply.entries.filter(({ name }) => name !== "." && name !== "..");
      }
    } finally {
      // It was only read: that closing fails is of no consequence, unlike what may have ended the loop.
      await this.#requester.command({ type: "close", handle }).catch(() => {});
    }
  }

  /** Makes a directory. */
  mkdir(path: string, attributes: Attributes = {}): Promise<void> {
    return this.#requester.command({ type: "mkdir", path, attributes });
  }

  /** Removes an empty directory. */
  rmdir(path: string): Promise<void> {
    return this.#requester.command({ type: "rmdir", path });
  }

  /** Removes anything but a directory. */
  remove(path: string): Promise<void> {
    return this.#requester.command({ type: "remove", path });
  }

  /** Renames. @param options.replace whether an existing `to` is replaced; without it that is refused */
  async rename(from: string, to: string, options: { replace?: boolean } = {}): Promise<void> {
    const request: Request = options.replace
      ? this.#extended({ type: "posixRename", from, to })
      : { type: "rename", from, to };
    await this.#requester.command(request);
  }

  /** Makes `path` another name of `existing`. */
  async link(existing: string, path: string): Promise<void> {
    await this.#requester.command(this.#extended({ type: "hardlink", existing, path }));
  }

  /** Makes `path` a symbolic link that says `target`. */
  symlink(target: string, path: string): Promise<void> {
    return this.#requester.command({ type: "symlink", target, path });
  }

  /** What a symbolic link says. */
  readlink(path: string): Promise<string> {
    return this.#path({ type: "readlink", path });
  }

  /** The absolute path; `.` is where the session begins. */
  realpath(path: string): Promise<string> {
    return this.#path({ type: "realpath", path });
  }

  /** As `realpath`, with `~` and `~user`. */
  async expandPath(path: string): Promise<string> {
    return await this.#path(this.#extended({ type: "expandPath", path }));
  }

  /** Home directory of `user`; the session's own when empty. */
  async homeDirectory(user: string): Promise<string> {
    return await this.#path(this.#extended({ type: "homeDirectory", user }));
  }

  async #path(request: Request): Promise<string> {
    const { entries } = await this.#requester.query(request, "name");
    if (entries.length !== 1) throw new SftpError(Status.badMessage, `${entries.length} names for one path`);
    return entries[0].name;
  }

  /** Figures of the file system that holds `path`. */
  async statFileSystem(path: string): Promise<RemoteFileSystemStat> {
    return await this.#requester.ask(this.#extended({ type: "statvfs", path }), readFileSystemStat);
  }

  /** Names of user and group ids, in order; those without a name come empty. */
  async names(
    ids: { users?: readonly number[]; groups?: readonly number[] },
  ): Promise<{ users: string[]; groups: string[] }> {
    const request = this.#extended({
      type: "namesById",
      users: packIds(ids.users ?? []),
      groups: packIds(ids.groups ?? []),
    });
    return await this.#requester.ask(request, (reader) => ({
      users: unpackNames(reader.string()),
      groups: unpackNames(reader.string()),
    }));
  }

  /**
   * Copies between two open files on the server.
   * @param length bytes, or everything up to the end of `from` when 0
   */
  async copy(
    from: RemoteFile,
    to: RemoteFile,
    { fromOffset = 0, toOffset = 0, length = 0 }: {
      fromOffset?: number;
      toOffset?: number;
      length?: number;
    } = {},
  ): Promise<void> {
    const ends = { from: from.handle, to: to.handle };
    await this.#requester.command(
      this.#extended({ type: "copyData", ...ends, fromOffset, length, toOffset }),
    );
  }

  /**
   * The content of a file, with many reads outstanding. Cancel the stream to stop early.
   * @param options.offset where to begin; to resume, the size of what is there already
   * @param options.length how many bytes at most
   */
  download(path: string, options: { offset?: number; length?: number } = {}): ReadableStream<Bytes> {
    return streamOf(this.#download(path, options));
  }

  async *#download(path: string, { offset = 0, length = Infinity }: { offset?: number; length?: number }) {
    await using file = await this.open(path, { read: true });
    const { size } = await file.stat();
    const range = { offset, end: offset + length, expectedEnd: size ?? 0, chunk: this.limits.read };
    yield* readAhead((at, count) => file.read(at, count), range);
  }

  /**
   * Writes a file, with many writes outstanding. Resolves to the count of bytes when all is acknowledged and closed.
   * @param options.offset where to begin in an existing file; without it the file is made anew
   * @param options.exclusive refuses to touch a file that exists
   * @param options.mode permission bits of a new file
   */
  async upload(
    path: string,
    source: AsyncIterable<Bytes>,
    { offset, exclusive, mode }: { offset?: number; exclusive?: boolean; mode?: number } = {},
  ): Promise<number> {
    const truncate = offset === undefined;
    await using file = await this.open(path, { write: true, create: true, truncate, exclusive, mode });
    const range = { offset: offset ?? 0, chunk: this.limits.write };
    const count = await writeBehind((data, at) => file.write(data, at), source, range);
    await file.close();
    return count;
  }
}

function packIds(ids: readonly number[]): Bytes {
  const writer = new Writer(4 * ids.length);
  for (const id of ids) writer.uint32(id);
  return writer.finish();
}
