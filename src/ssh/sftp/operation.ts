/** What an operation of the server is, and the ways most of them are made. */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Accounts, type Files, FilesError } from "../../platform/files.ts";
import type { HandleTable } from "./handles.ts";
import type { Access } from "./ordering.ts";
import type { PacketPool } from "./packet.ts";
import { Status } from "./protocol.ts";
import { statusReply } from "./reply.ts";
import type { Request, RequestOf } from "./request.ts";

/** What operations work on: one session's. */
export interface Context {
  readonly files: Files;
  readonly accounts: Accounts;
  /** Absolute; where relative paths begin and what `~` means. */
  readonly home: string;
  readonly readOnly: boolean;
  readonly handles: HandleTable;
  readonly maxHandles: number;
  readonly pool: PacketPool;
  readonly clock: Clock;
  /** Aborts when no more requests come: long work gives up. */
  readonly ending: AbortSignal;
}

/** How the server does one kind of request. */
export interface Operation<R> {
  /** What the request looks at and changes, as far as other requests could notice. */
  accesses(context: Context, request: R): readonly Access[];
  /** Whether a read-only server refuses it. */
  mutates(request: R): boolean;
  /** Memory that the reply takes beside the request's own, in bytes. */
  replySize(request: R): number;
  /** Does it. Resolves to the reply packet; rejects with {@link FilesError} or {@link SftpError} for a status. */
  run(context: Context, request: R, id: number): Promise<Bytes>;
}

/** One operation for each of some request types. */
export type Operations<K extends Request["type"]> = { readonly [T in K]: Operation<RequestOf<T>> };

type Run<R> = Operation<R>["run"];

/** A reply that holds little. */
const SMALL_REPLY = 1024;

const small = () => SMALL_REPLY;

/** Looks at whatever its paths lead to. */
export function looks<R>(run: Run<R>): Operation<R> {
  return { accesses: () => [{ changes: false }], mutates: () => false, replySize: small, run };
}

/** Changes whatever its paths lead to, and answers with success. */
export function alters<R>(change: (context: Context, request: R) => Promise<void>): Operation<R> {
  return {
    accesses: () => [{ changes: true }],
    mutates: () => true,
    replySize: small,
    run: succeeds(change),
  };
}

/** Makes a {@link Run} of something without a result. */
export function succeeds<R>(work: (context: Context, request: R) => Promise<void>): Run<R> {
  return async (context, request, id) => {
    await work(context, request);
    return statusReply(id, Status.ok, "Success");
  };
}

/** Works on what one handle stands for. With an unknown handle nothing is touched, and `run` fails by itself. */
export function onHandle<R extends { readonly handle: Bytes }>(
  access: { readonly changes: boolean },
  run: Run<R>,
  more: Partial<Pick<Operation<R>, "mutates" | "replySize">> = {},
): Operation<R> {
  return {
    accesses: (context, { handle }) => wholeFile(context, handle, access.changes),
    mutates: () => false,
    replySize: small,
    run,
    ...more,
  };
}

/** Access to all of what `handle` stands for. */
export function wholeFile(context: Context, handle: Bytes, changes: boolean): Access[] {
  const open = context.handles.find(handle);
  return open ? [{ changes, file: open.identity }] : [];
}

/** An absolute path. The empty path is nothing, as for the system. */
export function absolute({ home }: Context, path: string): string {
  if (path === "") throw new FilesError("not-found", "an empty path");
  return path.startsWith("/") ? path : `${home}/${path}`;
}
