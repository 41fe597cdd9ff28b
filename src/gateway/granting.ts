/** How a client comes to serve a name, or to have a port of the gateway: what it is granted of what it asked for. */
import type { Decision, Resource } from "../identity/policy/mod.ts";
import { formatAddress, formatHostPort } from "../platform/net.ts";
import { permitsListen } from "../keys/restrictions.ts";
import type { ListenerPort, NodePort } from "../routing/forward_request.ts";
import { shortName } from "../routing/names.ts";
import type { Endpoint, Holder, Lease } from "../routing/registry.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { Client } from "./client.ts";
import { serveOpenedPort } from "./opened_port.ts";
import type { GatewayParts } from "./parts.ts";

/** A request that stays as it is, with the sentence for the client. */
export class Refused extends Error {
  constructor(message: string, readonly rule: string) {
    super(message);
  }
}

/** What was granted, judged again when the policy changes. */
export interface Grant {
  readonly asked: HostPort;
  readonly action: "register" | "listen";
  readonly resource: Resource;
  /** For people: `web.localhost:22`. */
  readonly what: string;
  /** Address as asked and port as answered: what a cancel says. */
  readonly answered: string;
  readonly lease?: Lease;
  /** Whether it is to be published where that is permitted. */
  readonly publish?: boolean;
  /** Milliseconds that a rule grants it for. */
  readonly maxSession?: number;
  /** Gives back what it holds, and records that. */
  end(): Promise<void>;
}

/** Who asks, and what keeps that which is granted. */
export interface Asker {
  readonly client: Client;
  readonly parts: GatewayParts;
  readonly keeper: Keeper;
}

/** Holds the leases. A grant is given to it in the turn in which it was found to be right: from there on it is its own. */
export interface Keeper extends Holder {
  keep(grant: Grant): void;
}

/** Address as asked and port as answered. */
export function answeredText({ host }: HostPort, port: number): string {
  return formatHostPort(host, port);
}

/** @throws {Refused} when the key's line names other forwards */
export function requireListed(host: string, port: number, client: Client): void {
  if (permitsListen(client.restrictions, host, port)) return;
  throw new Refused("your key's line does not permit this forward (permitlisten)", "permitlisten");
}

/**
 * A lease of a name.
 * @param path other gateways that lie between here and the node
 * @throws {Refused}
 * @throws {RegistryError}
 */
export function serveName(
  asked: HostPort,
  { name, port, publish, answerPort }: NodePort,
  asker: Asker,
  path?: readonly string[],
): Promise<Grant> {
  const { client, parts: { registry, audit, metrics, mesh, naming }, keeper } = asker;
  const alias = shortName(name, naming.domain);
  const resource: Resource = { kind: "node", name, port, ...(alias && { aliases: [alias] }) };
  const release = async (lease: Lease, { asked }: Endpoint) => void await registry.release(lease, asked);
  return takeBetweenDecisions("register", resource, asker, {
    async take({ shared }) {
      const endpoint: Endpoint = {
        port,
        published: publish && mayPublish(resource, asker),
        asked: { address: asked.host, port: answerPort },
      };
      const { issuer, subject, name: ownerName } = client.identity;
      const owner = { issuer, subject, name: ownerName };
      const claim = { name, endpoint, owner, instance: client.instance, shared };
      return { endpoint, lease: await registry.register(claim, keeper, { signal: client.ended }) };
    },
    giveBack: ({ lease, endpoint }) => release(lease, endpoint),
    grant({ lease, endpoint }, { rule, maxSession }) {
      if (path) mesh.paths.set(lease, path);
      const { epoch } = lease;
      const { published } = endpoint;
      audit.record("node.registered", { name, port, epoch, rule, published }, client.auditContext);
      if (publish && !published && !client.private) {
        audit.record("node.unpublished", { name, port, rule }, client.auditContext);
      }
      metrics.registrations.add(1, { outcome: "granted" });
      return {
        asked,
        action: "register",
        resource,
        what: `${name}:${port}`,
        answered: answeredText(asked, answerPort),
        lease,
        publish,
        maxSession,
        async end() {
          await release(lease, endpoint);
          audit.record("node.released", { name, port, epoch }, client.auditContext);
        },
      };
    },
  });
}

/** A listening port of the gateway, whose connections go to the client. @throws {Refused} */
export function openPort(
  asked: HostPort,
  { hostname, port }: Pick<ListenerPort, "hostname" | "port">,
  asker: Asker,
): Promise<Grant> {
  const { client, parts } = asker;
  const { net, audit } = parts;
  const resource: Resource = { kind: "listener", port };
  return takeBetweenDecisions("listen", resource, asker, {
    take: () =>
      net.listen({ transport: "tcp", hostname, port }).catch((error) => {
        throw new Refused(`port ${port} cannot be opened here: ${error.message}`, "listen");
      }),
    giveBack: (listener) => listener.close(),
    grant(listener, decision) {
      const what = formatAddress(listener.address);
      audit.record("listener.opened", { address: what, rule: decision.rule }, client.auditContext);
      serveOpenedPort({ listener, asked, client, resource, decision }, parts);
      return {
        asked,
        action: "listen",
        resource,
        what,
        answered: answeredText(asked, port),
        maxSession: decision.maxSession,
        end() {
          listener.close();
          audit.record("listener.closed", { address: what }, client.auditContext);
          return Promise.resolve();
        },
      };
    },
  });
}

/** Publishing is a right of its own: it may have come or gone since `grant` was granted. */
export async function publishAnew(
  { lease, resource, publish }: Grant,
  asker: Asker,
): Promise<void> {
  if (!lease || !publish || resource.kind !== "node") return;
  const { parts: { registry }, keeper } = asker;
  const current = (await registry.list(lease.name)).find(({ epoch }) => epoch === lease.epoch);
  const endpoint = current?.endpoints.find(({ port }) => port === resource.port);
  const published = mayPublish(resource, asker);
  if (!current || !endpoint || endpoint.published === published) return;
  const claim = { ...current, endpoint: { ...endpoint, published }, shared: true };
  await registry.register(claim, keeper).catch(() => {});
}

/**
 * Takes what has to be waited for. By the time that it is there the right may be gone, or the client: then it is given
 * back.
 */
async function takeBetweenDecisions<T>(
  action: Grant["action"],
  resource: Resource,
  asker: Asker,
  { take, giveBack, grant }: {
    readonly take: (decision: Decision) => Promise<T>;
    readonly giveBack: (taken: T) => void | Promise<void>;
    readonly grant: (taken: T, decision: Decision) => Grant;
  },
): Promise<Grant> {
  const decision = decide(action, resource, asker);
  const taken = await take(decision);
  try {
    asker.client.ended.throwIfAborted();
    decide(action, resource, asker);
  } catch (error) {
    await giveBack(taken);
    throw error;
  }
  const granted = grant(taken, decision);
  asker.keeper.keep(granted);
  return granted;
}

/** @throws {Refused} */
function decide(action: Grant["action"], resource: Resource, { client, parts }: Asker): Decision {
  const decision = parts.judge.decide(client.identity, action, resource, client.context());
  if (decision.allowed) return decision;
  throw new Refused(decision.peerSentence, decision.rule);
}

function mayPublish(resource: Resource, { client, parts }: Asker): boolean {
  if (client.private) return false;
  return parts.judge.decide(client.identity, "publish", resource, client.context()).allowed;
}
