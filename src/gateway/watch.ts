/** Notices that files have changed, by looking: works for every file system, mounts and symbolic links of secrets too. */
import type { Clock } from "../platform/clock.ts";
import { type Files, FilesError } from "../platform/files.ts";

/** Between two looks, in milliseconds: what was revoked ends within five seconds. */
export const WATCH_INTERVAL = 1000;

export interface Watch {
  /** Other files from now on. What they are like now counts as known. */
  replace(paths: readonly string[]): Promise<void>;
  stop(): void;
}

/**
 * Calls `onChange` when one of `paths` has changed, come or gone. One call at a time; the next look comes after it.
 * @param onChange must not throw
 */
export function watchFiles(
  files: Files,
  clock: Clock,
  paths: readonly string[],
  onChange: () => Promise<void>,
): Watch {
  let watched = paths;
  let known: string | undefined;
  let stopped = false;
  let cancel = () => {};

  const look = async () => {
    const seen = await describe(files, watched);
    const changed = known !== undefined && seen !== known;
    known = seen;
    if (changed && !stopped) await onChange();
    schedule();
  };
  const schedule = () => {
    if (!stopped) cancel = clock.after(WATCH_INTERVAL, look);
  };
  look();
  return {
    async replace(paths) {
      watched = paths;
      known = await describe(files, paths);
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** What tells one content from the next without reading it. */
async function describe(files: Files, paths: readonly string[]): Promise<string> {
  const states = await Promise.all(paths.map(async (path) => {
    try {
      const { identity, size, modified } = await files.stat(path);
      return `${path} ${identity} ${size} ${modified}`;
    } catch (error) {
      return `${path} ${error instanceof FilesError ? error.code : "failed"}`;
    }
  }));
  return states.join("\n");
}
