/** Keys and configuration on this machine, by Deno alone: `node:fs` would bring Deno's Node layer along. */
import type { Bytes } from "../bytes/bytes.ts";
import {
  type DirectoryHandle,
  FilesError,
  type FileStat,
  type ReadableFile,
  type ReadableFiles,
} from "../platform/files.ts";
import { attempt } from "./files_error.ts";

export const readableFiles: ReadableFiles = {
  open: (path) => attempt(() => open(path)),
  stat: (path) => attempt(async () => toStat(await Deno.stat(path))),
  list: (path) => attempt(() => SystemDirectory.open(path)),
  realpath: (path) => attempt(() => Deno.realPath(path)),
};

async function open(path: string): Promise<ReadableFile> {
  // Opening a pipe would hold a thread until somebody opens the other end.
  const { isFifo, isSocket } = await Deno.stat(path);
  if (isFifo || isSocket) throw new FilesError("invalid", `${path} is a pipe or a socket`);
  return new SystemFile(await Deno.open(path));
}

class SystemFile implements ReadableFile {
  readonly #file: Deno.FsFile;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  read(into: Bytes, position: number): Promise<number> {
    return attempt(async () => {
      await this.#file.seek(position, Deno.SeekMode.Start);
      return await this.#file.read(into) ?? 0;
    });
  }

  stat(): Promise<FileStat> {
    return attempt(async () => toStat(await this.#file.stat()));
  }

  close(): Promise<void> {
    return attempt(() => Promise.resolve(this.#file.close()));
  }
}

class SystemDirectory implements DirectoryHandle {
  readonly #entries: AsyncIterator<Deno.DirEntry>;
  /** The step taken to learn whether the directory can be read at all. */
  #ahead?: IteratorResult<Deno.DirEntry>;

  private constructor(entries: AsyncIterator<Deno.DirEntry>, ahead: IteratorResult<Deno.DirEntry>) {
    this.#entries = entries;
    this.#ahead = ahead;
  }

  static async open(path: string): Promise<SystemDirectory> {
    const entries = Deno.readDir(path)[Symbol.asyncIterator]();
    return new SystemDirectory(entries, await entries.next());
  }

  next(count: number): Promise<string[]> {
    return attempt(async () => {
      const names: string[] = [];
      while (names.length < count) {
        const step = this.#ahead ?? await this.#entries.next();
        this.#ahead = undefined;
        if (step.done) {
          this.#ahead = step;
          break;
        }
        names.push(step.value.name);
      }
      return names;
    });
  }

  async close(): Promise<void> {
    await this.#entries.return?.();
  }
}

function toStat(info: Deno.FileInfo): FileStat {
  return {
    identity: `${info.dev}:${info.ino}`,
    size: info.size,
    uid: info.uid ?? 0,
    gid: info.gid ?? 0,
    mode: info.mode ?? 0,
    accessed: (info.atime?.getTime() ?? 0) / 1000,
    modified: (info.mtime?.getTime() ?? 0) / 1000,
    links: info.nlink ?? 1,
  };
}
