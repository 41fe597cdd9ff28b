/** Reading whole files through the platform's file interface. */
import { type Bytes, decodeText } from "../bytes/bytes.ts";
import { type Files, FilesError, FileType, isType } from "../platform/files.ts";

/** Largest key, policy or configuration file that is read: more is a mistake, not a file of ours. */
const MAX_FILE_SIZE = 16 * 1024 * 1024;

/** @throws {FilesError} */
export async function readBytes(files: Files, path: string): Promise<Bytes> {
  const handle = await files.open(path, { read: true });
  try {
    const { size, mode } = await handle.stat();
    if (isType({ mode }, FileType.directory)) throw new FilesError("is-directory", `${path} is a folder`);
    if (size > MAX_FILE_SIZE) {
      throw new FilesError("too-large", `${path} has more than ${MAX_FILE_SIZE} bytes`);
    }
    const chunks: Bytes[] = [];
    for (let position = 0;;) {
      // What says it is empty may be a pipe or under /proc: read until the end.
      const chunk = new Uint8Array(Math.max(size - position, 4096));
      const count = await handle.read(chunk, position);
      if (count === 0) return joined(chunks, position);
      position += count;
      if (position > MAX_FILE_SIZE) throw new FilesError("too-large", `${path} does not end`);
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    await handle.close();
  }
}

/** As UTF-8. @throws {FilesError} */
export async function readText(files: Files, path: string): Promise<string> {
  return decodeText(await readBytes(files, path));
}

/** Permission bit that lets everybody on the machine write. */
const WRITABLE_BY_EVERYBODY = 0o002;

/**
 * As {@link readText}, for files that say who may what: what everybody on the machine could have written says nothing.
 * @throws {FilesError}
 */
export async function readTrustedText(files: Files, path: string): Promise<string> {
  const { mode } = await files.stat(path);
  if ((mode & WRITABLE_BY_EVERYBODY) !== 0 && isType({ mode }, FileType.regular)) {
    throw new FilesError("permission", `everybody can write to it (chmod o-w ${path})`);
  }
  return await readText(files, path);
}

/** Undefined where there is no such file. @throws {FilesError} for every other reason */
export async function readTextIfThere(files: Files, path: string): Promise<string | undefined> {
  try {
    return await readText(files, path);
  } catch (error) {
    if (error instanceof FilesError && (error.code === "not-found" || error.code === "not-directory")) return;
    throw error;
  }
}

/** Names in a folder, sorted; none where there is no folder for us. @throws {FilesError} for every other reason */
export async function listFolder(files: Files, path: string): Promise<string[]> {
  try {
    const folder = await files.list(path);
    const names: string[] = [];
    try {
      for (let more = await folder.next(256); more.length > 0; more = await folder.next(256)) {
        names.push(...more);
      }
    } finally {
      await folder.close();
    }
    return names.sort();
  } catch (error) {
    if (error instanceof FilesError && NO_FOLDER.has(error.code)) return [];
    throw error;
  }
}

const NO_FOLDER: ReadonlySet<FilesError["code"]> = new Set(["not-found", "not-directory", "permission"]);

function joined(chunks: readonly Bytes[], length: number): Bytes {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
