/** Files that a command writes for the user who runs it. */
import type { Bytes } from "../bytes/bytes.ts";
import { FilesError } from "../platform/files.ts";
import type { OwnFiles } from "../sshm/host.ts";
import { attempt } from "./files_error.ts";

/** Bits of a mode that let others in. */
const OTHERS = 0o077;

export const ownFiles: OwnFiles = {
  replace: (path, content, mode) => attempt(() => replace(path, content, mode)),
  makePrivateFolder: (path) => attempt(() => makePrivateFolder(path)),
  remove: (path) => attempt(() => Deno.remove(path)),
};

async function replace(path: string, content: Bytes, mode: number): Promise<void> {
  // Two runs at once write two drafts; the last rename wins, and each is whole.
  const draft = `${path}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    using file = await Deno.open(draft, { write: true, createNew: true, mode });
    for (let at = 0; at < content.length;) at += await file.write(content.subarray(at));
    await file.sync();
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
}

async function makePrivateFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  const { mode, uid } = await Deno.lstat(path);
  const self = Deno.uid();
  if (mode !== null && (mode & OTHERS) !== 0 || uid !== null && self !== null && uid !== self) {
    throw new FilesError("permission", `${path} is open to others (chmod 700 ${path})`);
  }
}
