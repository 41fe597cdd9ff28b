/** Where a gateway is: the `--gateway` flag. */
import { formatHostPort } from "../platform/net.ts";

/** A gateway, and as whom to log in there. */
export interface GatewayAddress {
  readonly hostname: string;
  readonly port: number;
  /** Login name; ours ignores it, a stock sshd does not. Undefined: the agent's own user. */
  readonly user?: string;
}

/** The port that gateways listen on unless told otherwise. */
const DEFAULT_GATEWAY_PORT = 15022;

/**
 * Reads `HOST[:PORT]`, `USER@HOST:PORT` or `ssh://USER@HOST:PORT`.
 * @throws {TypeError} with a sentence
 */
export function parseGatewayAddress(text: string): GatewayAddress {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text);
  if (scheme && scheme[1].toLowerCase() !== "ssh") {
    throw new TypeError(`'${text}': gateways are reached by ssh://HOST:PORT, not by ${scheme[1]}://`);
  }
  const rest = text.slice(scheme?.[0].length ?? 0).replace(/\/$/, "");
  const match = /^(?:([^@\s]+)@)?(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]@/\s]+))(?::(\d{1,5}))?$/.exec(rest);
  const port = Number(match?.[4] ?? DEFAULT_GATEWAY_PORT);
  if (!match || port < 1 || port > 65535) {
    throw new TypeError(`'${text}' is no gateway: write HOST:PORT or ssh://HOST:PORT`);
  }
  return { hostname: match[2] ?? match[3].toLowerCase(), port, ...(match[1] && { user: match[1] }) };
}

/** As it is written: `gw.example.com:15022`, `[::1]:15022`. */
export function formatGateway({ hostname, port }: GatewayAddress): string {
  return formatHostPort(hostname, port);
}
