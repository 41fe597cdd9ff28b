/** Texts that are written for the user. */
import { encodeText } from "../bytes/bytes.ts";
import { FilesError } from "../platform/files.ts";
import { SshmError } from "./exit_codes.ts";
import type { SshmHost } from "./host.ts";

/** Writes a file as a whole or not at all. @param mode its permission bits @throws {SshmError} `files` */
export async function writeText(
  { ownFiles }: SshmHost,
  path: string,
  text: string,
  mode: number,
): Promise<void> {
  try {
    await ownFiles.replace(path, encodeText(text), mode);
  } catch (cause) {
    if (!(cause instanceof FilesError)) throw cause;
    throw new SshmError("files", `${path} cannot be written: ${cause.message}`, { cause });
  }
}
