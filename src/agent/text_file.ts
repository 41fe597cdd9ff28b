/** Whole files, read through the platform's interface. */
import { type Bytes, concat, decodeText } from "../bytes/bytes.ts";
import { type Files, FilesError, FileType, isType } from "../platform/files.ts";
import { AgentError, type ExitReason } from "./exit_codes.ts";

/** Largest key or configuration file that is read, in bytes: more is a mistake. */
const MAX_FILE_SIZE = 16 * 1024 * 1024;

/** Permission bits that let others read or write. */
const OTHERS = 0o077;

/** A file's content and who may read it. */
export interface WholeFile {
  readonly path: string;
  readonly bytes: Bytes;
  readonly mode: number;
}

/** The same of a text. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** @throws {FilesError} */
export async function openText(files: Files, path: string): Promise<TextFile> {
  const { bytes, mode } = await openFile(files, path);
  return { path, text: decodeText(bytes), mode };
}

/** @throws {FilesError} */
export async function openFile(files: Files, path: string): Promise<WholeFile> {
  const handle = await files.open(path, { read: true });
  try {
    const { size, mode } = await handle.stat();
    if (isType({ mode }, FileType.directory)) throw new FilesError("is-directory", `${path} is a folder`);
    const chunks: Bytes[] = [];
    for (let position = 0;;) {
      // What says it is empty may lie under /proc: read until the end.
      const chunk = new Uint8Array(Math.min(Math.max(size - position, 4096), MAX_FILE_SIZE));
      const count = await handle.read(chunk, position);
      if (count === 0) break;
      position += count;
      if (position > MAX_FILE_SIZE) {
        throw new FilesError("too-large", `${path} is larger than any file of its kind`);
      }
      chunks.push(chunk.subarray(0, count));
    }
    return { path, bytes: concat(...chunks), mode };
  } finally {
    await handle.close();
  }
}

/** Undefined where there is no such file. @throws {FilesError} for every other reason */
export async function openTextIfThere(files: Files, path: string): Promise<TextFile | undefined> {
  try {
    return await openText(files, path);
  } catch (error) {
    if (error instanceof FilesError && (error.code === "not-found" || error.code === "not-directory")) return;
    throw error;
  }
}

const WHY: Partial<Record<FilesError["code"], string>> = {
  "not-found": "there is no such file",
  "not-directory": "there is no such file",
  "permission": "this user may not read it",
  "is-directory": "it is a folder",
  "too-large": "it is too large",
};

/**
 * A file that the user named.
 * @param what for the sentence: `known hosts`, …
 * @throws {AgentError} `files`
 */
export async function requireText(files: Files, path: string, what: string): Promise<TextFile> {
  try {
    return await openText(files, path);
  } catch (cause) {
    if (!(cause instanceof FilesError)) throw cause;
    throw new AgentError("files", `${what} ${path} cannot be read: ${WHY[cause.code] ?? cause.message}`, {
      cause,
    });
  }
}

/** Why a file that should be its owner's alone is not; undefined when it is. */
export function openness({ path, mode }: TextFile): string | undefined {
  if ((mode & OTHERS) === 0) return undefined;
  const shown = (mode & 0o7777).toString(8).padStart(4, "0");
  return `${path} has mode ${shown}, others can get at it: make it private (chmod 600 ${path})`;
}

/** What is named by `path` where `~` is `home`. */
export function expandHome(path: string, home: string): string {
  return path === "~" || path.startsWith("~/") ? home + path.slice(1) : path;
}

/** Rethrows what `read` finds wrong with the content of `path` as an error for the user. */
export async function readingFrom<T>(
  path: string,
  read: () => T | Promise<T>,
  reason: ExitReason = "files",
): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof AgentError || !(cause instanceof Error)) throw cause;
    throw new AgentError(reason, `${path}: ${cause.message}`, { cause });
  }
}
