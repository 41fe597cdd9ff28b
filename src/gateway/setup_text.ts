/** What is printed when the gateway is ready: for people what to type next, for programs where it is. */
import { formatKnownHost, hostName } from "../keys/known_hosts.ts";
import type { PublicKey } from "../keys/types.ts";
import { formatAddress, type TcpAddress } from "../platform/net.ts";

export interface SetupFacts {
  /** Where it listens, one at least. */
  readonly addresses: readonly TcpAddress[];
  /** Where metrics are, if anywhere. */
  readonly admin?: TcpAddress;
  readonly domain: string;
  readonly hostKey: PublicKey;
  /** Path of the state folder. */
  readonly state: string;
  /** Of keys, each with the file and line that it stands in. */
  readonly owners: readonly { readonly source: string }[];
  /** How the agent is typed here. */
  readonly agent: string;
  /** Path of an owner key that was made because there was none. */
  readonly madeOwnerKey?: string;
}

/** Host to type for people on this machine: any address listens on loopback too. */
function reachableHost({ hostname }: TcpAddress): string {
  return hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname;
}

/** Nobody must take a port that the whole network reaches for a local one. */
function listeningText(address: TcpAddress): string {
  const everywhere = address.hostname === "0.0.0.0" || address.hostname === "::";
  return everywhere ? `port ${address.port} of every address of this machine` : formatAddress(address);
}

/** Lines of either kind. */
export async function readyLines(format: "json" | "text", facts: SetupFacts): Promise<string[]> {
  return format === "json" ? [JSON.stringify(await readyRecord(facts))] : await setupText(facts);
}

async function readyRecord(facts: SetupFacts) {
  const { addresses, admin, hostKey, state, madeOwnerKey } = facts;
  const listeners = addresses.map(formatAddress);
  return {
    event: "ready",
    listen: listeners[0],
    listeners,
    admin: admin && formatAddress(admin),
    fingerprint: await hostKey.fingerprint(),
    known_hosts: await knownHostsLine(facts),
    owner_key: madeOwnerKey,
    state,
  };
}

async function setupText(facts: SetupFacts): Promise<string[]> {
  const { addresses: [address], domain, hostKey, owners, madeOwnerKey: made, agent } = facts;
  const { port } = address;
  const host = reachableHost(address);
  const gateway = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const login = `ssh -p ${port}${made ? ` -i ${made}` : ""}`;
  const node = `web.${domain}`;
  return [
    `Listening on ${listeningText(address)}; host key ${await hostKey.fingerprint()}`,
    made ? `No key of an owner was found, so one was made: ${made}` : `Owners: ${ownersText(owners)}`,
    "",
    "Trust the host key, once:",
    "  mkdir -p -m 700 ~/.ssh",
    `  echo '${await knownHostsLine(facts)}' >> ~/.ssh/known_hosts`,
    "and its authority, which speaks for every node:",
    `  ${login} ${host} known-hosts >> ~/.ssh/known_hosts`,
    "See who you are:",
    `  ${login} ${host} whoami`,
    "Serve a workload, from where it runs, with the agent and its SSH server:",
    `  ${agent} --gateway ${gateway} --known-hosts ~/.ssh/known_hosts --name web${
      made ? ` --identity ${made} --authorized-keys ${made}.pub` : ""
    }`,
    "or any port of it, with nothing but ssh:",
    `  ${login} -o ExitOnForwardFailure=yes -N -R web:22:localhost:22 ${host}`,
    "Reach it:",
    made
      ? `  ssh -i ${made} -o ProxyCommand='${login} -W %h:%p ${host}' ${node}`
      : `  ssh -J ${gateway} ${node}`,
  ];
}

/** For the address that is printed, and the gateway's own name. */
async function knownHostsLine({ addresses: [address], domain, hostKey }: SetupFacts): Promise<string> {
  const names = new Set([reachableHost(address), domain].map((name) => hostName(name, address.port)));
  return await formatKnownHost([...names].join(","), hostKey);
}

function ownersText(owners: SetupFacts["owners"]): string {
  if (owners.length === 0) return "none; nobody may administer this gateway";
  const files = new Set(owners.map(({ source }) => source.replace(/:\d+$/, "")));
  return `${owners.length} (${[...files].join(", ")})`;
}
