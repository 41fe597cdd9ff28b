/** What clients are to believe, as lines for known_hosts. */
import { isUnderDomain } from "../identity/principal.ts";
import { formatKnownHost } from "../keys/known_hosts.ts";
import type { PublicKey } from "../keys/types.ts";

export interface CertifiedHosts {
  /** Normalised: nodes are `*.domain`. */
  readonly domain: string;
  /** How the gateway's own name is written, a port other than 22 included: `[gw.example.com]:15022`. */
  readonly gateway: readonly string[];
  /** Whose workloads the authority certifies, normalised: they are called `KSA.NS.svc.TRUSTDOMAIN`. */
  readonly trustDomains: readonly string[];
  /** Full names of nodes that are not under the domain. */
  readonly nodes: readonly string[];
}

/**
 * A `@cert-authority` line for each authority of hosts: for the gateway, for the nodes under its domain, for workloads, those
 * that come later too, and for the nodes that are named. Never for `*`: what this authority says of other people's hosts
 * counts for nothing.
 */
export async function authorityLines(
  authorities: readonly PublicKey[],
  { domain, gateway, trustDomains, nodes }: CertifiedHosts,
): Promise<string[]> {
  const workloads = trustDomains
    .filter((trustDomain) => !isUnderDomain(trustDomain, domain))
    .map((trustDomain) => `*.svc.${trustDomain}`);
  const hosts = [...new Set([domain, ...gateway, `*.${domain}`, ...workloads, ...nodes])].join(",");
  return await Promise.all(
    authorities.map((key) => formatKnownHost(hosts, key, { marker: "cert-authority" })),
  );
}
