/** The state folder on this machine's disk. */
import type { Bytes } from "../bytes/bytes.ts";
import { type Journal, type JournalLimits, StateError, type StateFolder } from "../platform/state.ts";
import { asFilesError } from "./files_error.ts";
import { openFileJournal } from "./journal.ts";

/** Bits of a mode that let others in. */
const OTHERS = 0o077;

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
      return await openFileJournal(path, limits);
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

/** Why a file cannot be used, for the end of a sentence that names it. */
function sentence(error: unknown): string {
  return asFilesError(error).message;
}
