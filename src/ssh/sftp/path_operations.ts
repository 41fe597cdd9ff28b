/** Requests that name files by path. */
import { type Files, FilesError, type FileSystemStat } from "../../platform/files.ts";
import type { Bytes } from "../../bytes/bytes.ts";
import { fromStat, toChange } from "./attributes.ts";
import { formatLongName } from "./long_name.ts";
import { absolute, alters, type Context, looks, onHandle, type Operations } from "./operation.ts";
import { FileSystemFlag, Status } from "./protocol.ts";
import { attributesReply, extendedReply, handleReply, type NameEntry, nameReply } from "./reply.ts";
import { SftpError } from "./status.ts";

/** Names in one READDIR reply, as OpenSSH has it: with the longest names they fill a packet. */
const NAMES_PER_REPLY = 100;

/** What a READDIR reply takes, in bytes, with names of usual length. */
const NAMES_REPLY_SIZE = 32 * 1024;

/** The canonical form of a path whose last component need not exist: clients ask before they create. */
export async function canonical(files: Files, path: string): Promise<string> {
  try {
    return await files.realpath(path);
  } catch (error) {
    if (!(error instanceof FilesError && error.code === "not-found")) throw error;
    const [, parent, name] = /^(.*?)\/+([^/]+)\/*$/.exec(path) ?? [];
    if (name === undefined || name === "." || name === "..") throw error;
    const folder = await files.realpath(parent || "/");
    return folder === "/" ? `/${name}` : `${folder}/${name}`;
  }
}

/** `~`, `~/x` and `~user/x` in place of home directories; anything else as it is. */
async function expandHome({ accounts, home }: Context, path: string): Promise<string> {
  const [, user, rest] = /^~([^/]*)(.*)$/s.exec(path) ?? [];
  if (user === undefined) return path;
  const folder = user === "" ? home : await accounts.home(user);
  if (folder === undefined) throw new FilesError("not-found", `no home of ${user}`);
  return folder + rest;
}

/** A NAME reply with a path and nothing else, for REALPATH and READLINK. */
function pathReply(id: number, path: string): Bytes {
  return nameReply(id, [{ name: path, longName: path, attributes: {} }]);
}

/** Names and what `lstat` says of each; those that have gone meanwhile are left out. */
async function describe(context: Context, folder: string, names: readonly string[]): Promise<NameEntry[]> {
  const { files, accounts } = context;
  const found = await Promise.all(
    names.map((name) => files.lstat(`${folder}/${name}`).catch(() => undefined)),
  );
  const [users, groups] = await Promise.all([
    accounts.users(found.map((stat) => stat?.uid ?? -1)),
    accounts.groups(found.map((stat) => stat?.gid ?? -1)),
  ]);
  const now = context.clock.now() / 1000;
  return names.flatMap((name, i) => {
    const stat = found[i];
    if (!stat) return [];
    const owner = { user: users[i] ?? String(stat.uid), group: groups[i] ?? String(stat.gid) };
    return [{ name, longName: formatLongName(name, stat, owner, now), attributes: fromStat(stat) }];
  });
}

/** Reply to statvfs@openssh.com and fstatvfs@openssh.com. */
function fileSystemReply(id: number, stat: FileSystemStat, readOnly: boolean): Bytes {
  return extendedReply(id, (writer) => {
    const fields = [
      stat.blockSize,
      stat.fragmentSize,
      stat.blocks,
      stat.blocksFree,
      stat.blocksAvailable,
      stat.files,
      stat.filesFree,
      stat.filesFree, // Those available to others than root: the system doesn't tell them apart.
      0, // No file system id: it would say nothing to a peer.
      readOnly ? FileSystemFlag.readOnly : 0,
      stat.maxNameLength,
    ];
    for (const value of fields) writer.uint64(BigInt(value));
  });
}

/** The requests of draft §6.5–6.11 that take paths, and the extensions that do. */
export const pathOperations: Operations<
  | "stat"
  | "lstat"
  | "setstat"
  | "lsetstat"
  | "opendir"
  | "readdir"
  | "remove"
  | "mkdir"
  | "rmdir"
  | "realpath"
  | "rename"
  | "posixRename"
  | "readlink"
  | "symlink"
  | "hardlink"
  | "statvfs"
  | "fstatvfs"
  | "expandPath"
> = {
  stat: looks(async (context, { path }, id) =>
    attributesReply(id, fromStat(await context.files.stat(absolute(context, path))))
  ),
  lstat: looks(async (context, { path }, id) =>
    attributesReply(id, fromStat(await context.files.lstat(absolute(context, path))))
  ),
  setstat: alters((context, { path, attributes }) =>
    context.files.change(absolute(context, path), toChange(attributes))
  ),
  lsetstat: alters((context, { path, attributes }) =>
    context.files.lchange(absolute(context, path), toChange(attributes))
  ),
  opendir: looks(async (context, { path }, id) => {
    const folder = absolute(context, path);
    const name = await context.handles.add(async () => {
      const listing = await context.files.list(folder);
      // A listing shares nothing with other handles: it is itself what is ordered.
      return { kind: "directory", listing, path: folder, identity: `listing ${id}`, started: false };
    });
    return handleReply(id, name);
  }),
  readdir: onHandle({ changes: true }, async (context, { handle }, id) => {
    const directory = context.handles.directory(handle);
    for (;;) {
      const names = directory.started ? [] : [".", ".."];
      directory.started = true;
      names.push(...await directory.listing.next(NAMES_PER_REPLY));
      if (names.length === 0) throw new SftpError(Status.endOfFile, "End of file");
      const entries = await describe(context, directory.path, names);
      if (entries.length > 0) return nameReply(id, entries);
    }
  }, { replySize: () => NAMES_REPLY_SIZE }),
  remove: alters((context, { path }) => context.files.unlink(absolute(context, path))),
  mkdir: alters((context, { path, attributes }) =>
    context.files.mkdir(absolute(context, path), (attributes.mode ?? 0o777) & 0o7777)
  ),
  rmdir: alters((context, { path }) => context.files.rmdir(absolute(context, path))),
  realpath: looks(async (context, { path }, id) =>
    pathReply(id, await canonical(context.files, absolute(context, path || ".")))
  ),
  rename: alters((context, { from, to }) =>
    context.files.rename(absolute(context, from), absolute(context, to))
  ),
  posixRename: alters((context, { from, to }) =>
    context.files.replace(absolute(context, from), absolute(context, to))
  ),
  readlink: looks(async (context, { path }, id) =>
    pathReply(id, await context.files.readlink(absolute(context, path)))
  ),
  symlink: alters((context, { target, path }) => context.files.symlink(target, absolute(context, path))),
  hardlink: alters((context, { existing, path }) =>
    context.files.link(absolute(context, existing), absolute(context, path))
  ),
  statvfs: looks(async (context, { path }, id) =>
    fileSystemReply(id, await context.files.statFileSystem(absolute(context, path)), context.readOnly)
  ),
  fstatvfs: onHandle(
    { changes: false },
    async (context, { handle }, id) =>
      fileSystemReply(id, await context.handles.file(handle).file.statFileSystem(), context.readOnly),
  ),
  expandPath: looks(async (context, { path }, id) => {
    const expanded = await expandHome(context, path);
    return pathReply(id, await canonical(context.files, absolute(context, expanded || ".")));
  }),
};
