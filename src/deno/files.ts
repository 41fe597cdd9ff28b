/** The system's files, by `node:fs`, whose positional reads and writes are `pread` and `pwrite`. */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import type { Bytes } from "../bytes/bytes.ts";
import {
  type Accounts,
  type FileChange,
  type FileHandle,
  type Files,
  FilesError,
  type FilesErrorCode,
  type FileStat,
  type FileSystemStat,
  FileType,
  isType,
  type OpenOptions,
} from "../platform/files.ts";
import { asFilesError, attempt } from "./files_error.ts";
import { readableFiles } from "./readable_files.ts";

type SystemStat = Awaited<ReturnType<typeof fs.stat>>;

function toStat(stat: SystemStat): FileStat {
  return {
    identity: `${stat.dev}:${stat.ino}`,
    size: Number(stat.size),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mode: Number(stat.mode),
    accessed: Number(stat.atimeMs) / 1000,
    modified: Number(stat.mtimeMs) / 1000,
    links: Number(stat.nlink),
  };
}

/** `st_f.namemax` is not to be had; this is what Linux and macOS file systems have. */
const MAX_NAME_LENGTH = 255;

async function statFileSystem(path: string): Promise<FileSystemStat> {
  const stat = await fs.statfs(path);
  return {
    blockSize: stat.bsize,
    fragmentSize: (stat as { frsize?: number }).frsize || stat.bsize,
    blocks: stat.blocks,
    blocksFree: stat.bfree,
    blocksAvailable: stat.bavail,
    files: stat.files,
    filesFree: stat.ffree,
    maxNameLength: MAX_NAME_LENGTH,
  };
}

function openFlags(options: OpenOptions): number {
  const { read, write } = options;
  // Without O_NONBLOCK, opening a FIFO would hold a thread until somebody opens the other end.
  return (read && write ? constants.O_RDWR : write ? constants.O_WRONLY : constants.O_RDONLY) |
    constants.O_NONBLOCK |
    // Rust takes append for a kind of writing; open(2) does not.
    (write && options.append ? constants.O_APPEND : 0) |
    (options.create ? constants.O_CREAT : 0) |
    (options.exclusive ? constants.O_EXCL : 0) |
    (options.truncate && !options.append ? constants.O_TRUNC : 0);
}

/**
 * open(2). Deno passes flags on by way of Rust's OpenOptions, which refuse to truncate what is appended to, and for
 * reading alone to create or truncate, or forget to: these are done in two steps.
 */
async function openFile(path: string, options: OpenOptions): Promise<fs.FileHandle> {
  const mode = options.mode ?? 0o666;
  const { read, write, append, create, exclusive, truncate } = options;
  if (!write && (create || truncate)) {
    if (exclusive || truncate || !await exists(path)) {
      await (await fs.open(path, openFlags({ write: true, create, exclusive, truncate }), mode)).close();
    }
    return await fs.open(path, openFlags({ read }));
  }
  const file = await fs.open(path, openFlags(options), mode);
  try {
    if (append && truncate) await file.truncate(0);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

class SystemFile implements FileHandle {
  readonly #file: fs.FileHandle;
  readonly #path: string;
  readonly #append: boolean;

  constructor(file: fs.FileHandle, path: string, append: boolean) {
    this.#file = file;
    this.#path = path;
    this.#append = append;
  }

  read(into: Bytes, position: number): Promise<number> {
    return attempt(async () => (await this.#file.read(into, 0, into.length, position)).bytesRead);
  }

  write(from: Bytes, position: number): Promise<void> {
    return attempt(async () => {
      for (let done = 0; done < from.length;) {
        // POSIX lets pwrite ignore O_APPEND; write does not.
        const at = this.#append ? null : position + done;
        const { bytesWritten } = await this.#file.write(from, done, from.length - done, at);
        done += bytesWritten;
      }
    });
  }

  stat(): Promise<FileStat> {
    return attempt(async () => toStat(await this.#file.stat()));
  }

  change(change: FileChange): Promise<void> {
    return attempt(async () => {
      const { size, owner, mode, times } = change;
      if (size !== undefined) await this.#file.truncate(size);
      if (owner) await this.#file.chown(owner.uid, owner.gid);
      if (mode !== undefined) await this.#file.chmod(mode);
      if (times) await this.#file.utimes(times.accessed, times.modified);
    });
  }

  sync(): Promise<void> {
    return attempt(() => this.#file.sync());
  }

  statFileSystem(): Promise<FileSystemStat> {
    return attempt(async () => {
      try {
        return await statFileSystem(`/proc/self/fd/${this.#file.fd}`);
      } catch {
        // No /proc: the path it was opened by is the next best name of it.
        return await statFileSystem(this.#path);
      }
    });
  }

  close(): Promise<void> {
    return attempt(() => this.#file.close());
  }
}

/** Links that a file system without hard links, or one that restricts them, refuses. */
const NO_HARD_LINKS: ReadonlySet<FilesErrorCode> = new Set(["permission", "unsupported", "too-many-links"]);

/** Whether `look` finds something at `path`: `lstat` finds dangling links too, `stat` does not. */
async function exists(path: string, look: (path: string) => Promise<unknown> = fs.stat): Promise<boolean> {
  try {
    await look(path);
    return true;
  } catch (error) {
    const failure = asFilesError(error);
    if (failure.code === "not-found") return false;
    throw failure;
  }
}

/**
 * Renames without replacing. A regular file moves by link and unlink, which no race can turn into a replacement;
 * for directories and where links don't work, the system has nothing better than to look first.
 */
async function renameWithoutReplacing(from: string, to: string): Promise<void> {
  if (isType(toStat(await fs.lstat(from)), FileType.regular)) {
    try {
      await fs.link(from, to);
      try {
        return await fs.unlink(from);
      } catch (error) {
        await fs.unlink(to);
        throw error;
      }
    } catch (error) {
      const failure = asFilesError(error);
      if (!NO_HARD_LINKS.has(failure.code)) throw failure;
    }
  }
  if (await exists(to, fs.lstat)) throw new FilesError("exists", `${to} exists`);
  await fs.rename(from, to);
}

/** Linux's O_PATH: names a file without opening it. Not among the constants of every runtime. */
const O_PATH = 0o10000000;

/** fchmodat(AT_SYMLINK_NOFOLLOW) as the C library does it on Linux: pin the file, then go through /proc. */
async function chmodWithoutFollowing(path: string, mode: number): Promise<void> {
  if (isType(toStat(await fs.lstat(path)), FileType.symlink)) {
    throw new FilesError("unsupported", `${path}: a symbolic link has no mode of its own`);
  }
  if (Deno.build.os !== "linux") return await fs.lchmod(path, mode);
  const pinned = await fs.open(path, O_PATH | constants.O_NOFOLLOW);
  try {
    await fs.chmod(`/proc/self/fd/${pinned.fd}`, mode);
  } finally {
    await pinned.close();
  }
}

/** The files of this machine, with the rights of this process. */
export const systemFiles: Files = {
  open: (path, options) =>
    attempt(async () => {
      return new SystemFile(await openFile(path, options), path, options.append ?? false);
    }),
  stat: (path) => attempt(async () => toStat(await fs.stat(path))),
  lstat: (path) => attempt(async () => toStat(await fs.lstat(path))),
  change: (path, { size, owner, mode, times }) =>
    attempt(async () => {
      if (size !== undefined) await fs.truncate(path, size);
      if (owner) await fs.chown(path, owner.uid, owner.gid);
      if (mode !== undefined) await fs.chmod(path, mode);
      if (times) await fs.utimes(path, times.accessed, times.modified);
    }),
  lchange: (path, { size, owner, mode, times }) =>
    attempt(async () => {
      if (size !== undefined) throw new FilesError("unsupported", "truncation always follows links");
      if (owner) await fs.lchown(path, owner.uid, owner.gid);
      if (mode !== undefined) await chmodWithoutFollowing(path, mode);
      if (times) await fs.lutimes(path, times.accessed, times.modified);
    }),
  list: readableFiles.list,
  mkdir: (path, mode) =>
    attempt(async () => {
      await fs.mkdir(path, { mode });
    }),
  rmdir: (path) => attempt(() => fs.rmdir(path)),
  unlink: (path) =>
    attempt(async () => {
      // Deno's unlink also removes empty directories.
      if (isType(toStat(await fs.lstat(path)), FileType.directory)) {
        throw new FilesError("is-directory", `${path} is a directory`);
      }
      await fs.unlink(path);
    }),
  rename: (from, to) => attempt(() => renameWithoutReplacing(from, to)),
  replace: (from, to) => attempt(() => fs.rename(from, to)),
  link: (existing, path) => attempt(() => fs.link(existing, path)),
  symlink: (target, path) => attempt(() => fs.symlink(target, path)),
  readlink: (path) => attempt(() => fs.readlink(path)),
  realpath: (path) => attempt(() => fs.realpath(path)),
  statFileSystem: (path) => attempt(() => statFileSystem(path)),
};

/** One of the system's account files (`passwd(5)`, `group(5)`), read again when it changes. */
class AccountFile {
  readonly #path: string;
  #version = "";
  #rows: string[][] = [];

  constructor(path: string) {
    this.#path = path;
  }

  async rows(): Promise<readonly string[][]> {
    try {
      const { mtimeMs, ino } = await fs.stat(this.#path);
      const version = `${ino}:${mtimeMs}`;
      if (version !== this.#version) {
        const text = await fs.readFile(this.#path, "utf8");
        this.#rows = text.split("\n").map((line) => line.split(":")).filter((row) => row.length >= 3);
        this.#version = version;
      }
    } catch {
      // Containers without accounts are common: then nobody has a name.
      this.#rows = [];
      this.#version = "";
    }
    return this.#rows;
  }

  /** Names of `ids`: both files keep the name first and the number third. */
  async names(ids: readonly number[]): Promise<(string | undefined)[]> {
    const rows = await this.rows();
    const names = new Map(rows.map((row) => [Number(row[2]), row[0]]));
    return ids.map((id) => names.get(id));
  }
}

const passwd = new AccountFile("/etc/passwd");
const group = new AccountFile("/etc/group");

/** Accounts as `/etc/passwd` and `/etc/group` have them; directory services are not asked. */
export const systemAccounts: Accounts = {
  users: (ids) => passwd.names(ids),
  groups: (ids) => group.names(ids),
  home: async (user) => (await passwd.rows()).find((row) => row[0] === user)?.[5],
};
