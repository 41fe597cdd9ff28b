/** Requests that concern open files: their content first of all. */
import { type FileHandle, FilesError } from "../../platform/files.ts";
import { fromStat, toChange } from "./attributes.ts";
import {
  absolute,
  type Context,
  onHandle,
  type Operation,
  type Operations,
  succeeds,
  wholeFile,
} from "./operation.ts";
import type { Access } from "./ordering.ts";
import { MAX_DATA, OpenFlag, Status } from "./protocol.ts";
import { attributesReply, DATA_OFFSET, dataReply, handleReply } from "./reply.ts";
import type { RequestOf } from "./request.ts";
import { SftpError } from "./status.ts";

const WRITING = OpenFlag.write | OpenFlag.append | OpenFlag.create | OpenFlag.truncate;

/** Access to a range of what `handle` stands for. */
function partOfFile(
  context: Context,
  { handle, offset }: { handle: RequestOf<"read">["handle"]; offset: number },
  length: number,
  changes: boolean,
): Access[] {
  const open = context.handles.find(handle);
  if (!open) return [];
  // Nobody knows where an append lands.
  if (changes && open.kind === "file" && open.append) return [{ changes, file: open.identity }];
  return [{ changes, file: open.identity, range: { from: offset, to: offset + length } }];
}

/** Refuses what no file reaches, and where a double no longer counts single bytes. */
function checkRange(offset: number, length: number): void {
  if (!Number.isSafeInteger(offset + length)) throw new FilesError("invalid", `offset ${offset}`);
}

const open: Operation<RequestOf<"open">> = {
  accesses: (_, { flags }) => [{ changes: (flags & (OpenFlag.create | OpenFlag.truncate)) !== 0 }],
  mutates: ({ flags }) => (flags & WRITING) !== 0,
  replySize: () => 64,
  run: async (context, { path, flags, attributes }, id) => {
    const has = (flag: number) => (flags & flag) !== 0;
    const name = await context.handles.add(async () => {
      const file = await context.files.open(absolute(context, path), {
        read: has(OpenFlag.read) || !has(OpenFlag.write),
        write: has(OpenFlag.write),
        append: has(OpenFlag.append),
        create: has(OpenFlag.create),
        exclusive: has(OpenFlag.exclusive) && has(OpenFlag.create),
        truncate: has(OpenFlag.truncate),
        mode: attributes.mode === undefined ? undefined : attributes.mode & 0o7777,
      });
      try {
        const { identity } = await file.stat();
        return { kind: "file", file, identity, append: has(OpenFlag.append) };
      } catch (error) {
        await file.close();
        throw error;
      }
    });
    return handleReply(id, name);
  },
};

const read: Operation<RequestOf<"read">> = {
  accesses: (context, request) => partOfFile(context, request, Math.min(request.length, MAX_DATA), false),
  mutates: () => false,
  replySize: ({ length }) => Math.min(length, MAX_DATA) + DATA_OFFSET,
  run: async ({ handles, pool }, { handle, offset, length }, id) => {
    const { file } = handles.file(handle);
    const wanted = Math.min(length, MAX_DATA);
    checkRange(offset, wanted);
    const buffer = pool.take(DATA_OFFSET + wanted);
    try {
      // The file's bytes land where the reply has them.
      const count = await file.read(buffer.subarray(DATA_OFFSET), offset);
      if (count === 0) throw new SftpError(Status.endOfFile, "End of file");
      return dataReply(id, buffer, count);
    } catch (error) {
      pool.give(buffer);
      throw error;
    }
  },
};

const write: Operation<RequestOf<"write">> = {
  accesses: (context, request) => partOfFile(context, request, request.data.length, true),
  mutates: () => true,
  replySize: () => 64,
  run: succeeds(async ({ handles }, { handle, offset, data }) => {
    const { file } = handles.file(handle);
    checkRange(offset, data.length);
    await file.write(data, offset);
  }),
};

/** Copied at once by copy-data; one buffer of the pool. */
const COPY_STEP = MAX_DATA;

/** Copies `length` bytes, or up to the end when it is 0. @returns whether the source had them all */
async function copy(context: Context, from: FileHandle, to: FileHandle, request: RequestOf<"copyData">) {
  const { fromOffset, length, toOffset } = request;
  const limit = length === 0 ? Infinity : length;
  const buffer = context.pool.take(COPY_STEP);
  try {
    for (let done = 0; done < limit;) {
      context.ending.throwIfAborted();
      const step = Math.min(COPY_STEP, limit - done);
      checkRange(Math.max(fromOffset, toOffset) + done, step);
      const count = await from.read(buffer.subarray(0, step), fromOffset + done);
      if (count === 0) return length === 0;
      await to.write(buffer.subarray(0, count), toOffset + done);
      done += count;
    }
    return true;
  } finally {
    context.pool.give(buffer);
  }
}

const copyData: Operation<RequestOf<"copyData">> = {
  accesses: (context, { from, to }) => [...wholeFile(context, from, false), ...wholeFile(context, to, true)],
  mutates: () => true,
  replySize: () => COPY_STEP,
  run: succeeds(async (context, request) => {
    const from = context.handles.file(request.from);
    const to = context.handles.file(request.to);
    // A file copied onto itself could grow for ever.
    if (from.identity === to.identity) throw new FilesError("invalid", "copy-data within one file");
    if (!await copy(context, from.file, to.file, request)) {
      throw new SftpError(Status.endOfFile, "End of file");
    }
  }),
};

/** OPEN, CLOSE, READ, WRITE, FSTAT, FSETSTAT of draft §6.3–6.9, and fsync and copy-data. */
export const fileOperations: Operations<
  "open" | "close" | "read" | "write" | "fstat" | "fsetstat" | "fsync" | "copyData"
> = {
  open,
  close: onHandle({ changes: true }, succeeds(({ handles }, { handle }) => handles.close(handle))),
  read,
  write,
  fstat: onHandle({ changes: false }, async ({ handles }, { handle }, id) => {
    return attributesReply(id, fromStat(await handles.file(handle).file.stat()));
  }),
  fsetstat: onHandle(
    { changes: true },
    succeeds(({ handles }, { handle, attributes }) => handles.file(handle).file.change(toChange(attributes))),
    { mutates: () => true },
  ),
  // Written data must be there before it is flushed, and errors of the flush belong to it.
  fsync: onHandle(
    { changes: true },
    succeeds(({ handles }, { handle }) => handles.file(handle).file.sync()),
  ),
  copyData,
};
