/** What a `tcpip-forward` or a `direct-tcpip` asks for: rows of a table, by address and port. */
import { fullName, ipAddress, isLoopbackOrAny, NameError, normalizeName } from "./names.ts";

/** What a request's meaning depends on beside itself. */
export interface NamingContext {
  /** The gateway's domain, normalised. */
  readonly domain: string;
  /** Names that no node may have beside the domain itself and `localhost`, normalised. */
  readonly gatewayNames?: readonly string[];
  /** The requester's own name: its credential's FQDN, normalised. */
  readonly ownName?: string;
}

/** A port of a node, reached by name; no port of the gateway is opened. */
export interface NodePort {
  /** `own-name`: the name was not asked for but comes from the credential. */
  readonly kind: "node-port" | "own-name";
  /** Full and normalised. */
  readonly name: string;
  readonly port: number;
  /** Ports 80 and 443 are published, with the right to. */
  readonly publish: boolean;
  /** Port of the answer, and of every `forwarded-tcpip` after it. */
  readonly answerPort: number;
}

/** All traffic for the requester's node in one form. */
export interface MeshPort {
  readonly kind: "mesh";
  readonly name: string;
  readonly port: number;
  readonly form: "hbone" | "sni" | "proxy";
  readonly answerPort: number;
}

/** A real listening port on the gateway. */
export interface ListenerPort {
  readonly kind: "listener";
  /** Where to bind. */
  readonly hostname: "127.0.0.1" | "0.0.0.0";
  readonly port: number;
  readonly answerPort: number;
}

/** Nothing that could be granted to anybody. */
export interface RefusedRequest {
  readonly kind: "refused";
  /** A sentence for the peer and the log. */
  readonly reason: string;
}

/** What a `tcpip-forward` asks for: one row of the table of {@link classifyForward}. */
export type ForwardRequest = NodePort | MeshPort | ListenerPort | RefusedRequest;

/** The port that a request for port 0 is answered with: where SSH listens by convention. */
const SSH_ANSWER_PORT = 15022;

/** Ports that without a name stand for the requester's own. */
const OWN_NAME_PORTS: ReadonlySet<number> = new Set([22, 80, 443]);

/** Ports of a name that are reached by Host or SNI. */
const PUBLISHED_PORTS: ReadonlySet<number> = new Set([80, 443]);

const MESH_FORMS: Readonly<Record<number, MeshPort["form"]>> = {
  15008: "hbone",
  15443: "sni",
  15010: "proxy",
};

/**
 * What a `tcpip-forward` (`ssh -R`) of `address` and `port` asks for. Says nothing about who may.
 *
 * | address | port | |
 * |---|---|---|
 * | a name | any | that port of the node; 0 is its SSH |
 * | none, `localhost`, `*`, loopback or any | 0, 22, 80, 443 | the same under the requester's own name |
 * | none (`*`), any | 15008, 15443, 15010 | mesh |
 * | none, `localhost`, `*`, loopback or any | any other | a listener |
 * | any other IP address | | refused |
 *
 * OpenSSH sends `localhost` for `-R 22:…` and an empty address for `-R '*:22:…'`.
 */
export function classifyForward(address: string, port: number, context: NamingContext): ForwardRequest {
  if (!Number.isInteger(port) || port < 0 || port > 65535) return refused(`${port} is no port`);
  const scope = scopeOf(address);
  if (scope === "other-address") {
    return refused("forwarding on an IP address is not offered: ask for a name (-R NAME:PORT:…)");
  }
  return scope === "name" ? namedPort(address, port, context) : unnamedPort(scope, port, context);
}

type Scope = "any" | "loopback" | "name" | "other-address";

function scopeOf(address: string): Scope {
  if (address === "" || address === "*") return "any";
  if (/^localhost\.?$/i.test(address)) return "loopback";
  const ip = ipAddress(address);
  if (ip === undefined) return "name";
  if (!isLoopbackOrAny(ip)) return "other-address";
  return ip === "0.0.0.0" || ip === "::" ? "any" : "loopback";
}

function namedPort(address: string, port: number, context: NamingContext): ForwardRequest {
  let name: string;
  try {
    name = fullName(normalizeName(address), context.domain);
  } catch (error) {
    if (error instanceof NameError) return refused(error.message);
    throw error;
  }
  if (isReserved(name, context)) return refused("this name belongs to the gateway");
  return nodePort("node-port", name, port);
}

function unnamedPort(scope: "any" | "loopback", port: number, context: NamingContext): ForwardRequest {
  const { ownName } = context;
  const form = scope === "any" ? MESH_FORMS[port] : undefined;
  if (form === undefined && port !== 0 && !OWN_NAME_PORTS.has(port)) {
    return { kind: "listener", hostname: scope === "any" ? "0.0.0.0" : "127.0.0.1", port, answerPort: port };
  }
  if (ownName === undefined) {
    return refused(
      `your credential carries no name of its own: ask for one (--name NAME, or with ssh -R NAME:${
        port || 22
      }:…)`,
    );
  }
  if (isReserved(ownName, context)) return refused("this name belongs to the gateway");
  if (form !== undefined) return { kind: "mesh", name: ownName, port, form, answerPort: port };
  return nodePort("own-name", ownName, port);
}

function nodePort(kind: NodePort["kind"], name: string, asked: number): NodePort {
  const port = asked === 0 ? 22 : asked;
  const answerPort = asked === 0 ? SSH_ANSWER_PORT : asked;
  return { kind, name, port, publish: PUBLISHED_PORTS.has(port), answerPort };
}

function isReserved(name: string, { domain, gatewayNames = [] }: NamingContext): boolean {
  const isForeignLocalhost = name.endsWith(".localhost") && domain !== "localhost" &&
    !domain.endsWith(".localhost");
  return name === domain || name === "localhost" || isForeignLocalhost || gatewayNames.includes(name);
}

/** Where a `direct-tcpip` (`ssh -J`, `-W`, `-L`) wants to go. */
export type DirectTarget =
  /** A node by this name, if there is one; otherwise a host to look up and dial. */
  | {
    readonly kind: "name";
    /** Full and normalised: what the registry knows nodes by. */
    readonly name: string;
    /** Normalised as asked, without the domain: what a dial would look up. */
    readonly host: string;
    readonly port: number;
  }
  | { readonly kind: "address"; readonly address: string; readonly port: number }
  | RefusedRequest;

/**
 * What a `direct-tcpip` to `host` and `port` asks for. `localhost` becomes the address 127.0.0.1: the gateway's own
 * machine, never a look-up.
 */
export function classifyDirect(host: string, port: number, context: NamingContext): DirectTarget {
  if (!Number.isInteger(port) || port < 1 || port > 65535) return refused(`${port} is no port`);
  const address = /^localhost\.?$/i.test(host) ? "127.0.0.1" : ipAddress(host);
  if (address !== undefined) return { kind: "address", address, port };
  try {
    const asked = normalizeName(host);
    return { kind: "name", name: fullName(asked, context.domain), host: asked, port };
  } catch (error) {
    if (error instanceof NameError) return refused(error.message);
    throw error;
  }
}

function refused(reason: string): RefusedRequest {
  return { kind: "refused", reason };
}
