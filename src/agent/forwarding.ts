/** Forwarding through the agent: what it dials and where it listens for those who may. */
import {
  formatAddress,
  type Net,
  type NetConnection,
  NetError,
  type NetListener,
  unmapped,
} from "../platform/net.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import {
  type Deliver,
  type ForwardPolicy,
  ForwardRefusal,
  type GrantedListener,
} from "../ssh/forward/incoming.ts";
import type { HostPort, TcpChannel } from "../ssh/forward/messages.ts";
import { relay } from "../streams/relay.ts";
import { addressesWithin, type Reach } from "./reach.ts";

/** What forwarding needs of the system. */
export interface ForwardHost {
  readonly net: Net;
  /** This machine's addresses beside loopback. */
  ownAddresses(): readonly string[];
}

/** What one login may forward. */
export interface ForwardRights {
  /** `direct-tcpip` to there; undefined: none at all. */
  readonly dial?: { readonly reach: Reach; permits(host: string, port: number): boolean };
  /** `tcpip-forward`; undefined: none at all. */
  readonly listen?: {
    /** Where a listener is bound: `-R` may name an address only where this says `asked`. */
    readonly bind: "loopback" | "any" | "asked";
    permits(host: string, port: number): boolean;
  };
  /** `direct-streamlocal@openssh.com`. */
  readonly dialUnix: boolean;
  /** `streamlocal-forward@openssh.com`. */
  readonly listenUnix: boolean;
}

/** The policy that {@link serveForwarding} asks. */
export function forwardPolicy(rights: ForwardRights, host: ForwardHost): ForwardPolicy {
  const { dial, listen, dialUnix, listenUnix } = rights;
  return {
    dialTcp: dial && ((request) => dialTcp(dial, request, host)),
    dialStreamLocal: dialUnix ? (path) => dialUnixSocket(path, host.net) : undefined,
    listenTcp: listen && ((address, deliver) => listenTcp(listen, address, deliver, host.net)),
    listenStreamLocal: listenUnix ? (path, deliver) => listenUnixSocket(path, deliver, host.net) : undefined,
  };
}

async function dialTcp(
  { reach, permits }: NonNullable<ForwardRights["dial"]>,
  { target }: TcpChannel,
  { net, ownAddresses }: ForwardHost,
): Promise<NetConnection> {
  const refusal = new ForwardRefusal(
    ChannelOpenReason.administrativelyProhibited,
    "this agent does not connect there (--allow-dial)",
  );
  if (!permits(target.host, target.port)) throw refusal;
  const addresses = await addressesWithin(reach, target.host, target.port, {
    resolve: (name) => net.resolve(name),
    ownAddresses,
  });
  let failure: unknown = refusal;
  for (const address of addresses) {
    try {
      return await net.dial(address);
    } catch (error) {
      failure = error;
    }
  }
  throw failure instanceof NetError ? unreachable(failure) : failure;
}

async function dialUnixSocket(path: string, net: Net): Promise<NetConnection> {
  try {
    return await net.dial({ transport: "unix", path });
  } catch (error) {
    throw error instanceof NetError ? unreachable(error) : error;
  }
}

const WHY: Partial<Record<NetError["code"], string>> = {
  "refused": "nothing listens there",
  "not-found": "there is no such host or socket",
  "unreachable": "no way leads there",
  "timeout": "no answer in time",
  "denied": "this agent may not",
};

/** The peer is in: it may know why, without the system's own words. */
function unreachable(cause: NetError): ForwardRefusal {
  return new ForwardRefusal(ChannelOpenReason.connectFailed, WHY[cause.code] ?? "the connection failed", {
    cause,
  });
}

async function listenTcp(
  { bind, permits }: NonNullable<ForwardRights["listen"]>,
  asked: HostPort,
  deliver: Deliver,
  net: Net,
): Promise<GrantedListener | undefined> {
  if (!permits(asked.host, asked.port)) return undefined;
  const listeners: GrantedListener[] = [];
  let { port } = asked;
  for (const hostname of bindAddresses(bind, asked.host)) {
    const listener = await granted(() => net.listen({ transport: "tcp", hostname, port }), deliver);
    if (!listener) continue;
    listeners.push(listener);
    // Both families at one port, also where the system chose it.
    port = listener.port;
  }
  if (listeners.length === 0) return undefined;
  return { port, close: async () => void await Promise.all(listeners.map((listener) => listener.close())) };
}

const LOOPBACK = ["127.0.0.1", "::1"];

/** On most systems the first accepts for both families; the second is then refused, and not missed. */
const EVERYWHERE = ["::", "0.0.0.0"];

/** As sshd binds: GatewayPorts no, yes, clientspecified. One of them is enough. */
function bindAddresses(bind: "loopback" | "any" | "asked", host: string): readonly string[] {
  if (bind === "any") return EVERYWHERE;
  if (bind === "loopback" || host === "localhost") return LOOPBACK;
  return host === "" || host === "*" ? EVERYWHERE : [host];
}

async function listenUnixSocket(
  path: string,
  deliver: Deliver,
  net: Net,
): Promise<GrantedListener | undefined> {
  return await granted(() => net.listen({ transport: "unix", path }), deliver);
}

/** A listener that hands on what it accepts; undefined where the system refuses it. */
async function granted(
  listen: () => Promise<NetListener>,
  deliver: Deliver,
): Promise<GrantedListener | undefined> {
  let listener: NetListener;
  try {
    listener = await listen();
  } catch (error) {
    if (error instanceof NetError) return undefined;
    throw error;
  }
  const { address } = listener;
  const accepting = accept(listener, deliver);
  return {
    port: address.transport === "tcp" ? address.port : 0,
    async close() {
      listener.close();
      await accepting;
    },
  };
}

async function accept(listener: NetListener, deliver: Deliver): Promise<void> {
  for await (const connection of listener) {
    const { remote } = connection;
    const originator = remote.transport === "tcp"
      ? { host: unmapped(remote.hostname), port: remote.port }
      : { host: formatAddress(remote), port: 0 };
    deliver(originator).then(
      (channel) => relay(connection, channel),
      (error) => connection.close(error),
    );
  }
}
