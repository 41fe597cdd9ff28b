/** Where a connection that somebody asks for goes: to a node, to an address, or through a node that dials. */
import type { Action, Decision, Resource } from "../identity/policy/mod.ts";
import { permitsOpen } from "../keys/restrictions.ts";
import { formatAddress } from "../platform/net.ts";
import { classifyDirect } from "../routing/forward_request.ts";
import { shortName } from "../routing/names.ts";
import type { OpenRequest, Target } from "../routing/target.ts";
import { dialTarget } from "../routing/upstream.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import { Refusal } from "../ssh/forward/incoming.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { Dialer } from "./dialers.ts";
import type { GatewayParts } from "./parts.ts";
import type { Requester } from "./requester.ts";

/** What the peer is told of anything that it may not reach, whether it exists or not. */
const PROHIBITED = "administratively prohibited";
/** What the peer is told where it may connect and nothing is there. */
export const NOT_SERVED = "nothing serves this name and port now";

/** Ports under which a gateway's own name stands for its SSH server. */
const ENTRANCE_PORTS: ReadonlySet<number> = new Set([22, 15022]);

/** Judged and not refused: where to try, in this order. */
export interface Route {
  readonly targets: readonly Target[];
  readonly action: Action;
  readonly resource: Resource;
  readonly decision: Decision;
}

/** A refusal with the rule that refuses and what the log is told. */
export class RouteRefused extends Refusal {
  constructor(readonly rule: string, readonly why: string, reason: number, sentence: string) {
    super(reason, sentence);
  }
}

/**
 * @param requester.hops when it comes from another gateway, only nodes are reached
 * @throws {RouteRefused}
 */
export async function findRoute(target: HostPort, requester: Requester, parts: GatewayParts): Promise<Route> {
  if (!permitsOpen(requester.restrictions, target.host, target.port)) {
    throw prohibited("permitopen", "the key's line does not permit this destination");
  }
  const fromGateway = requester.hops.length > 0;
  const direct = classifyDirect(target.host, target.port, parts.naming);
  switch (direct.kind) {
    case "refused":
      throw prohibited("names", direct.reason);
    case "address":
      if (fromGateway) throw prohibited("gateways", "gateways are led to nodes only");
      return await toAddresses([direct.address], direct.port, undefined, requester, parts);
    case "name": {
      const node = await toNode(direct.name, direct.port, requester, parts);
      if ("targets" in node) return node;
      const addresses = !fromGateway && parts.judge.mayDial(requester.identity)
        // Looked up first, so that what is judged is what is dialled.
        ? await parts.net.resolve(direct.host).catch(() => [])
        : [];
      if (addresses.length > 0) {
        return await toAddresses(addresses, direct.port, direct.host, requester, parts);
      }
      const { allowed, rule, reason, peerSentence } = node.decision;
      if (!allowed) throw prohibited(rule, reason, peerSentence);
      throw new RouteRefused(rule, "no node serves it", ChannelOpenReason.connectFailed, NOT_SERVED);
    }
  }
}

/** A node that serves the name; where none does, what the rules say of connecting to one that would. */
async function toNode(
  name: string,
  port: number,
  requester: Requester,
  { registry, judge, naming, mesh }: GatewayParts,
): Promise<Route | { readonly decision: Decision }> {
  const own = name === naming.domain && ENTRANCE_PORTS.has(port);
  const leases = await registry.resolve(name, port);
  const alias = shortName(name, naming.domain);
  const resource: Resource = {
    kind: "node",
    name,
    port,
    published: leases.some(({ endpoint }) => endpoint.published),
    ...(alias && { aliases: [alias] }),
  };
  const decision = judge.decide(requester.identity, "connect", resource, requester.context());
  const targets: Target[] = own ? [mesh.entrance] : leases;
  if (targets.length === 0) return { decision };
  if (decision.allowed) return { targets, action: "connect", resource, decision };
  throw prohibited(decision.rule, decision.reason, decision.peerSentence);
}

// deno-lint-ignore require-await -- refusals are rejections
async function toAddresses(
  addresses: readonly string[],
  port: number,
  host: string | undefined,
  requester: Requester,
  parts: GatewayParts,
): Promise<Route> {
  let refusal: Decision | undefined;
  const allowed: Route[] = [];
  for (const address of addresses) {
    const resource: Resource = { kind: "address", address, port, via: "gateway", ...(host && { host }) };
    const decision = parts.judge.decide(requester.identity, "dial", resource, requester.context());
    const target = dialTarget(parts.net, { transport: "tcp", hostname: address, port });
    if (decision.allowed) allowed.push({ targets: [target], action: "dial", resource, decision });
    else refusal ??= decision;
  }
  if (allowed.length > 0) return { ...allowed[0], targets: allowed.flatMap(({ targets }) => targets) };
  // Through a node an address is that of the node's network: names were looked up in ours.
  const [via] = host === undefined ? throughNodes(addresses[0], port, requester, parts) : [];
  if (via) return via;
  throw prohibited(refusal!.rule, refusal!.reason, refusal!.peerSentence);
}

/** Nodes that offer to dial the address, may do so themselves, and through which this client may. */
function throughNodes(address: string, port: number, requester: Requester, parts: GatewayParts): Route[] {
  const { judge, dialers } = parts;
  return dialers.covering(address, port).flatMap((dialer) => {
    const names = dialer.names();
    const [name] = names;
    if (name === undefined) return [];
    const short = names.flatMap((name) => shortName(name, parts.naming.domain) ?? []);
    const aliases = [...names.slice(1), ...short];
    const resource: Resource = { kind: "address", address, port, via: { name, aliases } };
    // An offer alone is no right: else any node could draw the traffic for any network to itself.
    if (!judge.decide(dialer.identity, "dial", resource, requester.context()).allowed) return [];
    const decision = judge.decide(requester.identity, "dial", resource, requester.context());
    return decision.allowed
      ? [{ targets: [nodeDialTarget(dialer, name, address, port)], action: "dial", resource, decision }]
      : [];
  });
}

function nodeDialTarget(dialer: Dialer, name: string, hostname: string, port: number): Target {
  const address = formatAddress({ transport: "tcp", hostname, port });
  return {
    id: `via:${dialer.description}:${address}`,
    description: `${address} through ${name} at ${dialer.description}`,
    open: (request: OpenRequest) => dialer.dial({ hostname, port }, request),
  };
}

function prohibited(rule: string, why: string, sentence = PROHIBITED): RouteRefused {
  return new RouteRefused(rule, why, ChannelOpenReason.administrativelyProhibited, sentence || PROHIBITED);
}
