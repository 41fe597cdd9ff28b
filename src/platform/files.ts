/**
 * A file system, as much of it as an SFTP server needs. Paths are absolute, `/`-separated text; names that are not
 * UTF-8 cannot be expressed (they are left out of listings).
 */
import type { Bytes } from "../bytes/bytes.ts";

/** How to open a file. At least one of `read` and `write` is set. */
export interface OpenOptions {
  readonly read?: boolean;
  readonly write?: boolean;
  /** Every write goes to the end, wherever it says. Without `write` it means nothing. */
  readonly append?: boolean;
  readonly create?: boolean;
  /** With `create`: fails with `exists` when something is there, even a dangling symbolic link. */
  readonly exclusive?: boolean;
  readonly truncate?: boolean;
  /** Permission bits of a file that is created, before the umask. Default 0o666. */
  readonly mode?: number;
}

/** What is known about a file. Times are seconds since 1970, with fractions. */
export interface FileStat {
  /** The same for two paths or handles exactly when they name the same file. */
  readonly identity: string;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  /** File type and permission bits as `st_mode` has them. */
  readonly mode: number;
  readonly accessed: number;
  readonly modified: number;
  readonly links: number;
}

/** What to change; absent members stay. Applied in this order; the first failure stops. */
export interface FileChange {
  readonly size?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Permission bits, at most 0o7777. */
  readonly mode?: number;
  /** Seconds since 1970. */
  readonly times?: { readonly accessed: number; readonly modified: number };
}

/** Figures of `statvfs(3)`. */
export interface FileSystemStat {
  readonly blockSize: number;
  readonly fragmentSize: number;
  /** In units of `fragmentSize`. */
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly maxNameLength: number;
}

/** An open file. Every operation may run at the same time as others; `close` only after all have settled. */
export interface FileHandle {
  /** Fills the start of `into` from `position`; resolves to the count, which may be short, and is 0 at the end. */
  read(into: Bytes, position: number): Promise<number>;
  /** Writes all of `from` at `position` (at the end, when opened with `append`). */
  write(from: Bytes, position: number): Promise<void>;
  stat(): Promise<FileStat>;
  change(change: FileChange): Promise<void>;
  /** Resolves when content and metadata are on the device. */
  sync(): Promise<void>;
  statFileSystem(): Promise<FileSystemStat>;
  close(): Promise<void>;
}

/** A listing in progress, without `.` and `..`, in no particular order. */
export interface DirectoryHandle {
  /** Up to `count` names more; none at the end. One call at a time. */
  next(count: number): Promise<string[]>;
  close(): Promise<void>;
}

/** What reading keys and configuration takes. {@link Files} has it, and so may something lighter. */
export interface ReadableFiles extends Pick<Files, "stat" | "list" | "realpath"> {
  /** Does not wait for somebody to write: a pipe cannot be read, or fails with `invalid` here. */
  open(path: string, options: { readonly read: true }): Promise<ReadableFile>;
}

/** A file open for reading. One operation at a time. */
export type ReadableFile = Pick<FileHandle, "read" | "stat" | "close">;

/** Every method rejects with a {@link FilesError} when it cannot do what it says. */
export interface Files {
  open(path: string, options: OpenOptions): Promise<FileHandle>;
  stat(path: string): Promise<FileStat>;
  /** As `stat`, of a symbolic link itself. */
  lstat(path: string): Promise<FileStat>;
  change(path: string, change: FileChange): Promise<void>;
  /** As `change`, of a symbolic link itself. `unsupported` for its size and, on most systems, its mode. */
  lchange(path: string, change: FileChange): Promise<void>;
  /** Fails with `not-directory` or `not-found` here, not at the first `next`. */
  list(path: string): Promise<DirectoryHandle>;
  mkdir(path: string, mode: number): Promise<void>;
  rmdir(path: string): Promise<void>;
  /** Removes anything but a directory. */
  unlink(path: string): Promise<void>;
  /** Renames; fails with `exists` when `to` is there. */
  rename(from: string, to: string): Promise<void>;
  /** Renames as POSIX does: `to` is replaced atomically. */
  replace(from: string, to: string): Promise<void>;
  /** Makes `path` another name of `existing`. */
  link(existing: string, path: string): Promise<void>;
  /** Makes `path` a symbolic link that says `target`, whatever that may be. */
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  /** The absolute path without symbolic links, `.` and `..`. Everything on it must exist. */
  realpath(path: string): Promise<string>;
  statFileSystem(path: string): Promise<FileSystemStat>;
}

/** Who the numbers in a {@link FileStat} are. Unknown ones give `undefined`; no method rejects. */
export interface Accounts {
  /** Names of user ids, in order. */
  users(ids: readonly number[]): Promise<(string | undefined)[]>;
  /** Names of group ids, in order. */
  groups(ids: readonly number[]): Promise<(string | undefined)[]>;
  /** Home directory of a user. */
  home(user: string): Promise<string | undefined>;
}

/** Why it did not work, for programs. */
export type FilesErrorCode =
  | "not-found"
  | "permission"
  | "exists"
  | "not-directory"
  | "is-directory"
  | "not-empty"
  | "no-space"
  | "quota"
  | "too-large"
  | "too-many-open"
  | "too-many-links"
  | "loop"
  | "name-too-long"
  | "read-only"
  | "cross-device"
  | "busy"
  | "bad-handle"
  | "invalid"
  | "unsupported"
  | "failed";

/** A file operation that did not work. The message is for logs; it may hold paths. */
export class FilesError extends Error {
  override readonly name = "FilesError";
  constructor(readonly code: FilesErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Mask and values of the file type in {@link FileStat.mode}. */
export const FileType = {
  mask: 0o170000,
  socket: 0o140000,
  symlink: 0o120000,
  regular: 0o100000,
  blockDevice: 0o060000,
  directory: 0o040000,
  characterDevice: 0o020000,
  fifo: 0o010000,
} as const;

/** Whether `stat` is of type `type`, one of {@link FileType}. */
export function isType(stat: { readonly mode: number }, type: number): boolean {
  return (stat.mode & FileType.mask) === type;
}
