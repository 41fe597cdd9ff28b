/** Whole files, read through the interface of `files.ts`. */
import { type Bytes, concat } from "../bytes/bytes.ts";
import { FilesError, FileType, isType, type ReadableFiles } from "./files.ts";

/** Largest key, list or configuration file that is read, in bytes: more is a mistake. */
const MAX_FILE_SIZE = 16 * 1024 * 1024;

/** A file's content, and its type and permission bits as of the moment it was opened. */
export interface WholeFile {
  readonly path: string;
  readonly bytes: Bytes;
  /** As {@link FileStat.mode}. */
  readonly mode: number;
}

/** @throws {FilesError} `too-large` above 16 MiB; `is-directory` */
export async function readWholeFile(files: ReadableFiles, path: string): Promise<WholeFile> {
  const handle = await files.open(path, { read: true });
  try {
    const { size, mode } = await handle.stat();
    if (isType({ mode }, FileType.directory)) throw new FilesError("is-directory", `${path} is a folder`);
    const chunks: Bytes[] = [];
    for (let position = 0;;) {
      // What says it is empty may be a pipe or lie under /proc: read until the end.
      const chunk = new Uint8Array(Math.min(Math.max(size - position, 4096), MAX_FILE_SIZE));
      const count = await handle.read(chunk, position);
      if (count === 0) return { path, bytes: concat(...chunks), mode };
      position += count;
      if (position > MAX_FILE_SIZE) {
        throw new FilesError("too-large", `${path} is larger than any file of its kind`);
      }
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    await handle.close();
  }
}

/** What `reading` resolves to; undefined where there is no such file. @throws {FilesError} for every other reason */
export async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof FilesError && (error.code === "not-found" || error.code === "not-directory")) return;
    throw error;
  }
}
