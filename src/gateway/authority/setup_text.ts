/** What is printed when an authority is ready: for people what to type next, for programs where it is. */
import { formatAddress, formatHostPort, type TcpAddress } from "../../platform/net.ts";

export interface AuthorityFacts {
  readonly domain: string;
  /** Where it listens, one at least. */
  readonly addresses: readonly TcpAddress[];
  /** Path of the state folder. */
  readonly state: string;
  /** What is typed for the authority, and for a gateway. */
  readonly commands: { readonly ca: string; readonly gateway: string };
  /** `SHA256:…` of the X.509 root that signs. */
  readonly rootFingerprint: string;
  /** Without a policy every gateway that joined may vouch for others. */
  readonly hasPolicy: boolean;
}

/** `https://ca.example.com:15443`: what gateways are told. */
function authorityUrl({ domain, addresses: [{ port }] }: AuthorityFacts): string {
  return `https://${formatHostPort(domain, port)}`;
}

/** Lines of either kind. */
export function authorityReadyLines(format: "json" | "text", facts: AuthorityFacts): string[] {
  return format === "json" ? [JSON.stringify(readyRecord(facts))] : setupText(facts);
}

function readyRecord(facts: AuthorityFacts) {
  const listeners = facts.addresses.map(formatAddress);
  return {
    event: "ready",
    listen: listeners[0],
    listeners,
    url: authorityUrl(facts),
    root_fingerprint: facts.rootFingerprint,
    state: facts.state,
  };
}

function setupText(facts: AuthorityFacts): string[] {
  const { state, commands, rootFingerprint, hasPolicy } = facts;
  const url = authorityUrl(facts);
  return [
    `Listening at ${url}; X.509 root ${rootFingerprint}`,
    hasPolicy
      ? "Who may what is in the policy: a gateway needs the right 'assert'"
      : "Gateways that join with a token vouch for those they ask certificates for",
    "",
    "Make a token for a gateway:",
    `  ${commands.ca} token create --name gw1 --state ${state}`,
    "Let the gateway use this authority:",
    `  ${commands.gateway} --ca ${url} --ca-join TOKEN`,
    "See whom to trust:",
    `  curl -k ${url}/api/v1/ca`,
  ];
}
