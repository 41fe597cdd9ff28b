/** Notices that files have changed, by looking: works for every file system, mounts and symbolic links of secrets too. */
import type { Clock } from "../platform/clock.ts";
import { type Files, FilesError } from "../platform/files.ts";

/** Between two looks, in milliseconds: what was revoked ends within five seconds. */
export const WATCH_INTERVAL = 1000;

/** By path: what told its content from the next, before it was read. */
export type Seen = ReadonlyMap<string, string>;

/** What came of reading files anew. */
export type Outcome =
  /** Used, or not to be used as they are: only another change makes it different. */
  | "settled"
  /** They could not be read: to be tried again at the next look. */
  | "again";

export interface Watch {
  /** Other files from now on. They are known as they were seen, not as they are now: that may be another content. */
  replace(seen: Seen): void;
  stop(): void;
}

/**
 * Calls `onChange` when a file is no longer as it was seen: changed, come or gone. One call at a time; the next look comes
 * after it.
 * @param seen paths, and what {@link describe} said of each before it was read
 * @param onChange must not throw
 */
export function watchFiles(
  files: Files,
  clock: Clock,
  seen: Seen,
  onChange: () => Promise<Outcome>,
): Watch {
  let known = seen;
  let stopped = false;
  let cancel = () => {};

  const look = async () => {
    const before = known;
    const now = await describeAll(files, [...before.keys()]);
    const changed = [...now].some(([path, state]) => before.get(path) !== state);
    if (changed && !stopped) {
      const outcome = await onChange();
      if (outcome === "settled" && known === before) known = now;
    }
    schedule();
  };
  const schedule = () => {
    if (!stopped) cancel = clock.after(WATCH_INTERVAL, look);
  };
  schedule();
  return {
    replace(seen) {
      known = seen;
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** {@link describe} for several files. */
export async function describeAll(files: Files, paths: readonly string[]): Promise<Seen> {
  return new Map(await Promise.all(paths.map(async (path) => [path, await describe(files, path)] as const)));
}

/** What tells one content from the next without reading it. Ask before reading, or a change in between is lost. */
export async function describe(files: Files, path: string): Promise<string> {
  try {
    const { identity, size, modified, mode } = await files.stat(path);
    return `${identity} ${size} ${modified} ${mode}`;
  } catch (error) {
    return error instanceof FilesError ? error.code : "failed";
  }
}
