/** A file system in memory, small and harmless: for sessions whose requests nobody foresaw. */
import type { Bytes } from "../../../src/bytes/bytes.ts";
import {
  type Accounts,
  type FileChange,
  type FileHandle,
  type Files,
  FilesError,
  type FileStat,
  FileType,
} from "../../../src/platform/files.ts";

interface Node {
  readonly id: number;
  mode: number;
  content: Bytes;
  target?: string;
}

/** Largest file it holds; a write beyond is a full disk. */
export const DISK_SIZE = 1 << 20;

/** Accounts with one user and one group. */
export const oneAccount: Accounts = {
  users: (ids) => Promise.resolve(ids.map((id) => id === 7 ? "alice" : undefined)),
  groups: (ids) => Promise.resolve(ids.map((id) => id === 8 ? "staff" : undefined)),
  home: (user) => Promise.resolve(user === "alice" ? "/home" : undefined),
};

/** `path` without `.`, `..` and needless slashes. */
function normal(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

/** Has the directory `/home`. `openHandles` counts handles that are not closed. */
export class MemoryFiles implements Files {
  readonly nodes = new Map<string, Node>();
  openHandles = 0;
  #nextId = 1;

  constructor(content: Readonly<Record<string, string>> = {}) {
    this.#add("/", FileType.directory | 0o755);
    this.#add("/home", FileType.directory | 0o755);
    for (const [path, text] of Object.entries(content)) {
      this.#add(path, FileType.regular | 0o644).content = new TextEncoder().encode(text);
    }
  }

  #add(path: string, mode: number): Node {
    const node = { id: this.#nextId++, mode, content: new Uint8Array(0) };
    this.nodes.set(path, node);
    return node;
  }

  #find(path: string): Node {
    const node = this.nodes.get(normal(path));
    if (!node) throw new FilesError("not-found", path);
    return node;
  }

  #absent(path: string): void {
    if (this.nodes.has(path)) throw new FilesError("exists", path);
  }

  #stat({ id, mode, content }: Node): FileStat {
    return {
      identity: String(id),
      size: content.length,
      uid: 7,
      gid: 8,
      mode,
      accessed: 1,
      modified: 2,
      links: 1,
    };
  }

  #change(node: Node, { size, mode }: FileChange): void {
    if (size !== undefined) {
      if (size > DISK_SIZE) throw new FilesError("no-space", "full");
      const content = new Uint8Array(size);
      content.set(node.content.subarray(0, size));
      node.content = content;
    }
    if (mode !== undefined) node.mode = node.mode & FileType.mask | mode;
  }

  // deno-lint-ignore require-await
  async open(path: string, options: Parameters<Files["open"]>[1]): Promise<FileHandle> {
    if (options.exclusive) this.#absent(path);
    const node = options.create && !this.nodes.has(path)
      ? this.#add(path, FileType.regular | (options.mode ?? 0o666))
      : this.#find(path);
    if (options.truncate) node.content = new Uint8Array(0);
    this.openHandles++;
    let closed = false;
    const live = () => {
      if (closed) throw new Error("used after close");
    };
    return {
      // deno-lint-ignore require-await
      read: async (into, position) => {
        live();
        const part = node.content.subarray(position, position + into.length);
        into.set(part);
        return part.length;
      },
      // deno-lint-ignore require-await
      write: async (from, position) => {
        live();
        const at = options.append ? node.content.length : position;
        if (at + from.length > node.content.length) this.#change(node, { size: at + from.length });
        node.content.set(from, at);
      },
      stat: () => Promise.resolve(this.#stat(node)),
      // deno-lint-ignore require-await
      change: async (change) => this.#change(node, change),
      sync: () => Promise.resolve(),
      statFileSystem: () => this.statFileSystem(),
      close: () => {
        live();
        closed = true;
        this.openHandles--;
        return Promise.resolve();
      },
    };
  }

  // deno-lint-ignore require-await
  async stat(path: string): Promise<FileStat> {
    return this.#stat(this.#find(path));
  }

  lstat(path: string): Promise<FileStat> {
    return this.stat(path);
  }

  // deno-lint-ignore require-await
  async change(path: string, change: FileChange): Promise<void> {
    this.#change(this.#find(path), change);
  }

  lchange(path: string, change: FileChange): Promise<void> {
    return this.change(path, change);
  }

  // deno-lint-ignore require-await
  async list(path: string): ReturnType<Files["list"]> {
    this.#find(path);
    const prefix = `${normal(path)}/`.replace("//", "/");
    const names = [...this.nodes.keys()].filter((p) => p.startsWith(prefix) && p !== "/")
      .map((p) => p.slice(prefix.length)).filter((name) => !name.includes("/"));
    this.openHandles++;
    return {
      next: (count) => Promise.resolve(names.splice(0, count)),
      close: () => {
        this.openHandles--;
        return Promise.resolve();
      },
    };
  }

  // deno-lint-ignore require-await
  async mkdir(path: string, mode: number): Promise<void> {
    this.#absent(path);
    this.#add(path, FileType.directory | mode);
  }

  rmdir(path: string): Promise<void> {
    return this.unlink(path);
  }

  // deno-lint-ignore require-await
  async unlink(path: string): Promise<void> {
    this.#find(path);
    this.nodes.delete(path);
  }

  // deno-lint-ignore require-await
  async rename(from: string, to: string): Promise<void> {
    this.#absent(to);
    this.nodes.set(to, this.#find(from));
    this.nodes.delete(from);
  }

  async replace(from: string, to: string): Promise<void> {
    this.#find(from);
    if (from !== to) this.nodes.delete(to);
    if (from !== to) await this.rename(from, to);
  }

  // deno-lint-ignore require-await
  async link(existing: string, path: string): Promise<void> {
    this.#absent(path);
    this.nodes.set(path, this.#find(existing));
  }

  // deno-lint-ignore require-await
  async symlink(target: string, path: string): Promise<void> {
    this.#absent(path);
    this.#add(path, FileType.symlink | 0o777).target = target;
  }

  // deno-lint-ignore require-await
  async readlink(path: string): Promise<string> {
    const { target } = this.#find(path);
    if (target === undefined) throw new FilesError("invalid", path);
    return target;
  }

  // deno-lint-ignore require-await
  async realpath(path: string): Promise<string> {
    this.#find(path);
    return normal(path);
  }

  statFileSystem(): ReturnType<Files["statFileSystem"]> {
    const size = { blockSize: 4096, fragmentSize: 512, blocks: 100, blocksFree: 50, blocksAvailable: 40 };
    return Promise.resolve({ ...size, files: 9, filesFree: 5, maxNameLength: 255 });
  }
}

/** `files`, but its method `name` does something else; handles it opens can be changed the same way. */
export function instead<T extends object, K extends keyof T>(of: T, name: K, method: T[K]): T {
  return new Proxy(of, {
    get(target, key) {
      if (key === name) return method;
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
