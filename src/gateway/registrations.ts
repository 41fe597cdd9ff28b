/** What one client has asked the gateway to forward to it (`tcpip-forward`): names it serves, ports it opened. */
import type { Decision, Resource } from "../identity/policy/mod.ts";
import { afterLong } from "../platform/clock.ts";
import { formatAddress, formatHostPort } from "../platform/net.ts";
import { permitsListen } from "../keys/restrictions.ts";
import { classifyForward, type ListenerPort, type NodePort } from "../routing/forward_request.ts";
import { shortName } from "../routing/names.ts";
import { type Endpoint, type Holder, type Lease, RegistryError } from "../routing/registry.ts";
import type { OpenRequest } from "../routing/target.ts";
import type { GrantedListener } from "../ssh/forward/incoming.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import type { Channel } from "../ssh/connection/types.ts";
import type { Client } from "./client.ts";
import { openForwarded } from "./forwarded.ts";
import { serveOpenedPort } from "./opened_port.ts";
import type { Export } from "./mesh/messages.ts";
import { openThroughGateway } from "./mesh/departures.ts";
import { pathFault } from "./mesh/path.ts";
import type { GatewayParts } from "./parts.ts";

/** A request that stays as it is, with the sentence for the client. */
class Refused extends Error {
  constructor(message: string, readonly rule: string) {
    super(message);
  }
}

/** What was granted, judged again when the policy changes. */
interface Grant {
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
  /** Other gateways that lie between here and the node. */
  readonly path?: readonly string[];
  /** Forgets that the grant was for a time only. */
  readonly cancelLimit: () => void;
  end(): Promise<void>;
}

export class Registrations implements Holder {
  readonly #client: Client;
  readonly #parts: GatewayParts;
  readonly #grants = new Set<Grant>();
  /** Forwards that are asked for and not yet answered, by address and the port of the answer. */
  readonly #asking = new Set<string>();

  constructor(client: Client, parts: GatewayParts) {
    this.#client = client;
    this.#parts = parts;
  }

  /** For people: what this client serves. */
  get served(): string[] {
    return [...this.#grants].map(({ what }) => what);
  }

  /** Full names under this client's leases. */
  get names(): string[] {
    return [...new Set([...this.#grants].flatMap(({ lease }) => lease ? [lease.name] : []))];
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
      this.#requireListed(offer.name, port);
      const request = classifyForward(host, port, this.#parts.naming);
      if (request.kind !== "node-port") throw new Refused("this is no name of a node", "names");
      await this.#serveName(
        { host, port },
        { ...request, publish: offer.published && request.publish },
        path,
      );
      return true;
    } catch (error) {
      if (!this.#client.ended.aborted) this.#refuse({ host, port }, error);
      return false;
    }
  }

  /** Answers `unexport@ssh-mesh`. */
  async unexport({ name, port }: { readonly name: string; readonly port: number }): Promise<boolean> {
    const grant = [...this.#grants].find(({ asked }) => asked.host === name && asked.port === port);
    if (grant) await this.#end(grant);
    return grant !== undefined;
  }

  /** The client has answered a keepalive: its leases last. */
  renew(): void {
    for (const { lease } of this.#grants) {
      if (lease) this.#parts.registry.renew(lease).catch(() => {});
    }
  }

  /** The client has gone: everything ends. */
  async close(): Promise<void> {
    await Promise.all([...this.#grants].map((grant) => this.#end(grant)));
  }

  /** The policy or the client's identity has changed: what is no longer permitted ends. */
  async judgeAgain(): Promise<void> {
    // What ends, ends before anything is waited for.
    const kept: Grant[] = [];
    const ending = [...this.#grants].map((grant) => {
      const refusal = this.#refusalNow(grant);
      if (!refusal) return void kept.push(grant);
      const details = { action: grant.action, resource: grant.what, ...refusal };
      this.#parts.audit.record("access.refused", details, this.#client.auditContext);
      this.#client.explain(grant.asked, "you are no longer permitted to serve this");
      return this.#end(grant);
    });
    await Promise.all(ending);
    for (const grant of kept) await this.#refresh(grant);
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
    for (const grant of this.#grants) {
      if (grant.lease?.name === lease.name && grant.lease.epoch === lease.epoch) this.#forget(grant);
    }
    const { name, epoch } = lease;
    this.#parts.audit.record("node.evicted", { name, epoch, reason: why }, this.#client.auditContext);
    // A connection that serves nothing any more is of no use to an agent, and may be half-open.
    if (this.#grants.size === 0) this.#client.close(`${lease.name}: ${why}`);
  }

  // -- granting --------------------------------------------------------------------------------------------------

  async #grant(asked: HostPort): Promise<GrantedListener> {
    const { naming } = this.#parts;
    const { identity } = this.#client;
    this.#requireListed(asked.host, asked.port);
    const request = classifyForward(asked.host, asked.port, { ...naming, ownName: identity.fqdn });
    switch (request.kind) {
      case "node-port":
      case "own-name":
        return await this.#serveNameOnce(asked, request);
      case "listener":
        return await this.#openPort(asked, request);
      case "mesh":
        throw new Refused(`this gateway does not carry mesh traffic (port ${asked.port}) yet`, "mesh");
      case "refused":
        throw new Refused(request.reason, "names");
    }
  }

  /** @throws {Refused} when the key's line names other forwards */
  #requireListed(host: string, port: number): void {
    if (permitsListen(this.#client.restrictions, host, port)) return;
    throw new Refused("your key's line does not permit this forward (permitlisten)", "permitlisten");
  }

  /**
   * Address and port are all that a cancel says, and that a connection to the node does: what is answered alike, as port 0
   * and the port that stands for it, is one forward and can be asked for once.
   */
  async #serveNameOnce(asked: HostPort, request: NodePort): Promise<GrantedListener> {
    const key = answeredText(asked, request.answerPort);
    const stands = [...this.#grants].some(({ answered }) => answered === key);
    if (stands || this.#asking.has(key)) throw new Refused("you have this forward already", "names");
    this.#asking.add(key);
    try {
      return await this.#serveName(asked, request);
    } finally {
      this.#asking.delete(key);
    }
  }

  /** @param path other gateways that lie between here and the node */
  async #serveName(
    asked: HostPort,
    { name, port, publish, answerPort }: NodePort,
    path?: readonly string[],
  ): Promise<GrantedListener> {
    const { registry, audit, metrics, mesh } = this.#parts;
    const client = this.#client;
    const resource = this.#nodeResource(name, port);
    const decision = this.#decide("register", resource);
    const { issuer, subject, name: ownerName } = client.identity;
    const endpoint: Endpoint = {
      port,
      published: publish && this.#mayPublish(resource),
      asked: { address: asked.host, port: answerPort },
    };
    const claim = {
      name,
      endpoint,
      owner: { issuer, subject, name: ownerName },
      instance: client.instance,
      shared: decision.shared,
    };
    const lease = await registry.register(claim, this, { signal: client.ended });
    const answered = answeredText(asked, answerPort);
    const end = async () => void await registry.release(lease, endpoint.asked);
    try {
      client.ended.throwIfAborted();
      // Former holders may have been waited for: the right may be gone meanwhile.
      this.#decide("register", resource);
    } catch (error) {
      await end();
      throw error;
    }
    if (path) mesh.paths.set(lease, path);
    // Another gateway offers anew what it has something else to say of.
    for (const former of this.#grants) if (former.answered === answered) this.#forget(former);
    const what = `${name}:${port}`;
    const grant: Grant = {
      asked,
      action: "register",
      resource,
      what,
      answered,
      lease,
      publish,
      path,
      cancelLimit: this.#limit(decision, () => grant),
      end,
    };
    this.#grants.add(grant);
    const { published } = endpoint;
    const { epoch } = lease;
    const { rule } = decision;
    audit.record("node.registered", { name, port, epoch, rule, published }, client.auditContext);
    if (publish && !published && !client.private) {
      audit.record("node.unpublished", { name, port, rule }, client.auditContext);
    }
    metrics.registrations.add(1, { outcome: "granted" });
    return { port: answerPort, close: () => this.#end(grant) };
  }

  #nodeResource(name: string, port: number): Resource & { kind: "node" } {
    const alias = shortName(name, this.#parts.naming.domain);
    return { kind: "node", name, port, ...(alias && { aliases: [alias] }) };
  }

  #mayPublish(resource: Resource): boolean {
    const { judge } = this.#parts;
    return !this.#client.private &&
      judge.decide(this.#client.identity, "publish", resource, this.#client.context()).allowed;
  }

  /** Publishing is a right of its own: it may have come or gone. */
  async #refresh(grant: Grant): Promise<void> {
    const { lease, resource, publish } = grant;
    if (!lease || !publish || resource.kind !== "node") return;
    const { registry } = this.#parts;
    const current = (await registry.list(lease.name)).find(({ epoch }) => epoch === lease.epoch);
    const endpoint = current?.endpoints.find(({ port }) => port === resource.port);
    const published = this.#mayPublish(resource);
    if (!current || !endpoint || endpoint.published === published) return;
    const claim = { ...current, endpoint: { ...endpoint, published }, shared: true };
    await registry.register(claim, this).catch(() => {});
  }

  async #openPort(asked: HostPort, { hostname, port }: ListenerPort): Promise<GrantedListener> {
    const client = this.#client;
    const { net, audit } = this.#parts;
    const resource: Resource = { kind: "listener", port };
    const decision = this.#decide("listen", resource);
    const listener = await net.listen({ transport: "tcp", hostname, port }).catch((error) => {
      throw new Refused(`port ${port} cannot be opened here: ${error.message}`, "listen");
    });
    try {
      client.ended.throwIfAborted();
      this.#decide("listen", resource);
    } catch (error) {
      listener.close();
      throw error;
    }
    const what = formatAddress(listener.address);
    const grant: Grant = {
      asked,
      action: "listen",
      resource,
      what,
      answered: answeredText(asked, port),
      cancelLimit: this.#limit(decision, () => grant),
      end: () => Promise.resolve(listener.close()),
    };
    this.#grants.add(grant);
    audit.record("listener.opened", { address: what, rule: decision.rule }, client.auditContext);
    serveOpenedPort({ listener, asked, client, resource, decision }, this.#parts);
    return { port, close: () => this.#end(grant) };
  }

  /** @throws {Refused} */
  #decide(action: "register" | "listen", resource: Resource): Decision {
    const decision = this.#parts.judge.decide(
      this.#client.identity,
      action,
      resource,
      this.#client.context(),
    );
    if (decision.allowed) return decision;
    throw new Refused(decision.peerSentence, decision.rule);
  }

  /** What a rule grants for a time (`max_session`) ends with it. */
  #limit({ maxSession }: Decision, grant: () => Grant): () => void {
    if (maxSession === undefined) return () => {};
    return afterLong(this.#parts.clock, maxSession, () => {
      this.#client.explain(grant().asked, "this has lasted as long as a rule allows (max_session)");
      this.#end(grant());
    });
  }

  #forget(grant: Grant): boolean {
    grant.cancelLimit();
    return this.#grants.delete(grant);
  }

  async #end(grant: Grant): Promise<void> {
    if (!this.#forget(grant)) return;
    await grant.end();
    const { audit } = this.#parts;
    const { lease, what, resource } = grant;
    if (lease && resource.kind === "node") {
      const { name, epoch } = lease;
      audit.record("node.released", { name, port: resource.port, epoch }, this.#client.auditContext);
    } else {
      audit.record("listener.closed", { address: what }, this.#client.auditContext);
    }
  }
}

function answeredText({ host }: HostPort, port: number): string {
  return formatHostPort(host, port);
}
