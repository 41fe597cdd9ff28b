/** What to type next: printed when the gateway is ready. */
import { formatKnownHost, hostName } from "../keys/known_hosts.ts";
import type { PublicKey } from "../keys/types.ts";
import type { TcpAddress } from "../platform/net.ts";

export interface SetupFacts {
  /** Where it listens. */
  readonly address: TcpAddress;
  readonly domain: string;
  readonly hostKey: PublicKey;
  readonly owners: readonly { readonly fingerprint: string; readonly source: string }[];
  /** Path of an owner key that was made because there was none. */
  readonly madeOwnerKey?: string;
}

/** Host to type for people on this machine: any address listens on loopback too. */
export function reachableHost({ hostname }: TcpAddress): string {
  return hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname;
}

/** Lines for a terminal. */
export async function setupText(facts: SetupFacts): Promise<string[]> {
  const { address, hostKey, owners, madeOwnerKey } = facts;
  const host = reachableHost(address);
  const key = madeOwnerKey ? ` -i ${madeOwnerKey}` : "";
  const login = `ssh -p ${address.port}${key} ${host}`;
  const jump = madeOwnerKey
    ? `ssh -o ProxyCommand='ssh -p ${address.port}${key} -W %h:%p ${host}' web`
    : `ssh -J ${host.includes(":") ? `[${host}]` : host}:${address.port} web`;
  return [
    `Listening on ${host}:${address.port}; host key ${await hostKey.fingerprint()}`,
    ...(madeOwnerKey
      ? [`No key of an owner was found, so one was made: ${madeOwnerKey}`]
      : [`Owners: ${ownersText(owners)}`]),
    "",
    "Trust the host key, once:",
    `  echo '${await knownHostsLine(facts)}' >> ~/.ssh/known_hosts`,
    "and its authority, which speaks for every node:",
    `  ${login} known-hosts >> ~/.ssh/known_hosts`,
    "See who you are:",
    `  ${login} whoami`,
    "Serve a workload, from where it runs:",
    `  ssh -p ${address.port}${key} -N -R web:22:localhost:22 ${host}`,
    "Reach it:",
    `  ${jump}`,
  ];
}

/** For the address that is printed, and the gateway's own name. */
export async function knownHostsLine({ address, domain, hostKey }: SetupFacts): Promise<string> {
  const names = new Set([reachableHost(address), domain].map((name) => hostName(name, address.port)));
  return await formatKnownHost([...names].join(","), hostKey);
}

function ownersText(owners: SetupFacts["owners"]): string {
  if (owners.length === 0) return "none; nobody may administer this gateway";
  const files = new Set(owners.map(({ source }) => source.replace(/:\d+$/, "")));
  return `${owners.length} (${[...files].join(", ")})`;
}
