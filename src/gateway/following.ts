/** Files that are read anew when they change: what can be used of them is applied, or else the old stays in force. */
import type { Clock } from "../platform/clock.ts";
import { type Files, FilesError } from "../platform/files.ts";
import { type Outcome, type Seen, type Watch, watchFiles } from "./watch.ts";

/** Files that are read anew together. */
export interface FollowedFiles {
  /** What they are, for the log: `roots of certificates`. */
  readonly what: string;
  /** As they were before they were read. */
  readonly seen: Seen;
  /**
   * @returns other files to follow from now on, as they were before they were read; nothing: the same
   * @throws {StartError} what cannot be used: the old stays in force
   */
  readonly reload: () => Promise<Seen | void>;
}

/**
 * Reads the files anew with every change, within a few seconds.
 * @param onTrouble told why they stay as they were: once, however often that is met
 */
export function follow(
  { files, clock }: { readonly files: Files; readonly clock: Clock },
  { seen, reload }: Pick<FollowedFiles, "seen" | "reload">,
  onTrouble: (reason: string) => void,
): Watch {
  let told: string | undefined;
  const watch = watchFiles(files, clock, seen, async () => {
    try {
      const others = await reload();
      if (others) watch.replace(others);
      told = undefined;
      return "settled";
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== told) onTrouble(reason);
      told = reason;
      return outcomeOf(error);
    }
  });
  return watch;
}

/** What could not be read (no descriptor was free, a mount was away) may be readable a moment later. */
function outcomeOf(error: unknown): Outcome {
  return error instanceof Error && error.cause instanceof FilesError ? "again" : "settled";
}

/** Follows none of them any more. */
export function stopAll(watches: readonly Pick<Watch, "stop">[]): { stop(): void } {
  return {
    stop() {
      for (const watch of watches) watch.stop();
    },
  };
}
