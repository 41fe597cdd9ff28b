/** Whom the user said to believe: the flags `--known-hosts`, `--gateway-key` and `--join`. */
import { parseKnownHosts } from "../keys/known_hosts.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { GatewayTrust as TrustConfig } from "./config.ts";
import type { EventLog } from "./events.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";
import type { GatewayTrust, TrustAnchors } from "./gateway_trust.ts";
import type { JoinToken } from "./join_token.ts";
import { requireText } from "./text_file.ts";

/** Whoever is taken for the gateway says who logs in here. */
export async function warnOfPins(
  gateways: readonly GatewayAddress[],
  trust: GatewayTrust,
  log: EventLog,
): Promise<void> {
  for (const gateway of gateways) {
    if (await trust.isAnchored(gateway)) continue;
    const message =
      `--trust-user-ca gateway, and ${formatGateway(gateway)} is known by nothing but its first answer: ` +
      "whoever gave that decides who logs in here; say --gateway-key or --known-hosts";
    log({ event: "warning", message });
  }
}

/** Reads what the user said about whom to believe. @throws {AgentError} `files` */
export async function readAnchors(
  { knownHosts: paths, gatewayKeys: fingerprints }: TrustConfig,
  { files, log }: { readonly files: ReadableFiles; readonly log: EventLog },
  joinToken: JoinToken | undefined,
): Promise<TrustAnchors> {
  if (paths.length === 0) return { fingerprints, joinToken };
  const texts = await Promise.all(paths.map((path) => requireText(files, path, "known hosts")));
  const entries = texts.flatMap(({ path, text }) => {
    const { entries, faults } = parseKnownHosts(text);
    for (const { line, reason } of faults) log({ event: "warning", message: `${path}:${line}: ${reason}` });
    return entries;
  });
  return { fingerprints, joinToken, knownHosts: { paths, hosts: { entries, faults: [] } } };
}
