/** Follows the files that say who is known and who may what. */
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import { logger } from "../telemetry/log.ts";
import type { GatewayConfig } from "./config.ts";
import { StartError } from "./exit_codes.ts";
import type { Gateway } from "./gateway.ts";
import { type KeyringFiles, loadKeyring } from "./keyring_files.ts";
import { loadPolicy } from "./policy_file.ts";
import { type Watch, watchFiles } from "./watch.ts";

export interface ReloadOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly config: GatewayConfig;
  readonly keys: KeyringFiles;
  /** What the keyring was read from at the start. */
  readonly keyringPaths: readonly string[];
  readonly gateway: Gateway;
}

/** Applies every change within a few seconds. What cannot be used is told and the old stays in force. */
export function followFiles(options: ReloadOptions): { stop(): void } {
  const { files, clock, config, gateway, keys } = options;
  const log = logger("gateway");
  const watches: Watch[] = [];

  const keyring = watchFiles(files, clock, options.keyringPaths, async () => {
    try {
      const loaded = await loadKeyring(keys, { missing: "empty" });
      for (const warning of loaded.warnings) log.warn("{warning}", { warning });
      await keyring.replace(loaded.paths);
      await gateway.apply({ keyring: loaded.keyring });
      log.info("keys were read anew: {count} are known", { count: loaded.keyring.known.length });
    } catch (error) {
      log.error("keys stay as they were: {reason}", { reason: sentence(error) });
    }
  });
  watches.push(keyring);

  const { policy: path } = config;
  if (path !== undefined) {
    watches.push(watchFiles(files, clock, [path], async () => {
      try {
        const policy = await loadPolicy(files, path, config.owners);
        gateway.audit.record("policy.loaded", { file: path, rules: policy.rules.length });
        await gateway.apply({ policy });
        log.info("the policy was read anew: {count} rules", { count: policy.rules.length });
      } catch (error) {
        gateway.audit.record("policy.broken", { file: path, problems: sentence(error).split("\n") });
        log.error("the policy stays as it was: {reason}", { reason: sentence(error) });
      }
    }));
  }
  return {
    stop() {
      for (const watch of watches) watch.stop();
    },
  };
}

function sentence(error: unknown): string {
  if (error instanceof StartError) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
