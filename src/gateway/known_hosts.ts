/** What clients are to believe, as lines for known_hosts. */
import { formatKnownHost } from "../keys/known_hosts.ts";
import type { PublicKey } from "../keys/types.ts";

export interface CertifiedHosts {
  /** Normalised: nodes are `*.domain`. */
  readonly domain: string;
  /** How the gateway's own name is written, a port other than 22 included: `[gw.example.com]:15022`. */
  readonly gateway: readonly string[];
  /** Full names of nodes that are not under the domain. */
  readonly nodes: readonly string[];
}

/**
 * A `@cert-authority` line for each authority of hosts: for the gateway, for the nodes under its domain, and for those
 * that are named. Never for `*`: what this authority says of other people's hosts counts for nothing.
 */
export async function authorityLines(
  authorities: readonly PublicKey[],
  { domain, gateway, nodes }: CertifiedHosts,
): Promise<string[]> {
  const hosts = [...new Set([domain, ...gateway, `*.${domain}`, ...nodes])].join(",");
  return await Promise.all(
    authorities.map((key) => formatKnownHost(hosts, key, { marker: "cert-authority" })),
  );
}
