/** What one client has asked the gateway to forward to it (`tcpip-forward`): names it serves, ports it opened. */
import { permitsListen } from "../keys/restrictions.ts";
import { afterLong } from "../platform/clock.ts";
import { classifyForward, type NodePort } from "../routing/forward_request.ts";
import { type Endpoint, type Lease, RegistryError } from "../routing/registry.ts";
import type { OpenRequest } from "../routing/target.ts";
import type { GrantedListener } from "../ssh/forward/incoming.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { Channel } from "../ssh/connection/types.ts";
import type { Client } from "./client.ts";
import { openForwarded } from "./forwarded.ts";
import {
  answeredText,
  type Asker,
  type Grant,
  type Keeper,
  openPort,
  publishAnew,
  Refused,
  requireListed,
  serveName,
} from "./granting.ts";
import type { Export } from "./mesh/messages.ts";
import { openThroughGateway } from "./mesh/departures.ts";
import { pathFault } from "./mesh/path.ts";
import type { GatewayParts } from "./parts.ts";

/** Names and ports that one connection of another gateway offers: whoever may register one name may call itself a gateway. */
export const MAX_EXPORTS = 4096;

export class Registrations implements Keeper {
  readonly #client: Client;
  readonly #parts: GatewayParts;
  readonly #asker: Asker;
  /** Each with what forgets that it is for a time only. */
  readonly #grants = new Map<Grant, () => void>();
  /** Forwards that are asked for and not yet answered, by address and the port of the answer. */
  readonly #asking = new Set<string>();

  constructor(client: Client, parts: GatewayParts) {
    this.#client = client;
    this.#parts = parts;
    this.#asker = { client, parts, keeper: this };
  }

  /** For people: what this client serves. */
  get served(): string[] {
    return [...this.#grants.keys()].map(({ what }) => what);
  }

  /** Full names under this client's leases. */
  get names(): string[] {
    return [...new Set([...this.#grants.keys()].flatMap(({ lease }) => lease ? [lease.name] : []))];
  }

  get size(): number {
    return this.#grants.size;
  }

  /** Answers `tcpip-forward`: undefined is a refusal, whose reason the client and the log have been told. */
  async listen(asked: HostPort): Promise<GrantedListener | undefined> {
    try {
      return await this.#grant(asked);
    } catch (error) {
      if (this.#client.ended.aborted) return undefined;
      this.#refuse(asked, error);
      return undefined;
    }
  }

  #refuse(asked: HostPort, error: unknown): void {
    const { audit, metrics } = this.#parts;
    const outcome = error instanceof RegistryError ? error.code : "refused";
    const rule = error instanceof Refused ? error.rule : outcome;
    const reason = error instanceof Error ? error.message : String(error);
    const { host: name, port } = asked;
    audit.record("node.refused", { name, port, rule, reason }, this.#client.auditContext);
    metrics.registrations.add(1, { outcome });
    const known = error instanceof Refused || error instanceof RegistryError;
    this.#client.explain(asked, known ? error.message : "the gateway could not do it");
  }

  /** Answers `export@ssh-mesh` of another gateway. */
  async export(offer: Export): Promise<boolean> {
    const { name: host, port, path } = offer;
    const { gateway } = this.#client;
    try {
      if (gateway === undefined || path[0] !== gateway) {
        throw new Refused("say gateway@ssh-mesh first", "gateways");
      }
      // As a connection would pass them: this one in front.
      const fault = pathFault(path, this.#parts.mesh.id);
      if (fault !== undefined) throw new Refused(fault, "gateways");
      requireListed(host, port, this.#client);
      if (this.size >= MAX_EXPORTS && !this.#find(host, port)) {
        throw new Refused("you offer too many names", "gateways");
      }
      const request = classifyForward(host, port, this.#parts.naming);
      if (request.kind !== "node-port") throw new Refused("this is no name of a node", "names");
      const publish = offer.published && request.publish;
      await serveName({ host, port }, { ...request, publish }, this.#asker, path);
      return true;
    } catch (error) {
      if (!this.#client.ended.aborted) this.#refuse({ host, port }, error);
      return false;
    }
  }

  /** Answers `unexport@ssh-mesh`. */
  async unexport({ name, port }: { readonly name: string; readonly port: number }): Promise<boolean> {
    const grant = this.#find(name, port);
    if (grant) await this.#end(grant);
    return grant !== undefined;
  }

  #find(host: string, port: number): Grant | undefined {
    return this.#grants.keys().find(({ asked }) => asked.host === host && asked.port === port);
  }

  /** The client has answered a keepalive: its leases last. */
  renew(): void {
    for (const { lease } of this.#grants.keys()) {
      if (lease) this.#parts.registry.renew(lease).catch(() => {});
    }
  }

  /** The client has gone: everything ends. */
  async close(): Promise<void> {
    await Promise.all([...this.#grants.keys()].map((grant) => this.#end(grant)));
  }

  /** The policy or the client's identity has changed: what is no longer permitted ends. */
  async judgeAgain(): Promise<void> {
    // What ends, ends before anything is waited for.
    const kept: Grant[] = [];
    const ending = [...this.#grants.keys()].map((grant) => {
      const refusal = this.#refusalNow(grant);
      if (!refusal) return void kept.push(grant);
      const details = { action: grant.action, resource: grant.what, ...refusal };
      this.#parts.audit.record("access.refused", details, this.#client.auditContext);
      this.#client.explain(grant.asked, "you are no longer permitted to serve this");
      return this.#end(grant);
    });
    await Promise.all(ending);
    for (const grant of kept) await publishAnew(grant, this.#asker);
  }

  /** Why what was granted would not be granted now; undefined when it would. */
  #refusalNow({ action, resource, asked }: Grant): { rule: string; reason: string } | undefined {
    const { identity, restrictions } = this.#client;
    if (!permitsListen(restrictions, asked.host, asked.port)) {
      return { rule: "permitlisten", reason: "the key's line permits it no more" };
    }
    const context = this.#client.context(true);
    const { allowed, rule, reason } = this.#parts.judge.decide(identity, action, resource, context);
    return allowed ? undefined : { rule, reason };
  }

  // -- as a lease's holder ---------------------------------------------------------------------------------------

  get description(): string {
    return this.#client.description;
  }

  probe(): Promise<void> {
    return this.#client.probe();
  }

  open({ asked }: Endpoint, request: OpenRequest): Promise<Channel> {
    const { connection, gateway } = this.#client;
    const target = { host: asked.address, port: asked.port };
    return gateway === undefined
      ? openForwarded(connection, target, request)
      : openThroughGateway(connection, target, request, this.#parts.mesh);
  }

  evicted(lease: Lease, why: string): void {
    for (const grant of this.#grants.keys()) {
      if (grant.lease?.name === lease.name && grant.lease.epoch === lease.epoch) this.#forget(grant);
    }
    const { name, epoch } = lease;
    this.#parts.audit.record("node.evicted", { name, epoch, reason: why }, this.#client.auditContext);
    // A connection that serves nothing any more is of no use to an agent, and may be half-open.
    if (this.#grants.size === 0) this.#client.close(`${lease.name}: ${why}`);
  }

  keep(grant: Grant): void {
    // Another gateway offers anew what it has something else to say of.
    if (grant.lease) {
      for (const former of this.#grants.keys()) if (former.answered === grant.answered) this.#forget(former);
    }
    this.#grants.set(grant, this.#limit(grant));
  }

  // --------------------------------------------------------------------------------------------------------------

  async #grant(asked: HostPort): Promise<GrantedListener> {
    const { naming } = this.#parts;
    const { identity } = this.#client;
    requireListed(asked.host, asked.port, this.#client);
    const request = classifyForward(asked.host, asked.port, { ...naming, ownName: identity.fqdn });
    switch (request.kind) {
      case "node-port":
      case "own-name":
        return this.#listener(request.answerPort, await this.#serveNameOnce(asked, request));
      case "listener":
        return this.#listener(request.port, await openPort(asked, request, this.#asker));
      case "mesh":
        throw new Refused(`this gateway does not carry mesh traffic (port ${asked.port}) yet`, "mesh");
      case "refused":
        throw new Refused(request.reason, "names");
    }
  }

  #listener(port: number, grant: Grant): GrantedListener {
    return { port, close: () => this.#end(grant) };
  }

  /**
   * Address and port are all that a cancel says, and that a connection to the node does: what is answered alike, as port 0
   * and the port that stands for it, is one forward and can be asked for once.
   */
  async #serveNameOnce(asked: HostPort, request: NodePort): Promise<Grant> {
    const key = answeredText(asked, request.answerPort);
    const stands = [...this.#grants.keys()].some(({ answered }) => answered === key);
    if (stands || this.#asking.has(key)) throw new Refused("you have this forward already", "names");
    this.#asking.add(key);
    try {
      return await serveName(asked, request, this.#asker);
    } finally {
      this.#asking.delete(key);
    }
  }

  /** What a rule grants for a time (`max_session`) ends with it. */
  #limit(grant: Grant): () => void {
    if (grant.maxSession === undefined) return () => {};
    return afterLong(this.#parts.clock, grant.maxSession, () => {
      this.#client.explain(grant.asked, "this has lasted as long as a rule allows (max_session)");
      this.#end(grant);
    });
  }

  #forget(grant: Grant): boolean {
    this.#grants.get(grant)?.();
    return this.#grants.delete(grant);
  }

  async #end(grant: Grant): Promise<void> {
    if (this.#forget(grant)) await grant.end();
  }
}
