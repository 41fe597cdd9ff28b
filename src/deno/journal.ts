/** Files of lines that grow, on this machine's disk. */
import type { Bytes } from "../bytes/bytes.ts";
import type { Journal, JournalLimits } from "../platform/state.ts";

const encoder = new TextEncoder();

const LINE_FEED = 10;

/** Lines waiting to be written at most: beyond that the disk cannot follow, and memory must not. */
const MAX_WAITING_LINES = 100_000;

/** The same while nothing can be written: some megabytes, and hours of a quiet gateway. */
export const MAX_HELD_LINES = 10_000;

/** What a journal needs of a file that is open for appending. */
export type JournalFile = Pick<Deno.FsFile, "write" | "truncate" | "sync" | "close">;

/** Goes on where the file at `path` ends, which is made where there is none. */
export async function openFileJournal(path: string, limits: JournalLimits): Promise<Journal> {
  const torn = await endsWithinLine(path);
  const file = await openForAppending(path);
  return new FileJournal(path, limits, file, (await file.stat()).size, torn);
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

/**
 * Lines that cannot be written wait in memory for the next one, which tries again: a full disk stops neither the service
 * nor, for a while, its records.
 */
export class FileJournal implements Journal {
  readonly #path: string;
  readonly #limits: JournalLimits;
  #file: JournalFile;
  #size: number;
  /** The file ends within a line: the next one begins with a line break. */
  #torn: boolean;
  #waiting: string[] = [];
  /** Those at the head of the queue could not be written. */
  #held = false;
  #lost = 0;
  #writing?: Promise<void>;
  #closed = false;

  constructor(path: string, limits: JournalLimits, file: JournalFile, size: number, torn: boolean) {
    this.#torn = torn;
    this.#path = path;
    this.#limits = limits;
    this.#file = file;
    this.#size = size;
  }

  append(line: string): void {
    if (this.#closed) return;
    if (this.#waiting.length >= (this.#held ? MAX_HELD_LINES : MAX_WAITING_LINES)) {
      this.#lose(1, new Error("more lines wait than are kept"));
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
    this.#writing = this.#drain();
    await this.flush();
    if (this.#waiting.length > 0) this.#lose(this.#waiting.length, new Error("they could not be written"));
    await this.#file.sync().catch(() => {});
    this.#file.close();
  }

  async #drain(): Promise<void> {
    // What is appended in the same turn goes out in one write.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      // One alone finds out whether there is room again.
      const lines = this.#waiting.splice(0, this.#held ? 1 : this.#waiting.length);
      const lost = this.#lost;
      const said = lost > 0 ? [...lines, JSON.stringify({ event: "lines-lost", count: lost })] : lines;
      try {
        await this.#write(encoder.encode((this.#torn ? "\n" : "") + said.join("\n") + "\n"));
        this.#lost -= lost;
        this.#held = false;
      } catch (cause) {
        this.#waiting = [...lines, ...this.#waiting];
        if (!this.#held) this.#limits.onDelay?.(cause);
        this.#held = true;
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
    const { length } = bytes;
    let at = 0;
    try {
      while (at < length) at += await this.#file.write(bytes.subarray(at));
      this.#torn = false;
      this.#size += length;
    } catch (cause) {
      if (at > 0) await this.#takeBack(at);
      throw cause;
    }
  }

  /** `count` bytes of what is written again later. */
  async #takeBack(count: number): Promise<void> {
    try {
      await this.#file.truncate(this.#size);
    } catch {
      this.#torn = true;
      this.#size += count;
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
