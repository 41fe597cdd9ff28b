/** Connections that leave this gateway through one that has joined it. */
import type { Channel } from "../../ssh/connection/types.ts";
import type { HostPort } from "../../ssh/forward/messages.ts";
import type { ServerConnection } from "../../ssh/server.ts";
import { anonymous } from "../../identity/principal.ts";
import type { OpenRequest } from "../../routing/target.ts";
import { orTargetError } from "../forwarded.ts";
import { isTravelRequest } from "../requester.ts";
import { writeAssertion } from "./assertion.ts";
import { encodeMeshChannel, GatewayMessage, signedPart } from "./messages.ts";
import type { MeshSelf } from "./self.ts";

/**
 * Opens `target` at the gateway at the other end, and tells it for whom.
 * @throws {TargetError} or the signal's reason
 */
export async function openThroughGateway(
  connection: ServerConnection<unknown>,
  target: HostPort,
  request: OpenRequest,
  self: MeshSelf,
): Promise<Channel> {
  const travels = isTravelRequest(request);
  const { identity, source } = travels ? request : { identity: anonymous, source: request.origin.hostname };
  const path = travels ? request.hops : [self.id];
  const assertion = writeAssertion({ identity, source });
  const { hostKey } = connection;
  const signature = await self.sign(hostKey, signedPart(connection.sessionId, { target, path, assertion }));
  const originator = { host: request.origin.hostname, port: request.origin.port };
  const data = encodeMeshChannel({ target, originator, path, assertion, signature });
  const { signal } = request;
  return await orTargetError(connection.open(GatewayMessage.channel, data, { signal }), signal);
}
