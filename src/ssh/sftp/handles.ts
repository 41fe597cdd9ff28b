/** What the peer has open. */
import type { Bytes } from "../../bytes/bytes.ts";
import { type DirectoryHandle, type FileHandle, FilesError } from "../../platform/files.ts";

/** An open file. */
export interface OpenFile {
  readonly kind: "file";
  readonly file: FileHandle;
  /** Names the file itself: two handles to one file have one identity. */
  readonly identity: string;
  readonly append: boolean;
}

/** A listing in progress. */
export interface OpenDirectory {
  readonly kind: "directory";
  readonly listing: DirectoryHandle;
  readonly path: string;
  readonly identity: string;
  /** Whether `.` and `..`, which come first, have been sent. */
  started: boolean;
}

export type OpenHandle = OpenFile | OpenDirectory;

/** Handles by the four bytes that name them on the wire. Numbers are not used twice before they wrap. */
export class HandleTable {
  readonly #open = new Map<number, OpenHandle>();
  readonly #max: number;
  #reserved = 0;
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Opens something and keeps it. The place is taken before `open` runs, so that parallel requests stay within the cap.
   * @throws {FilesError} `too-many-open`, or what `open` throws
   */
  async add(open: () => Promise<OpenHandle>): Promise<Bytes> {
    if (this.#open.size + this.#reserved >= this.#max) {
      throw new FilesError("too-many-open", `${this.#max} handles are open`);
    }
    this.#reserved++;
    try {
      const handle = await open();
      while (this.#open.has(this.#next)) this.#next = (this.#next + 1) >>> 0;
      const number = this.#next;
      this.#next = (number + 1) >>> 0;
      this.#open.set(number, handle);
      const name = new Uint8Array(4);
      new DataView(name.buffer).setUint32(0, number);
      return name;
    } finally {
      this.#reserved--;
    }
  }

  /** What `name` stands for, if anything. */
  find(name: Bytes): OpenHandle | undefined {
    return this.#open.get(numberOf(name));
  }

  /** @throws {FilesError} `bad-handle` unless `name` is an open file */
  file(name: Bytes): OpenFile {
    const handle = this.find(name);
    if (handle?.kind !== "file") throw new FilesError("bad-handle", "not an open file");
    return handle;
  }

  /** @throws {FilesError} `bad-handle` unless `name` is an open directory */
  directory(name: Bytes): OpenDirectory {
    const handle = this.find(name);
    if (handle?.kind !== "directory") throw new FilesError("bad-handle", "not an open directory");
    return handle;
  }

  /** Forgets and closes. @throws {FilesError} `bad-handle`, or what closing throws: it is gone all the same */
  async close(name: Bytes): Promise<void> {
    const handle = this.find(name);
    if (!handle) throw new FilesError("bad-handle", "not an open handle");
    this.#open.delete(numberOf(name));
    await close(handle);
  }

  /** Closes all, whatever some of them say. */
  async closeAll(): Promise<void> {
    const handles = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(handles.map(close));
  }
}

function numberOf(name: Bytes): number {
  return name.length === 4 ? new DataView(name.buffer, name.byteOffset).getUint32(0) : -1;
}

function close(handle: OpenHandle): Promise<void> {
  return handle.kind === "file" ? handle.file.close() : handle.listing.close();
}
