/** Registering at a gateway: what this agent is, what it exposes, and what the gateway says to it. */
import { type Bytes, EMPTY } from "../bytes/bytes.ts";
import { decodePublicKey } from "../keys/public_key.ts";
import { KeyError, type PublicKey } from "../keys/types.ts";
import { decodeUserCas, encodeAllowDial, encodeInstance, MeshRequest } from "../mesh/requests.ts";
import type { Connection } from "../ssh/connection/types.ts";
import { SshError } from "../ssh/error.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { RemoteForwards } from "../ssh/forward/outgoing.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";
import type { LinkContext } from "./link_context.ts";

/** Ports that are published where the gateway's rules allow it. */
const PUBLISHED_PORTS: ReadonlySet<number> = new Set([80, 443]);

/** Sentences kept for registrations that are not answered yet: more than an agent asks for. */
const MAX_SENTENCES = 256;

/** A port as the gateway registered it. */
export interface Registration {
  readonly name?: string;
  readonly port: number;
}

/** What a gateway of ours says about registrations: before its answers, and later when it takes one back. */
export class Refusals {
  readonly #gateway: string;
  readonly #log: EventLog;
  readonly #sentences = new Map<string, string>();
  #registered = false;

  constructor(gateway: GatewayAddress, log: EventLog) {
    this.#gateway = formatGateway(gateway);
    this.#log = log;
  }

  add({ asked: { host, port }, sentence }: { readonly asked: HostPort; readonly sentence: string }): void {
    if (this.#registered) {
      this.#log({ event: "refused", name: host, port, gateway: this.#gateway, reason: sentence });
    } else if (this.#sentences.size < MAX_SENTENCES) {
      this.#sentences.set(`${host}:${port}`, sentence);
    }
  }

  sentence(host: string, port: number): string | undefined {
    return this.#sentences.get(`${host}:${port}`);
  }

  /** From now on they are withdrawals. */
  registered(): void {
    this.#registered = true;
    this.#sentences.clear();
  }
}

/** What a gateway answered. */
export interface Registered {
  readonly registrations: readonly Registration[];
  /** It knows our requests. */
  readonly ours: boolean;
}

/**
 * Registers everything in one flight.
 * @throws {AgentError} `refusedName`
 */
export async function register(
  { ssh, forwards }: { readonly ssh: Connection; readonly forwards: RemoteForwards },
  refusals: Refusals,
  gateway: GatewayAddress,
  context: LinkContext,
): Promise<Registered> {
  const where = formatGateway(gateway);
  const { name, log } = context;
  // All in one flight: requests are answered in order.
  const asked = ssh.request(MeshRequest.instance, encodeInstance(context.instance), true);
  const hidden = context.private ? ssh.request(MeshRequest.private, EMPTY, true) : Promise.resolve(true);
  const dials = context.allowDial.length > 0
    ? ssh.request(MeshRequest.allowDial, encodeAllowDial(context.allowDial), true)
    : Promise.resolve(true);
  const settled = Promise.all([asked, hidden, dials]);
  // When the connection ends, the registrations say so.
  settled.catch(() => {});
  // What might be published waits for the word that it will not be.
  const wanted = context.exposures;
  if (context.private && wanted.some(({ port }) => PUBLISHED_PORTS.has(port)) && await hidden === false) {
    throw new AgentError(
      "refusedName",
      `${where} cannot keep ports 80 and 443 private: it does not know --private`,
    );
  }
  // An empty host would be any address for a stock server; this is what ssh -R sends for none.
  const host = name ?? "localhost";
  const results = await Promise.allSettled(wanted.map(async (exposure): Promise<Registration> => {
    const listener = await forwards.listenTcp(
      { host, port: exposure.port },
      (connection) => context.onConnection(exposure, connection),
    );
    return { ...(name !== undefined && { name }), port: listener.port };
  }));
  const [instance, , dialling] = await settled;
  if (dialling === false) log({ event: "warning", message: `${where} dials nothing through this agent` });
  const registrations: Registration[] = [];
  for (const [index, result] of results.entries()) {
    const { port } = wanted[index];
    if (result.status === "fulfilled") {
      registrations.push(result.value);
    } else if (result.reason instanceof SshError && result.reason.code === "request-refused") {
      const reason = refusals.sentence(host, port) ?? "another identity has the name, or no rule allows it";
      const what = name === undefined ? `port ${port} under the credential's own name` : `${name}:${port}`;
      throw new AgentError("refusedName", `${where} refuses to register ${what}: ${reason}`);
    } else {
      throw result.reason;
    }
  }
  return { registrations, ours: instance !== false };
}

/** The reply to `user-ca@ssh-mesh`. Keys of types that are not known here are left out. */
export function readUserCas(reply: Bytes | boolean): PublicKey[] | undefined {
  if (typeof reply === "boolean") return undefined;
  return decodeUserCas(reply).flatMap((blob) => {
    try {
      return [decodePublicKey(blob.slice())];
    } catch (error) {
      if (error instanceof KeyError) return [];
      throw error;
    }
  });
}
