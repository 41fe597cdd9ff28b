/** A real port of the gateway that a client has opened (`ssh -R PORT:…`). */
import type { Decision, Resource } from "../identity/policy/mod.ts";
import { anonymous } from "../identity/principal.ts";
import { formatAddress, type NetConnection, type NetListener } from "../platform/net.ts";
import { discard } from "../routing/target.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { Client } from "./client.ts";
import { openForwarded } from "./forwarded.ts";
import type { GatewayParts } from "./parts.ts";

export interface OpenedPort {
  readonly listener: NetListener;
  /** As the client spelled it. */
  readonly asked: HostPort;
  readonly client: Client;
  readonly resource: Resource;
  readonly decision: Decision;
}

/** Hands every connection to the client, until the listener is closed. */
export async function serveOpenedPort(port: OpenedPort, parts: GatewayParts): Promise<void> {
  for await (const connection of port.listener) serveConnection(connection, port, parts);
}

async function serveConnection(
  connection: NetConnection,
  { listener, asked, client, resource, decision: { rule, maxSession } }: OpenedPort,
  { flows }: GatewayParts,
): Promise<void> {
  const { remote } = connection;
  const origin = remote.transport === "tcp" ? remote : { hostname: "127.0.0.1", port: 0 };
  const flow = flows.begin({
    // Nobody is asked for a credential there: the port is the client's.
    who: anonymous,
    target: formatAddress(listener.address),
    rule,
    maxSession,
    remote: formatAddress(remote),
    connection: client.name,
  }, { requester: client, action: "listen", resource });
  try {
    const channel = await openForwarded(client.connection, asked, { origin, signal: flow.signal });
    flow.via = client.description;
    await flows.carry(flow, connection, channel);
  } catch (error) {
    flow.end("open-failed", error);
    discard(connection);
  }
}
