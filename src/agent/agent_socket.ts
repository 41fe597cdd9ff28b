/** Agent forwarding: a Unix socket for a session's programs, behind which is the client's SSH agent. */
import { EMPTY } from "../bytes/bytes.ts";
import type { Net, NetListener } from "../platform/net.ts";
import type { Connection } from "../ssh/connection/types.ts";
import { relay } from "../streams/relay.ts";

/** A folder that only this user can enter. */
export interface PrivateFolder {
  readonly path: string;
  /** Removes it with all that is in it. */
  remove(): Promise<void>;
}

/** What agent forwarding needs of the system. */
export interface AgentSocketHost {
  readonly net: Net;
  /** Makes a folder with mode 0700 in the system's place for temporary ones. */
  makePrivateFolder(): Promise<PrivateFolder>;
}

export interface AgentSocket {
  /** For `SSH_AUTH_SOCK`. */
  readonly path: string;
  /** Ends the socket and what runs over it. Idempotent. */
  close(): Promise<void>;
}

/** Connections to one session's agent at once: people have a few, a runaway program many. */
const MAX_AGENT_CONNECTIONS = 64;

/** Listens; every connection becomes a channel `auth-agent@openssh.com` to the client. @throws {NetError} */
export async function openAgentSocket(connection: Connection, host: AgentSocketHost): Promise<AgentSocket> {
  const folder = await host.makePrivateFolder();
  const path = `${folder.path}/agent`;
  let listener: NetListener;
  try {
    listener = await host.net.listen({ transport: "unix", path });
  } catch (error) {
    await folder.remove();
    throw error;
  }
  const ending = new AbortController();
  const serving = serve(listener, connection, ending.signal);
  let closing: Promise<void> | undefined;
  const close = async () => {
    ending.abort(new Error("the session is over"));
    listener.close();
    await serving;
    await folder.remove();
  };
  return { path, close: () => closing ??= close() };
}

async function serve(listener: NetListener, connection: Connection, signal: AbortSignal): Promise<void> {
  const flows = new Set<Promise<void>>();
  try {
    for await (const local of listener) {
      if (flows.size >= MAX_AGENT_CONNECTIONS) {
        local.close();
        continue;
      }
      const flow = connection.open("auth-agent@openssh.com", EMPTY, { signal })
        .then(async (channel) => void await relay(local, channel, { signal }))
        // The client has no agent, or has gone: the program sees its connection end.
        .catch(() => local.close())
        .finally(() => flows.delete(flow));
      flows.add(flow);
    }
  } catch {
    // The listener broke; the session goes on without an agent.
  }
  await Promise.all(flows);
}
