/** Where a connection that somebody asks for goes: to a node, to an address, or through a node that dials. */
import type { Action, Decision, Resource } from "../identity/policy/mod.ts";
import { parseIp } from "../bytes/ip_address.ts";
import { permitsOpen } from "../keys/restrictions.ts";
import { formatHostPort } from "../platform/net.ts";
import { classifyDirect, type DirectTarget } from "../routing/forward_request.ts";
import { shortName } from "../routing/names.ts";
import type { OpenRequest, Target } from "../routing/target.ts";
import { dialTarget } from "../routing/upstream.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import { ForwardRefusal } from "../ssh/forward/incoming.ts";
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
export class RouteRefused extends ForwardRefusal {
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
    case "name":
      return await toName(direct, requester, parts);
  }
}

/** To the node of this name; without one, or the right to connect to it, to the host that the gateway knows by it. */
async function toName(
  { name, host, port }: Extract<DirectTarget, { kind: "name" }>,
  requester: Requester,
  parts: GatewayParts,
): Promise<Route> {
  const node = await toNode(name, port, requester, parts);
  if ("targets" in node) return node;
  let { rule, reason } = node.decision;
  const mightDial = requester.hops.length === 0 &&
    parts.judge.mightDial(requester.identity, requester.context());
  // Whether there is such a node or not: a refusal takes as long.
  const addresses = mightDial
    // Looked up first, so that what is judged is what is dialled.
    ? await parts.net.resolve(host).catch(() => [])
    : [];
  if (addresses.length > 0) {
    try {
      return await toAddresses(addresses, port, host, requester, parts);
    } catch (error) {
      if (!(error instanceof RouteRefused) || requester.identity.owner) throw error;
      // To others a name that resolves looks like one that does not.
      ({ rule, why: reason } = error);
    }
  }
  const { allowed, peerSentence } = node.decision;
  if (!allowed) throw prohibited(rule, reason, peerSentence);
  const why = addresses.length > 0 ? reason : "no node serves it";
  throw new RouteRefused(rule, why, ChannelOpenReason.connectFailed, NOT_SERVED);
}

/** A node that serves the name and may be connected to; else what the rules say of connecting to such a one. */
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
  if (targets.length === 0 || !decision.allowed) return { decision };
  return { targets, action: "connect", resource, decision };
}

// deno-lint-ignore require-await -- refusals are rejections
async function toAddresses(
  addresses: readonly string[],
  port: number,
  host: string | undefined,
  requester: Requester,
  parts: GatewayParts,
): Promise<Route> {
  const ownAddresses = new Set(parts.ownAddresses());
  let refusal: Decision | undefined;
  const allowed: Route[] = [];
  for (const address of addresses) {
    const own = ownAddresses.has(`${parseIp(address)}`);
    const resource: Resource = { kind: "address", address, own, port, via: "gateway", ...(host && { host }) };
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
  const address = formatHostPort(hostname, port);
  return {
    id: `via:${dialer.description}:${address}`,
    description: `${address} through ${name} at ${dialer.description}`,
    open: (request: OpenRequest) => dialer.dial({ hostname, port }, request),
  };
}

function prohibited(rule: string, why: string, sentence = PROHIBITED): RouteRefused {
  return new RouteRefused(rule, why, ChannelOpenReason.administrativelyProhibited, sentence || PROHIBITED);
}
