/** Follows the files that say who is known and who may what. */
import { formatPublicKey } from "../keys/public_key.ts";
import type { Clock } from "../platform/clock.ts";
import { type Files, FilesError } from "../platform/files.ts";
import { logger } from "../telemetry/log.ts";
import type { GatewayConfig } from "./config.ts";
import { StartError } from "./exit_codes.ts";
import type { Gateway } from "./gateway.ts";
import type { Keyring } from "./keyring.ts";
import { type KeyringFiles, type LoadedKeyring, loadKeyring } from "./keyring_files.ts";
import { loadPolicy } from "./policy_file.ts";
import { type Outcome, type Seen, type Watch, watchFiles } from "./watch.ts";

export interface ReloadOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly config: GatewayConfig;
  readonly keys: KeyringFiles;
  /** As it was read at the start. */
  readonly keyring: LoadedKeyring;
  /** What the policy was read from, as it was before. */
  readonly policySeen: Seen;
  readonly gateway: Gateway;
  /** Further files, each with what is done when it has changed. */
  readonly others?: readonly FollowedFiles[];
}

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

/** Applies every change within a few seconds. What cannot be used is told and the old stays in force. */
export function followFiles(options: ReloadOptions): { stop(): void } {
  const { files, clock, config, gateway, keys } = options;
  const log = logger("gateway");
  const watches: Watch[] = [];
  const keyringTrouble = new Trouble();
  const policyTrouble = new Trouble();

  let loaded = options.keyring;
  const keyring = watchFiles(files, clock, loaded.seen, async () => {
    try {
      const before = loaded;
      loaded = await loadKeyring(keys, loaded);
      for (const warning of loaded.warnings) log.warn("{warning}", { warning });
      keyring.replace(loaded.seen);
      await gateway.apply({ trust: { keyring: loaded.keyring } });
      keyringTrouble.over();
      const count = loaded.keyring.known.length;
      const revoked = config.revokedKeys.some((path) => loaded.seen.get(path) !== before.seen.get(path));
      // Files come and go beside the keys, too.
      if (revoked || linesOf(loaded.keyring) !== linesOf(before.keyring)) {
        log.info(`keys were read anew: {count} ${count === 1 ? "is" : "are"} known`, { count });
      }
      return "settled";
    } catch (error) {
      keyringTrouble.tell(sentence(error), (reason) => {
        log.error("keys stay as they were: {reason}", { reason });
      });
      return outcomeOf(error);
    }
  });
  watches.push(keyring);

  const { policy: path } = config;
  if (path !== undefined) {
    watches.push(watchFiles(files, clock, options.policySeen, async () => {
      try {
        const policy = await loadPolicy(files, path, config.owners);
        gateway.audit.record("policy.loaded", { file: path, rules: policy.rules.length });
        await gateway.apply({ policy });
        policyTrouble.over();
        log.info("the policy was read anew: {count} rules", { count: policy.rules.length });
        return "settled";
      } catch (error) {
        policyTrouble.tell(sentence(error), (reason) => {
          gateway.audit.record("policy.broken", { file: path, problems: reason.split("\n") });
          log.error("the policy stays as it was: {reason}", { reason });
        });
        return outcomeOf(error);
      }
    }));
  }
  for (const { what, seen, reload } of options.others ?? []) {
    const trouble = new Trouble();
    const watch = watchFiles(files, clock, seen, async () => {
      try {
        const others = await reload();
        if (others) watch.replace(others);
        trouble.over();
        log.info("{what} were read anew", { what });
        return "settled";
      } catch (error) {
        trouble.tell(
          sentence(error),
          (reason) => log.error("{what} stay as they were: {reason}", { what, reason }),
        );
        return outcomeOf(error);
      }
    });
    watches.push(watch);
  }
  return {
    stop() {
      for (const watch of watches) watch.stop();
    },
  };
}

/** Another text for every other set of keys, or of what they may do. */
function linesOf({ known }: Keyring): string {
  return JSON.stringify(
    known.map(({ entry, ...rest }) => ({ ...rest, entry: { ...entry, key: formatPublicKey(entry.key) } })),
  );
}

/** What could not be read (no descriptor was free, a mount was away) may be readable a moment later. */
function outcomeOf(error: unknown): Outcome {
  return error instanceof Error && error.cause instanceof FilesError ? "again" : "settled";
}

/** Tells of a trouble once, however often it is met. */
class Trouble {
  #told?: string;

  tell(reason: string, tell: (reason: string) => void): void {
    if (reason === this.#told) return;
    this.#told = reason;
    tell(reason);
  }

  over(): void {
    this.#told = undefined;
  }
}

function sentence(error: unknown): string {
  if (error instanceof StartError) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
