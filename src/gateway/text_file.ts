/** Texts that the gateway is told to read, and folders of them. */
import { decodeText } from "../bytes/bytes.ts";
import { type Files, FilesError, FileType, isType } from "../platform/files.ts";
import { readWholeFile } from "../platform/whole_file.ts";
import { StartError } from "./exit_codes.ts";

/** As UTF-8. @throws {FilesError} */
export async function readText(files: Files, path: string): Promise<string> {
  return decodeText((await readWholeFile(files, path)).bytes);
}

/** As {@link readText}, for files that the user named. @throws {StartError} `files` */
export async function readNamed(files: Files, path: string): Promise<string> {
  try {
    return await readText(files, path);
  } catch (cause) {
    throw new StartError("files", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Permission bit that lets everybody on the machine write. */
const WRITABLE_BY_EVERYBODY = 0o002;

/**
 * As {@link readText}, for files that say who may what: what everybody on the machine could have written says nothing.
 * @throws {FilesError}
 */
export async function readTrustedText(files: Files, path: string): Promise<string> {
  const { mode, bytes } = await readWholeFile(files, path);
  if ((mode & WRITABLE_BY_EVERYBODY) !== 0 && isType({ mode }, FileType.regular)) {
    throw new FilesError("permission", `everybody can write to it (chmod o-w ${path})`);
  }
  return decodeText(bytes);
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
