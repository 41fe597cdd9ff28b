/** Opens the connections that clients and other gateways ask for. */
import { formatHostPort } from "../platform/net.ts";
import { discard, TargetError } from "../routing/target.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import { decodeTcpChannel, type HostPort, type TcpChannel } from "../ssh/forward/messages.ts";
import type { Channel, IncomingChannel } from "../ssh/connection/types.ts";
import type { Flow } from "../telemetry/flow.ts";
import type { GatewayParts } from "./parts.ts";
import type { Requester, TravelRequest } from "./requester.ts";
import { findRoute, NOT_SERVED, type Route, RouteRefused } from "./route.ts";

/** Serves one `direct-tcpip` channel: resolves when it has been answered. */
export async function serveDirect(
  incoming: IncomingChannel,
  requester: Requester,
  parts: GatewayParts,
): Promise<void> {
  await serveAsked(incoming, decodeTcpChannel(incoming.data), requester, parts);
}

/** As {@link serveDirect}, for a channel whose data says `asked` in another way. */
export async function serveAsked(
  incoming: IncomingChannel,
  asked: TcpChannel,
  requester: Requester,
  parts: GatewayParts,
): Promise<void> {
  let route: Route;
  try {
    route = await findRoute(asked.target, requester, parts);
  } catch (error) {
    if (!(error instanceof RouteRefused)) throw error;
    recordRefusal(asked.target, error, requester, parts);
    return incoming.reject(error.reason, error.message);
  }
  const { action, resource, decision: { rule, maxSession } } = route;
  const flow = parts.flows.begin({
    who: requester.identity,
    target: addressText(asked.target),
    rule,
    maxSession,
    remote: requester.description,
    connection: requester.name,
  }, { requester, action, resource, asked: asked.target });
  const opened = await open(route, flow, asked, requester, parts).catch((error) => {
    flow.end("open-failed", error);
    const sentence = error instanceof TargetError ? peerSentence(error, requester) : NOT_SERVED;
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
  { rule, why }: RouteRefused,
  requester: Requester,
  { audit }: GatewayParts,
): void {
  const details = { action: "direct-tcpip", resource: addressText(target), rule, reason: why };
  audit.record("access.refused", details, requester.auditContext);
}

function addressText({ host, port }: HostPort): string {
  return formatHostPort(host, port);
}

async function open(
  route: Route,
  flow: Flow,
  { originator }: TcpChannel,
  requester: Requester,
  parts: GatewayParts,
) {
  const gone = () => flow.cut("aborted", "the client has gone");
  requester.ended.addEventListener("abort", gone, { once: true });
  if (requester.ended.aborted) gone();
  try {
    const { identity, hops } = requester;
    const { sourceAddress: source } = requester.context();
    const request: TravelRequest = {
      // The originator is whatever the client says, for `ssh -L` an address of its own machine.
      origin: { hostname: source ?? originator.host, port: originator.port },
      signal: flow.signal,
      identity,
      source,
      hops: [...hops, parts.mesh.id],
    };
    return await parts.balancer.open(route.targets, request);
  } finally {
    requester.ended.removeEventListener("abort", gone);
  }
}

/** Owners learn what went wrong behind the gateway; others that it did. */
function peerSentence(error: TargetError, { identity }: Requester): string {
  if (identity.owner) return error.message;
  return error.code === "timeout" ? "no answer in time" : "the connection could not be opened";
}
