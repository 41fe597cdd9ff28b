/** Forwards from this machine to other nodes: the flags `-L` and `--connect`. */
import type { HostPort } from "../ssh/forward/messages.ts";

/** A local address whose connections go through a gateway to `target`. */
export interface LocalForward {
  /** Where to listen; port 0 picks one. */
  readonly listen: HostPort;
  readonly target: HostPort;
}

/** Where forwards listen unless told otherwise: whoever reaches it uses the agent's identity. */
const LOOPBACK = "127.0.0.1";

const HOST = String.raw`(?:\[([^\]]*)\]|([^:[\]]*))`;

/**
 * Reads `[BIND:]PORT:HOST:HOSTPORT`, as `ssh -L` does for TCP.
 * @throws {TypeError} with a sentence
 */
export function parseLocalForward(text: string): LocalForward {
  const match = new RegExp(`^(?:${HOST}:)?(\\d{1,5}):${HOST}:(\\d{1,5})$`).exec(text);
  const host = match?.[4] ?? match?.[5];
  const [port, targetPort] = [Number(match?.[3]), Number(match?.[6])];
  if (!match || !host || port > 65535 || targetPort > 65535 || targetPort === 0) {
    throw new TypeError(`'${text}' is no forward: write [BIND:]PORT:NODE:PORT, such as 5432:db:5432`);
  }
  return { listen: { host: bindAddress(match[1] ?? match[2]), port }, target: { host, port: targetPort } };
}

/** As ssh: none and `localhost` are loopback, `*` and nothing before the colon are every address. */
function bindAddress(bind: string | undefined): string {
  if (bind === undefined || bind === "localhost") return LOOPBACK;
  return bind === "" || bind === "*" ? "0.0.0.0" : bind;
}

/**
 * Reads `NAME[:PORT]`: a forward from a free loopback port to that port of the node, 22 by default.
 * @throws {TypeError} with a sentence
 */
export function parseConnect(text: string): LocalForward {
  const match = /^([^:[\]\s]+)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? 22);
  if (!match || port > 65535 || port === 0) {
    throw new TypeError(`'${text}' is no node: write NAME or NAME:PORT`);
  }
  return { listen: { host: LOOPBACK, port: 0 }, target: { host: match[1], port } };
}
