/** Where a client's `direct-tcpip` goes: to a node, to an address that this gateway dials, or through a node that dials. */
import type { Action, Decision, Resource } from "../identity/policy/mod.ts";
import { permitsOpen } from "../keys/restrictions.ts";
import { formatAddress } from "../platform/net.ts";
import { classifyDirect } from "../routing/forward_request.ts";
import { shortName } from "../routing/names.ts";
import { discard, type OpenRequest, type Target, TargetError } from "../routing/target.ts";
import { dialTarget } from "../routing/upstream.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import { Refusal } from "../ssh/forward/incoming.ts";
import { decodeTcpChannel, type HostPort, type TcpChannel } from "../ssh/forward/messages.ts";
import type { Channel, IncomingChannel } from "../ssh/connection/types.ts";
import type { Flow } from "../telemetry/flow.ts";
import type { Client } from "./client.ts";
import type { Dialer } from "./dialers.ts";
import type { GatewayParts } from "./parts.ts";

/** What the peer is told of anything that it may not reach, whether it exists or not. */
const PROHIBITED = "administratively prohibited";
/** What the peer is told where it may connect and nothing is there. */
const NOT_SERVED = "nothing serves this name and port now";

/** Judged and not refused: where to try, in this order. */
interface Route {
  readonly targets: readonly Target[];
  readonly action: Action;
  readonly resource: Resource;
  readonly decision: Decision;
}

/** A refusal with the rule that refuses and what the log is told. */
class Refused extends Refusal {
  constructor(readonly rule: string, readonly why: string, reason: number, sentence: string) {
    super(reason, sentence);
  }
}

/** Serves one `direct-tcpip` channel of a client: resolves when it has been answered. */
export async function serveDirect(
  incoming: IncomingChannel,
  client: Client,
  parts: GatewayParts,
): Promise<void> {
  const asked = decodeTcpChannel(incoming.data);
  let route: Route;
  try {
    route = await findRoute(asked.target, client, parts);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    recordRefusal(asked.target, error, client, parts);
    return incoming.reject(error.reason, error.message);
  }
  const { action, resource, decision: { rule, maxSession } } = route;
  const flow = parts.flows.begin({
    who: client.identity,
    target: addressText(asked.target),
    rule,
    maxSession,
    remote: client.description,
    connection: client.name,
  }, { client, action, resource });
  const opened = await open(route, flow, asked, client, parts).catch((error) => {
    flow.end("open-failed", error);
    const sentence = error instanceof TargetError ? peerSentence(error, client) : NOT_SERVED;
    return incoming.reject(ChannelOpenReason.connectFailed, sentence);
  });
  if (!opened) return;
  flow.via = opened.target.description;
  let channel: Channel;
  try {
    channel = incoming.accept();
  } catch (error) {
    opened.done();
    discard(opened.duplex);
    return flow.end("aborted", error);
  }
  parts.flows.carry(flow, channel, opened.duplex).then(opened.done);
}

function recordRefusal(
  target: HostPort,
  { rule, why }: Refused,
  client: Client,
  { audit }: GatewayParts,
): void {
  const details = { action: "direct-tcpip", resource: addressText(target), rule, reason: why };
  audit.record("access.refused", details, client.auditContext);
}

function addressText({ host, port }: HostPort): string {
  return formatAddress({ transport: "tcp", hostname: host, port });
}

async function open(
  route: Route,
  flow: Flow,
  { originator }: TcpChannel,
  client: Client,
  parts: GatewayParts,
) {
  const gone = () => flow.cut("aborted", "the client has gone");
  client.ended.addEventListener("abort", gone, { once: true });
  if (client.ended.aborted) gone();
  try {
    const origin = { hostname: originator.host, port: originator.port };
    return await parts.balancer.open(route.targets, { origin, signal: flow.signal });
  } finally {
    client.ended.removeEventListener("abort", gone);
  }
}

/** @throws {Refused} */
async function findRoute(target: HostPort, client: Client, parts: GatewayParts): Promise<Route> {
  if (!permitsOpen(client.login.restrictions, target.host, target.port)) {
    throw prohibited("permitopen", "the key's line does not permit this destination");
  }
  const direct = classifyDirect(target.host, target.port, parts.naming);
  switch (direct.kind) {
    case "refused":
      throw prohibited("names", direct.reason);
    case "address":
      return await toAddresses([direct.address], direct.port, undefined, client, parts);
    case "name":
      return await toNode(direct.name, direct.port, client, parts) ??
        await toHost(direct.host, direct.port, client, parts);
  }
}

/** A node that serves the name; undefined where none does and the name may mean something else. */
async function toNode(
  name: string,
  port: number,
  client: Client,
  parts: GatewayParts,
): Promise<Route | undefined> {
  const targets = await parts.registry.resolve(name, port);
  const alias = shortName(name, parts.naming.domain);
  const resource: Resource = {
    kind: "node",
    name,
    port,
    published: targets.some(({ endpoint }) => endpoint.published),
    ...(alias && { aliases: [alias] }),
  };
  const decision = parts.judge.decide(client.identity, "connect", resource, client.context());
  if (targets.length > 0) {
    if (decision.allowed) return { targets, action: "connect", resource, decision };
    throw prohibited(decision.rule, decision.reason, decision.peerSentence);
  }
  if (parts.judge.mayDial(client.identity)) return undefined;
  if (!decision.allowed) throw prohibited(decision.rule, decision.reason, decision.peerSentence);
  throw new Refused(decision.rule, "no node serves it", ChannelOpenReason.connectFailed, NOT_SERVED);
}

/** A host on the gateway's own network: looked up first, so that what is judged is what is dialled. */
async function toHost(host: string, port: number, client: Client, parts: GatewayParts): Promise<Route> {
  const addresses = await parts.net.resolve(host).catch(() => []);
  if (addresses.length === 0) throw prohibited("names", `no node and no host is called ${host}`);
  return await toAddresses(addresses, port, host, client, parts);
}

// deno-lint-ignore require-await -- refusals are rejections
async function toAddresses(
  addresses: readonly string[],
  port: number,
  host: string | undefined,
  client: Client,
  parts: GatewayParts,
): Promise<Route> {
  let refusal: Decision | undefined;
  const allowed: Route[] = [];
  for (const address of addresses) {
    const resource: Resource = { kind: "address", address, port, via: "gateway", ...(host && { host }) };
    const decision = parts.judge.decide(client.identity, "dial", resource, client.context());
    const target = dialTarget(parts.net, { transport: "tcp", hostname: address, port });
    if (decision.allowed) allowed.push({ targets: [target], action: "dial", resource, decision });
    else refusal ??= decision;
  }
  if (allowed.length > 0) return { ...allowed[0], targets: allowed.flatMap(({ targets }) => targets) };
  // Through a node an address is that of the node's network: names were looked up in ours.
  const [via] = host === undefined ? throughNodes(addresses[0], port, client, parts) : [];
  if (via) return via;
  throw prohibited(refusal!.rule, refusal!.reason, refusal!.peerSentence);
}

/** Nodes that offer to dial the address, may do so themselves, and through which this client may. */
function throughNodes(address: string, port: number, client: Client, parts: GatewayParts): Route[] {
  const { judge, dialers } = parts;
  return dialers.covering(address, port).flatMap((dialer) => {
    const [name, ...aliases] = dialer.names();
    if (name === undefined) return [];
    const resource: Resource = { kind: "address", address, port, via: { name, aliases } };
    // An offer alone is no right: else any node could draw the traffic for any network to itself.
    if (!judge.decide(dialer.identity, "dial", resource, client.context()).allowed) return [];
    const decision = judge.decide(client.identity, "dial", resource, client.context());
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

function prohibited(rule: string, why: string, sentence = PROHIBITED): Refused {
  return new Refused(rule, why, ChannelOpenReason.administrativelyProhibited, sentence || PROHIBITED);
}

/** Owners learn what went wrong behind the gateway; others that it did. */
function peerSentence(error: TargetError, { identity }: Client): string {
  if (identity.owner) return error.message;
  return error.code === "timeout" ? "no answer in time" : "the connection could not be opened";
}
