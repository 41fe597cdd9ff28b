/**
 * Which requests may run at the same time. Draft §6.1: requests that relate to the same file must give the results
 * they would give one at a time; whatever cannot tell the difference may run in parallel.
 */

/** What a request looks at or changes. */
export interface Access {
  readonly changes: boolean;
  /** One open file, directory listing or the like; absent: any file there is. */
  readonly file?: string;
  /** The part of the file, in bytes, `from` ≤ x < `to`; absent: all of it. */
  readonly range?: { readonly from: number; readonly to: number };
}

/** Whether the order of `a` and `b` can be seen. */
export function conflicts(a: Access, b: Access): boolean {
  if (!a.changes && !b.changes) return false;
  if (a.file === undefined || b.file === undefined) return true;
  if (a.file !== b.file) return false;
  if (!a.range || !b.range) return true;
  return a.range.from < b.range.to && b.range.from < a.range.to;
}

interface Running {
  readonly accesses: readonly Access[];
  readonly done: Promise<void>;
}

/** Runs tasks in the order they come, each as soon as nothing before it conflicts. */
export class Ordering {
  readonly #running = new Set<Running>();

  /** Settles as `task` does. */
  async run<T>(accesses: readonly Access[], task: () => Promise<T>): Promise<T> {
    const before: Promise<void>[] = [];
    for (const other of this.#running) {
      if (other.accesses.some((a) => accesses.some((b) => conflicts(a, b)))) before.push(other.done);
    }
    let finish!: () => void;
    const entry: Running = { accesses, done: new Promise((resolve) => finish = resolve) };
    this.#running.add(entry);
    try {
      if (before.length > 0) await Promise.all(before);
      return await task();
    } finally {
      this.#running.delete(entry);
      finish();
    }
  }
}
