/** Texts that somebody named, and sentences for when they cannot be read. */
import { decodeText } from "../bytes/bytes.ts";
import { FilesError, type ReadableFiles } from "../platform/files.ts";
import { ifThere, readWholeFile } from "../platform/whole_file.ts";
import { AgentError, type ExitReason } from "./exit_codes.ts";

/** Permission bits that let others read or write. */
const OTHERS = 0o077;

/** A text, and who may read it. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** @throws {FilesError} */
export async function openText(files: ReadableFiles, path: string): Promise<TextFile> {
  const { bytes, mode } = await readWholeFile(files, path);
  return { path, text: decodeText(bytes), mode };
}

/** Undefined where there is no such file. @throws {FilesError} for every other reason */
export function openTextIfThere(files: ReadableFiles, path: string): Promise<TextFile | undefined> {
  return ifThere(openText(files, path));
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
export async function requireText(files: ReadableFiles, path: string, what: string): Promise<TextFile> {
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
