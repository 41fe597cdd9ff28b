/** Connections that go down to a node, over the connection that it dialled. */
import { type OpenRequest, TargetError } from "../routing/target.ts";
import { ChannelOpenError } from "../ssh/error.ts";
import type { Channel, Connection } from "../ssh/connection/types.ts";
import { encodeTcpChannel, type HostPort } from "../ssh/forward/messages.ts";

/**
 * Opens a connection to what a client has asked to be forwarded (`forwarded-tcpip`).
 * @param target exactly as it asked and was answered: OpenSSH refuses any other spelling
 * @throws {TargetError} or the signal's reason
 */
export function openForwarded(
  connection: Connection,
  target: HostPort,
  request: OpenRequest,
): Promise<Channel> {
  const { origin, signal } = request;
  const originator = { host: origin.hostname, port: origin.port };
  const data = encodeTcpChannel({ target, originator });
  return orTargetError(connection.open("forwarded-tcpip", data, { signal }), signal);
}

/** What goes wrong while a channel to a node is opened, in the words of targets. */
export async function orTargetError(
  opening: Promise<Channel>,
  signal: AbortSignal | undefined,
): Promise<Channel> {
  try {
    return await opening;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const why = error instanceof ChannelOpenError
      ? `the node refused: ${error.message}`
      : "the node has gone";
    throw new TargetError("failed", why, { cause: error });
  }
}
