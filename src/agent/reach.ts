/** Where an agent may connect for others. */
import { parseIp } from "../bytes/ip_address.ts";
import { isLoopback } from "../bytes/ip_range.ts";
import { type DialRange, dialRangeCoversAddress } from "../identity/ranges.ts";
import type { TcpAddress } from "../platform/net.ts";

/** How far a connection may go. */
export interface Reach {
  /** This machine itself: loopback and its own addresses. */
  readonly itself: boolean;
  /** Beyond it; `anywhere` for a server that behaves as sshd. */
  readonly beyond: readonly DialRange[] | "anywhere";
}

export interface Resolver {
  /** IP addresses of a name; an address is its own. */
  resolve(hostname: string): Promise<readonly string[]>;
  /** This machine's addresses beside loopback. */
  ownAddresses(): readonly string[];
}

/**
 * The addresses to dial for `host` and `port`, in order; none when it is out of reach. What was judged is what is
 * dialled: a name is looked up once.
 * @throws {NetError} when nobody knows the name
 */
export async function addressesWithin(
  reach: Reach,
  host: string,
  port: number,
  resolver: Resolver,
): Promise<TcpAddress[]> {
  const { beyond } = reach;
  if (beyond === "anywhere") return [{ transport: "tcp", hostname: host, port }];
  // Without anything to reach, a look-up would tell what exists.
  if (!reach.itself && beyond.length === 0) return [];
  const addresses = isLocalName(host) ? ["127.0.0.1", "::1"] : await resolver.resolve(host);
  const own = new Set(resolver.ownAddresses());
  return addresses.filter((text) => {
    const address = parseIp(text);
    if (!address) return false;
    if (reach.itself && (isLoopback(address) || own.has(text))) return true;
    return beyond.some((range) => dialRangeCoversAddress(range, address, port));
  }).map((hostname) => ({ transport: "tcp", hostname, port }));
}

function isLocalName(host: string): boolean {
  return /^localhost\.?$/i.test(host);
}
