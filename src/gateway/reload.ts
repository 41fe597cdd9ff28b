/** Follows the files that say who is known and who may what. */
import { formatPublicKey } from "../keys/public_key.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import { logger } from "../telemetry/log.ts";
import type { GatewayConfig } from "./config.ts";
import { follow, type FollowedFiles, stopAll } from "./following.ts";
import type { Gateway } from "./gateway.ts";
import type { Keyring } from "./keyring.ts";
import { type KeyringFiles, type LoadedKeyring, loadKeyring } from "./keyring_files.ts";
import { loadPolicy } from "./policy_file.ts";
import type { Seen, Watch } from "./watch.ts";

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

/** Applies every change within a few seconds. What cannot be used is told and the old stays in force. */
export function followFiles(options: ReloadOptions): { stop(): void } {
  const { config: { policy }, others = [] } = options;
  return stopAll([
    followKeyring(options),
    ...policy === undefined ? [] : [followPolicy(policy, options)],
    ...others.map((followed) => followOthers(followed, options)),
  ]);
}

function followKeyring({ files, clock, config, keys, keyring, gateway }: ReloadOptions): Watch {
  const log = logger("gateway");
  let loaded = keyring;
  const reload = async () => {
    const before = loaded;
    loaded = await loadKeyring(keys, before);
    for (const warning of loaded.warnings) log.warn("{warning}", { warning });
    await gateway.apply({ trust: { keyring: loaded.keyring } });
    const count = loaded.keyring.known.length;
    const revoked = config.revokedKeys.some((path) => loaded.seen.get(path) !== before.seen.get(path));
    // Files come and go beside the keys, too.
    if (revoked || linesOf(loaded.keyring) !== linesOf(before.keyring)) {
      log.info(`keys were read anew: {count} ${count === 1 ? "is" : "are"} known`, { count });
    }
    return loaded.seen;
  };
  return follow({ files, clock }, { seen: keyring.seen, reload }, (reason) => {
    log.error("keys stay as they were: {reason}", { reason });
  });
}

function followPolicy(path: string, { files, clock, config, policySeen, gateway }: ReloadOptions): Watch {
  const log = logger("gateway");
  const reload = async () => {
    const policy = await loadPolicy(files, path, config.owners);
    gateway.audit.record("policy.loaded", { file: path, rules: policy.rules.length });
    await gateway.apply({ policy });
    log.info("the policy was read anew: {count} rules", { count: policy.rules.length });
  };
  return follow({ files, clock }, { seen: policySeen, reload }, (reason) => {
    gateway.audit.record("policy.broken", { file: path, problems: reason.split("\n") });
    log.error("the policy stays as it was: {reason}", { reason });
  });
}

function followOthers({ what, seen, reload }: FollowedFiles, { files, clock }: ReloadOptions): Watch {
  const log = logger("gateway");
  const telling = async () => {
    const others = await reload();
    log.info("{what} were read anew", { what });
    return others;
  };
  return follow({ files, clock }, { seen, reload: telling }, (reason) => {
    log.error("{what} stay as they were: {reason}", { what, reason });
  });
}

/** Another text for every other set of keys, or of what they may do. */
function linesOf({ known }: Keyring): string {
  return JSON.stringify(
    known.map(({ entry, ...rest }) => ({ ...rest, entry: { ...entry, key: formatPublicKey(entry.key) } })),
  );
}
