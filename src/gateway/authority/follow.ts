/** Follows the files of an authority that stands alone: its policy, and roots that are not its own. */
import type { Policy } from "../../identity/policy/mod.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Files, FilesError } from "../../platform/files.ts";
import type { Audit } from "../../telemetry/audit.ts";
import { logger } from "../../telemetry/log.ts";
import type { FollowedFiles } from "../reload.ts";
import { type Outcome, type Seen, watchFiles } from "../watch.ts";
import { loadAuthorityPolicy } from "./policy.ts";

export interface FollowOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly audit: Audit;
  /** Path; undefined: the default one, which does not change. */
  readonly policy?: string;
  readonly onPolicy: (policy: Policy) => void;
  /** The policy as it was before it was read. */
  readonly policySeen: Seen;
  readonly others: readonly FollowedFiles[];
}

/** Applies every change within a few seconds. What cannot be used is told, and the old stays in force. */
export function followAuthorityFiles(options: FollowOptions): { stop(): void } {
  const { files, clock, audit, policy: path, onPolicy, policySeen, others } = options;
  const log = logger("ca");
  const follow = (
    what: string,
    seen: Seen,
    reload: FollowedFiles["reload"],
    onTrouble?: (reason: string) => void,
  ) => {
    let told: string | undefined;
    const watch = watchFiles(files, clock, seen, async (): Promise<Outcome> => {
      try {
        const others = await reload();
        if (others) watch.replace(others);
        told = undefined;
        log.info("read anew: {what}", { what });
        return "settled";
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        // Of a trouble it is told once, however often it is met.
        if (reason !== told) {
          onTrouble?.(reason);
          log.error("{what}: it stays as it was: {reason}", { what, reason });
        }
        told = reason;
        return error instanceof Error && error.cause instanceof FilesError ? "again" : "settled";
      }
    });
    return watch;
  };
  const watches = [
    ...path === undefined ? [] : [follow(
      "the policy",
      policySeen,
      async () => {
        const policy = await loadAuthorityPolicy(files, path);
        audit.record("policy.loaded", { file: path, rules: policy.rules.length });
        onPolicy(policy);
      },
      (reason) => audit.record("policy.broken", { file: path, problems: reason.split("\n") }),
    )],
    ...others.map(({ what, seen, reload }) => follow(what, seen, reload)),
  ];
  return {
    stop() {
      for (const watch of watches) watch.stop();
    },
  };
}
