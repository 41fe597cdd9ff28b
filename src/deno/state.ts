/** The state folder on this machine's disk. */
import type { Bytes } from "../bytes/bytes.ts";
import { type Journal, type JournalLimits, StateError, type StateFolder } from "../platform/state.ts";

/** Bits of a mode that let others in. */
const OTHERS = 0o077;

const encoder = new TextEncoder();

/**
 * Opens a state folder, making it (0700) where it does not exist.
 * @param lock name of the file whose lock says that the folder is in use
 * @throws {StateError} when it is open to others, in use, or cannot be made
 */
export async function openStateFolder(path: string, lock: string): Promise<StateFolder> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new StateError("failed", `the state folder ${path} cannot be made: ${sentence(cause)}`, { cause });
  }
  const folder = new SystemStateFolder(path);
  await requirePrivate(path, "0700");
  await folder.lock(lock);
  return folder;
}

/**
 * Looks whether `openStateFolder` could use `path`, without making, locking or changing anything.
 * @throws {StateError}
 */
export async function checkStateFolder(path: string): Promise<void> {
  try {
    await requirePrivate(path, "0700");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

class SystemStateFolder implements StateFolder {
  readonly path: string;
  #lock?: Deno.FsFile;

  constructor(path: string) {
    this.path = path;
  }

  async lock(name: string): Promise<void> {
    const path = this.#at(name);
    try {
      this.#lock = await Deno.open(path, { write: true, create: true, mode: 0o600 });
    } catch (cause) {
      throw new StateError("failed", `${path} cannot be opened: ${sentence(cause)}`, { cause });
    }
    // The system drops the lock with the process, however that ends.
    if (await this.#lock.tryLock(true)) return;
    this.#lock.close();
    this.#lock = undefined;
    throw new StateError(
      "in-use",
      `another process uses the state folder ${this.path}: '--state DIR' gives this one its own`,
    );
  }

  async read(name: string): Promise<Bytes | undefined> {
    const path = this.#at(name);
    try {
      const content = await Deno.readFile(path);
      await requirePrivate(path, "0600");
      return content;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      if (cause instanceof StateError) throw cause;
      throw new StateError("failed", `${path} cannot be read: ${sentence(cause)}`, { cause });
    }
  }

  async write(name: string, content: Bytes): Promise<void> {
    const path = this.#at(name);
    // A leftover of a process that was killed is overwritten: the lock says that nobody else is at it.
    const draft = `${path}.new`;
    try {
      await Deno.remove(draft).catch(() => {});
      using file = await Deno.open(draft, { write: true, createNew: true, mode: 0o600 });
      for (let at = 0; at < content.length;) at += await file.write(content.subarray(at));
      await file.sync();
      await Deno.rename(draft, path);
      await this.#sync();
    } catch (cause) {
      throw new StateError("failed", `${path} cannot be written: ${sentence(cause)}`, { cause });
    }
  }

  async openJournal(name: string, limits: JournalLimits): Promise<Journal> {
    const path = this.#at(name);
    try {
      const torn = await endsWithinLine(path);
      const file = await openForAppending(path);
      return new FileJournal(path, limits, file, (await file.stat()).size, torn);
    } catch (cause) {
      throw new StateError("failed", `${path} cannot be opened: ${sentence(cause)}`, { cause });
    }
  }

  close(): void {
    this.#lock?.close();
    this.#lock = undefined;
  }

  #at(name: string): string {
    return `${this.path}/${name}`;
  }

  /** The rename itself is on disk only when the folder is. */
  async #sync(): Promise<void> {
    using folder = await Deno.open(this.path);
    await folder.sync();
  }
}

function openForAppending(path: string): Promise<Deno.FsFile> {
  return Deno.open(path, { append: true, create: true, mode: 0o600 });
}

/** Whether the last line has no end: whoever wrote it was killed in the middle. */
async function endsWithinLine(path: string): Promise<boolean> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  using _ = file;
  if ((await file.stat()).size === 0) return false;
  await file.seek(-1, Deno.SeekMode.End);
  const last = new Uint8Array(1);
  return await file.read(last) === 1 && last[0] !== LINE_FEED;
}

const LINE_FEED = 10;

/** Lines waiting to be written at most: beyond that the disk cannot follow, and memory must not. */
const MAX_WAITING_LINES = 100_000;

class FileJournal implements Journal {
  readonly #path: string;
  readonly #limits: JournalLimits;
  #file: Deno.FsFile;
  #size: number;
  /** The file ends within a line: the next one begins with a line break. */
  #torn: boolean;
  #waiting: string[] = [];
  #lost = 0;
  #writing?: Promise<void>;
  #closed = false;

  constructor(path: string, limits: JournalLimits, file: Deno.FsFile, size: number, torn: boolean) {
    this.#torn = torn;
    this.#path = path;
    this.#limits = limits;
    this.#file = file;
    this.#size = size;
  }

  append(line: string): void {
    if (this.#closed) return;
    if (this.#waiting.length >= MAX_WAITING_LINES) {
      this.#lose(1, new Error("the disk does not follow"));
      return;
    }
    this.#waiting.push(line);
    this.#writing ??= this.#drain();
  }

  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.flush();
    await this.#file.sync().catch(() => {});
    this.#file.close();
  }

  async #drain(): Promise<void> {
    // What is appended in the same turn goes out in one write.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      const lost = this.#lost;
      const said = lost > 0 ? [JSON.stringify({ event: "lines-lost", count: lost }), ...lines] : lines;
      try {
        await this.#write(encoder.encode((this.#torn ? "\n" : "") + said.join("\n") + "\n"));
        this.#lost -= lost;
      } catch (cause) {
        // A full disk loses records and not the service; what is written next tells how many.
        this.#lose(lines.length, cause);
        break;
      }
    }
    this.#writing = undefined;
  }

  #lose(count: number, cause: unknown): void {
    if (this.#lost === 0) this.#limits.onLoss?.(cause);
    this.#lost += count;
  }

  async #write(bytes: Bytes): Promise<void> {
    if (this.#size > 0 && this.#size + bytes.length > this.#limits.maxBytes) await this.#setAside();
    for (let at = 0; at < bytes.length;) {
      const count = await this.#file.write(bytes.subarray(at));
      at += count;
      this.#size += count;
      this.#torn = at < bytes.length;
    }
  }

  async #setAside(): Promise<void> {
    const { keep } = this.#limits;
    for (let number = keep; number > 0; number--) {
      const younger = number === 1 ? this.#path : `${this.#path}.${number - 1}`;
      await Deno.rename(younger, `${this.#path}.${number}`).catch(() => {});
    }
    const next = await openForAppending(this.#path);
    this.#file.close();
    this.#file = next;
    this.#torn = false;
    this.#size = (await next.stat()).size;
  }
}

/** @throws {StateError} `too-open` */
async function requirePrivate(path: string, wanted: string): Promise<void> {
  const { mode, uid } = await Deno.stat(path);
  if (mode !== null && (mode & OTHERS) !== 0) {
    const found = (mode & 0o7777).toString(8).padStart(4, "0");
    throw new StateError(
      "too-open",
      `${path} has mode ${found}, others get in: it must be ${wanted} (chmod ${wanted} ${path})`,
    );
  }
  const self = Deno.uid();
  if (uid !== null && self !== null && self !== 0 && uid !== self) {
    throw new StateError("too-open", `${path} belongs to another user`);
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
