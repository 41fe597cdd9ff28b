/** The SFTP server: one session over one connection or channel. */
import type { Bytes } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";
import { type Accounts, type Files, FilesError } from "../../platform/files.ts";
import { type Duplex, plain, type PlainDuplex } from "../../streams/duplex.ts";
import { SshError } from "../error.ts";
import { Budget } from "./budget.ts";
import { fileOperations } from "./file_operations.ts";
import { HandleTable } from "./handles.ts";
import { infoOperations } from "./info_operations.ts";
import type { Context, Operation, Operations } from "./operation.ts";
import { Ordering } from "./ordering.ts";
import { PacketPool, PacketReader, PacketWriter } from "./packet.ts";
import { pathOperations } from "./path_operations.ts";
import { PacketType, Status } from "./protocol.ts";
import { statusReply, versionPacket } from "./reply.ts";
import { decodeRequest, EXTENSIONS, type Request } from "./request.ts";
import { asProtocolError, isOutcome, outcomeOf } from "./status.ts";

/** What an SFTP session may touch, and how much of it at once. */
export interface SftpServerOptions {
  readonly files: Files;
  readonly accounts: Accounts;
  /** Absolute path where the session begins: relative paths and `~` mean it. */
  readonly home: string;
  /** Refuses every request that would change something. */
  readonly readOnly?: boolean;
  /** Files and directories open at once. Default {@link MAX_HANDLES}. */
  readonly maxHandles?: number;
  /** Memory for requests and replies in flight, in bytes. Default {@link MAX_BYTES_IN_FLIGHT}. */
  readonly maxBytesInFlight?: number;
  readonly clock?: Clock;
  /** Hears of each failure that is none of the file system's own: the peer only learns that there was one. */
  readonly onFault?: (request: Request["type"], error: unknown) => void;
  /** Ends the session at once: closes the connection. */
  readonly signal?: AbortSignal;
}

/** Handles of one session: plenty for any client, and four such sessions fit the usual 1024 of a process. */
export const MAX_HANDLES = 256;

/** Requests at work at once: what OpenSSH's client keeps outstanding. Further ones wait in the channel's window. */
export const MAX_REQUESTS = 64;

/** Enough to keep disk and network busy at the same time; a peer that stops reading costs no more. */
export const MAX_BYTES_IN_FLIGHT = 4 * 1024 * 1024;

/** Data buffers kept for the next packets, 256 KiB each: a session that has gone idle holds no more. */
const KEPT_BUFFERS = 4;

const OPERATIONS: Operations<Request["type"]> = { ...fileOperations, ...pathOperations, ...infoOperations };

/** Extensions whose requests always change something: a read-only server does not announce them. */
const CHANGING: ReadonlySet<string> = new Set(["posixRename", "hardlink", "lsetstat", "copyData"]);

/**
 * Serves SFTP version 3 until the peer ends its direction. By then every request has been answered and every handle is
 * closed; the connection itself is left to the caller, who can still send an exit status.
 * @throws {SshError} `protocol` when the peer sent what is no SFTP; the connection's own error when that broke; the
 * signal's reason. Handles are closed here too.
 */
export async function serveSftp(duplex: Duplex, options: SftpServerOptions): Promise<void> {
  const session = new Session(plain(duplex), options);
  const abort = () => session.abort(options.signal?.reason);
  if (options.signal?.aborted) abort();
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    await session.run();
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
}

class Session {
  readonly #duplex: PlainDuplex;
  readonly #context: Context;
  readonly #reader: PacketReader;
  readonly #writer: PacketWriter;
  readonly #budget: Budget;
  readonly #ordering = new Ordering();
  readonly #onFault: SftpServerOptions["onFault"];
  readonly #ending = new AbortController();
  readonly #answers = new Set<Promise<void>>();
  #broken?: { readonly reason: unknown };

  constructor(duplex: PlainDuplex, options: SftpServerOptions) {
    const maxHandles = options.maxHandles ?? MAX_HANDLES;
    const pool = new PacketPool(KEPT_BUFFERS);
    this.#duplex = duplex;
    this.#onFault = options.onFault;
    this.#reader = new PacketReader(duplex, pool);
    this.#writer = new PacketWriter(duplex);
    this.#budget = new Budget(MAX_REQUESTS, options.maxBytesInFlight ?? MAX_BYTES_IN_FLIGHT);
    this.#context = {
      files: options.files,
      accounts: options.accounts,
      home: options.home,
      readOnly: options.readOnly ?? false,
      handles: new HandleTable(maxHandles),
      maxHandles,
      pool,
      clock: options.clock ?? systemClock,
      ending: this.#ending.signal,
    };
  }

  /** Ends the connection; `run` rejects with `reason`. */
  abort(reason: unknown): void {
    this.#broken ??= { reason };
    this.#ending.abort(reason);
    this.#duplex.close(reason);
  }

  async run(): Promise<void> {
    try {
      await this.#begin();
      await this.#serve();
    } catch (error) {
      this.#broken ??= { reason: asProtocolError(error) };
    }
    this.#ending.abort();
    await Promise.all(this.#answers);
    await this.#context.handles.closeAll();
    if (this.#broken) throw this.#broken.reason;
  }

  /** Draft §4: INIT and VERSION come first. Whatever version the client has, this is the one to go on with. */
  async #begin(): Promise<void> {
    const body = await this.#reader.next();
    if (!body) return;
    const reader = new Reader(body);
    const type = reader.byte();
    if (type !== PacketType.init) throw new SshError("protocol", `SFTP began with packet type ${type}`);
    reader.uint32();
    const extensions = Object.entries(EXTENSIONS)
      .filter(([type]) => !(this.#context.readOnly && CHANGING.has(type)))
      .map(([, { extension, version }]) => [extension, version] as const);
    await this.#writer.send(versionPacket(extensions));
  }

  async #serve(): Promise<void> {
    for (let body; (body = await this.#reader.next());) {
      const reader = new Reader(body);
      const type = reader.byte();
      if (type === PacketType.init) throw new SshError("protocol", "a second SFTP INIT");
      const id = reader.uint32();
      const { cost, answer } = this.#prepare(body, type, id, reader);
      // Not reading on is the back-pressure.
      await this.#budget.acquire(cost);
      if (this.#broken) return;
      const answered = this.#answer(answer, body, cost);
      this.#answers.add(answered);
      void answered.finally(() => this.#answers.delete(answered));
    }
  }

  /** Decodes a request. @returns what it will take, and how to come to the reply. @throws {MalformedError} */
  #prepare(
    body: Bytes,
    type: number,
    id: number,
    reader: Reader,
  ): { cost: number; answer: () => Promise<Bytes> } {
    const refuse = (status: number, message: string) => ({
      cost: body.length,
      answer: () => Promise.resolve(statusReply(id, status, message)),
    });
    let request: Request | undefined;
    try {
      request = decodeRequest(type, reader);
    } catch (error) {
      if (!(error instanceof FilesError)) throw error;
      const { status, message } = outcomeOf(error);
      return refuse(status, message);
    }
    if (!request) return refuse(Status.unsupported, "Operation not supported");
    // The table has for each type an operation of that very type; TypeScript cannot follow the pairing.
    const operation = OPERATIONS[request.type] as Operation<Request>;
    const context = this.#context;
    if (context.readOnly && operation.mutates(request)) {
      return refuse(Status.permissionDenied, "This server is read-only");
    }
    return {
      cost: body.length + operation.replySize(request),
      answer: async () => {
        try {
          return await this.#ordering.run(
            operation.accesses(context, request),
            () => operation.run(context, request, id),
          );
        } catch (error) {
          if (!isOutcome(error) && !this.#ending.signal.aborted) this.#onFault?.(request.type, error);
          const { status, message } = outcomeOf(error);
          return statusReply(id, status, message);
        }
      },
    };
  }

  /** Sends the reply. Never rejects: what goes wrong ends the session. */
  async #answer(answer: () => Promise<Bytes>, body: Bytes, cost: number): Promise<void> {
    const { pool } = this.#context;
    try {
      const reply = await answer();
      pool.give(body);
      await this.#writer.send(reply);
      pool.give(reply);
    } catch (error) {
      this.abort(error);
    } finally {
      this.#budget.release(cost);
    }
  }
}
