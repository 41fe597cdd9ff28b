/** What an authority that stands alone reads from files, and follows: its policy, and roots that are not its own. */
import type { Policy } from "../../identity/policy/mod.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Files } from "../../platform/files.ts";
import type { Audit } from "../../telemetry/audit.ts";
import { logger } from "../../telemetry/log.ts";
import { follow, stopAll } from "../following.ts";
import type { IdentityServices } from "../identity_services.ts";
import { describeAll, type Seen } from "../watch.ts";
import { readX509Files, type X509Roots } from "../x509_clients.ts";
import type { AuthorityServerConfig } from "./config.ts";
import { loadAuthorityPolicy } from "./policy.ts";
import type { AuthorityServer } from "./server.ts";

type FilesConfig = Pick<AuthorityServerConfig, "policy" | "x509Roots">;

export interface AuthorityFiles {
  readonly policy: Policy;
  /** Of clients that others certified. */
  readonly roots: X509Roots;
  /** What each was read from, as it was before. */
  readonly seen: { readonly policy: Seen; readonly roots: Seen };
}

/** @throws {StartError} `files` */
export async function readAuthorityFiles(files: Files, config: FilesConfig): Promise<AuthorityFiles> {
  const seen = {
    policy: await describeAll(files, config.policy === undefined ? [] : [config.policy]),
    roots: await describeAll(files, config.x509Roots.map(({ file }) => file)),
  };
  const policy = await loadAuthorityPolicy(files, config.policy);
  const roots = await readX509Files(files, config.x509Roots);
  return { policy, roots, seen };
}

export interface FollowOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly audit: Audit;
  readonly config: FilesConfig;
  /** As they were read at the start. */
  readonly read: AuthorityFiles;
  /** Roots that sign, where they are the user's. */
  readonly rootFiles: IdentityServices["rootFiles"];
  readonly server: Pick<AuthorityServer, "replacePolicy" | "replaceRoots">;
}

/** Applies every change within a few seconds. What cannot be used is told, and the old stays in force. */
export function followAuthorityFiles(options: FollowOptions): { stop(): void } {
  const { files, clock, audit, config, read: { seen }, rootFiles, server } = options;
  const log = logger("ca");
  const following = (
    what: string,
    seen: Seen,
    reload: () => Promise<Seen | void>,
    onTrouble?: (reason: string) => void,
  ) => {
    const telling = async () => {
      const others = await reload();
      log.info("read anew: {what}", { what });
      return others;
    };
    return follow({ files, clock }, { seen, reload: telling }, (reason) => {
      onTrouble?.(reason);
      log.error("{what}: it stays as it was: {reason}", { what, reason });
    });
  };
  const watches = [following("roots of client certificates", seen.roots, async () => {
    server.replaceRoots(await readX509Files(files, config.x509Roots));
  })];
  if (rootFiles) watches.push(following("roots of the authority", rootFiles.seen, rootFiles.reload));
  const { policy: path } = config;
  // The default one does not change.
  if (path !== undefined) {
    watches.push(following(
      "the policy",
      seen.policy,
      async () => {
        const policy = await loadAuthorityPolicy(files, path);
        audit.record("policy.loaded", { file: path, rules: policy.rules.length });
        server.replacePolicy(policy);
      },
      (reason) => audit.record("policy.broken", { file: path, problems: reason.split("\n") }),
    ));
  }
  return stopAll(watches);
}
