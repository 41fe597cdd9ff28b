/** The gateway: listens, lets clients in, and joins what the other files of this room do. */
import type { LocalAuthority } from "../ca/local.ts";
import { printable } from "../bytes/printable.ts";
import type { PrivateKey } from "../keys/private_key.ts";
import type { Signer } from "../keys/types.ts";
import { hostName } from "../keys/known_hosts.ts";
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import type { Net, NetListener, TcpAddress } from "../platform/net.ts";
import { parseIp } from "../bytes/ip_address.ts";
import type { Policy } from "../identity/policy/mod.ts";
import { type Identity, sameIdentity } from "../identity/principal.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { duplexPair } from "../streams/pair.ts";
import { Balancer } from "../routing/balance.ts";
import type { OpenRequest, Target } from "../routing/target.ts";
import { SOFTWARE } from "../ssh/establish.ts";
import { SshError } from "../ssh/error.ts";
import { acceptSsh, type ServerConnection } from "../ssh/server.ts";
import { Audit } from "../telemetry/audit.ts";
import type { Flows } from "../telemetry/flow.ts";
import { logger } from "../telemetry/log.ts";
import { type MeshMetrics, meshMetrics, type Metrics } from "../telemetry/metrics.ts";
import { serverAuth } from "./auth.ts";
import { Client } from "./client.ts";
import type { GatewayConfig } from "./config.ts";
import type { CertificateAuthority, RevocationRecord } from "../ca/types.ts";
import type { GatewayView } from "./commands/command.ts";
import { Dialers } from "./dialers.ts";
import type { Enrolment } from "../ca/enrolment.ts";
import { Entrance } from "./entrance.ts";
import { JudgedFlows } from "./flows.ts";
import { HttpsDoor, type HttpsOptions } from "./https.ts";
import { judgeLogin, type Login } from "./login.ts";
import { measuredFlows, measuredRegistry } from "./measured.ts";
import { MeshSelf } from "./mesh/self.ts";
import type { GatewayParts } from "./parts.ts";
import { PolicyInForce } from "./policy_file.ts";
import { type Protocol, protocols } from "./settings.ts";
import { ServedClient } from "./served_client.ts";
import type { Trust } from "./trust.ts";

export interface GatewayOptions {
  readonly config:
    & Pick<GatewayConfig, "domain" | "limits" | "loginGrace" | "proxyFrom">
    & Partial<Pick<GatewayConfig, "ssh">>;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  readonly net: Net;
  /** Addresses of this machine beside loopback: none but owners dial there. Default none. */
  readonly ownAddresses?: () => readonly string[];
  readonly hostKeys: readonly PrivateKey[];
  /** The same keys, with certificates where there are any; asked for each key exchange. Default: none. */
  readonly hostSigners?: () => readonly Signer[];
  readonly trust: Trust;
  readonly policy: Policy;
  /** Its certificates let in, and it gives them to who may have them. */
  readonly authority?: CertificateAuthority;
  /** What was revoked, as it was asked. With `authority`. */
  readonly revocations?: () => Promise<readonly RevocationRecord[]>;
  /** Makes a new root of the authority; undefined where the roots are another machine's. */
  readonly rotate?: LocalAuthority["rotate"];
  readonly enrolment?: Enrolment;
  /** Undefined: SSH is all that it speaks. */
  readonly https?: HttpsOptions;
  readonly metrics: Metrics;
  /** Take one JSON line each, of a flow's and of an audit record. Must not throw. */
  readonly writeFlow: (line: string) => void;
  readonly writeAudit: (line: string) => void;
}

export class Gateway {
  readonly flows: Flows;
  readonly #options: GatewayOptions;
  readonly #parts: GatewayParts;
  readonly #policy: PolicyInForce;
  readonly #metrics: MeshMetrics;
  readonly #entrance: Entrance;
  readonly #clients = new Set<ServedClient>();
  readonly #https?: HttpsDoor;
  readonly #listeners: NetListener[] = [];
  readonly #startedAt: number;
  readonly #closing = new AbortController();
  readonly #log = logger("gateway");
  #trust: Trust;
  #draining = false;
  #lastClient = 0;

  /** Listens nowhere yet. */
  static async create(options: GatewayOptions): Promise<Gateway> {
    const gateways: Gateway[] = [];
    const entrance: Target = {
      id: "self",
      description: "this gateway",
      open: ({ origin }) => Promise.resolve(gateways[0].#enter(origin)),
    };
    const gateway = new Gateway(options, await MeshSelf.from(options.hostKeys, entrance));
    gateways.push(gateway);
    return gateway;
  }

  private constructor(options: GatewayOptions, mesh: MeshSelf) {
    const { clock, net, config, writeFlow, writeAudit } = options;
    this.#options = options;
    this.#trust = options.trust;
    this.#metrics = meshMetrics(options.metrics);
    this.#policy = new PolicyInForce(options.policy, this.#metrics);
    this.#startedAt = clock.now();
    const audit = new Audit({ clock, write: writeAudit });
    const metrics = this.#metrics;
    this.flows = measuredFlows(clock, metrics, writeFlow);
    const registry = measuredRegistry(clock, metrics);
    registry.watch(({ kind, lease }) => {
      if (kind === "removed") mesh.paths.delete(lease);
    });
    this.#parts = {
      clock,
      net,
      ownAddresses: () =>
        (options.ownAddresses?.() ?? []).map((address) => parseIp(address)?.toString() ?? address),
      registry,
      balancer: new Balancer({ clock }),
      judge: this.#policy,
      naming: { domain: config.domain },
      dialers: new Dialers(),
      flows: new JudgedFlows(this.flows, clock),
      audit,
      metrics,
      mesh,
      authority: options.authority,
      revocations: options.revocations,
      rotate: options.rotate,
      enrolment: options.enrolment,
    };
    this.#https = options.https && HttpsDoor.open(options.https, {
      parts: this.#parts,
      trust: () => this.#trust,
      loginGrace: config.loginGrace,
      hostNames: () => this.#hostNames(),
    });
    this.#entrance = new Entrance({
      clock,
      config,
      metrics,
      https: this.#https,
      clients: () => this.#clients.size,
      handshake: (connection, remote, grace, onRefused) =>
        this.#handshake(connection, remote, grace, onRefused),
    });
  }

  /** What the parts share: for what joins other gateways. */
  get parts(): GatewayParts {
    return this.#parts;
  }

  get audit(): Audit {
    return this.#parts.audit;
  }

  /** Where it listens, with the real ports. */
  get addresses(): TcpAddress[] {
    return this.#listeners.map(({ address }) => address as TcpAddress);
  }

  /** Whether new connections are welcome. */
  get ready(): boolean {
    return this.#listeners.length > 0 && !this.#draining;
  }

  /**
   * Begins to accept on `address`.
   * @param served protocols that it speaks there; all that it can by default
   * @throws {NetError}
   */
  async listen(address: TcpAddress, served: readonly Protocol[] = protocols): Promise<TcpAddress> {
    const listener = await this.#options.net.listen(address);
    this.#listeners.push(listener);
    this.#accept(listener, served);
    return listener.address as TcpAddress;
  }

  /** What logins are judged by now. */
  get trust(): Trust {
    return this.#trust;
  }

  /**
   * Takes over another policy, or parts of what logins are judged by: what they no longer permit ends now.
   * @param change.trust what stays out of it stays as it is
   */
  async apply(change: { readonly trust?: Partial<Trust>; readonly policy?: Policy }): Promise<void> {
    const { trust, policy } = change;
    if (trust) this.#trust = { ...this.#trust, ...trust };
    if (policy) this.#policy.replace(policy);
    if (trust) await Promise.all([...this.#clients].map((served) => this.#judgeLoginAgain(served)));
    const count = this.#parts.flows.judgeAgain(this.#policy);
    if (count > 0) this.audit.record("flows.revoked", { count, reason: "credentials or rules have changed" });
    await Promise.all([...this.#clients].map((served) => served.registrations.judgeAgain()));
    if (trust?.authority) { for (const { client } of this.#clients) client.announceTrust(); }
  }

  /**
   * Stops accepting, tells agents to go elsewhere, and lets flows end.
   * @param grace milliseconds, after which they are cut
   * @param signal ends the waiting at once
   * @returns how many were cut
   */
  async drain(grace: number, signal: AbortSignal): Promise<number> {
    this.#draining = true;
    for (const listener of this.#listeners) listener.close();
    const leases = await this.#parts.registry.list();
    this.audit.record("gateway.draining", { flows: this.flows.size, leases: leases.length });
    for (const { client } of this.#clients) client.drain();
    const answered = this.#https?.close(grace);
    const waiting = new AbortController();
    const over = AbortSignal.any([signal, waiting.signal]);
    const drained = Promise.all([this.flows.drained(), answered]);
    await Promise.race([drained, this.#options.clock.sleep(grace, over).catch(() => {})]);
    waiting.abort();
    const cut = this.flows.size;
    await this.close("the gateway is shutting down");
    this.audit.record("gateway.stopped", { cut });
    return cut;
  }

  /** Ends everything now. */
  async close(sentence: string): Promise<void> {
    this.#draining = true;
    for (const listener of this.#listeners.splice(0)) listener.close();
    this.flows.cutAll("drained", sentence);
    const clients = [...this.#clients];
    for (const { client } of clients) client.close(sentence);
    this.#closing.abort(new SshError("closed", sentence));
    await this.#https?.close(0);
    await Promise.all(clients.map(({ client }) => client.connection.gone));
    await this.flows.drained();
    await this.#parts.registry.close();
    this.audit.flush();
  }

  // -- connections -----------------------------------------------------------------------------------------------

  async #accept(listener: NetListener, served: readonly Protocol[]): Promise<void> {
    for await (const connection of listener) {
      this.#entrance.arrived(connection, connection.remote as TcpAddress, served);
    }
  }

  /** Somebody connects to the gateway through the gateway, or through another one. */
  #enter({ hostname, port }: OpenRequest["origin"]): PlainDuplex {
    const [near, far] = duplexPair();
    this.#entrance.arrived(far, { transport: "tcp", hostname, port }, protocols);
    return near;
  }

  #handshake(
    connection: PlainDuplex,
    remote: TcpAddress,
    loginGraceMs: number,
    onRefused: () => void,
  ): Promise<ServerConnection<Login>> {
    const { crypto, clock, hostKeys, hostSigners, config } = this.#options;
    let judgedBy = this.#trust;
    return acceptSsh<Login>(connection, {
      crypto,
      clock,
      hostKeys: hostSigners ?? hostKeys,
      algorithms: config.ssh?.algorithms,
      rekey: config.ssh?.rekey,
      loginGraceMs,
      signal: this.#closing.signal,
      auth: serverAuth({
        algorithms: config.ssh?.publicKeyAlgorithms,
        trust: () => judgedBy = this.#trust,
        clock,
        remote,
        audit: this.audit,
        metrics: this.#metrics,
        onRefused,
      }),
      prepare: (connection) => {
        const served = this.#welcome(connection, remote);
        // What was withdrawn meanwhile was not told of this connection.
        if (served && judgedBy !== this.#trust) void this.#judgeLoginAgain(served);
      },
    });
  }

  /** Undefined when there is no place for it. */
  #welcome(connection: ServerConnection<Login>, remote: TcpAddress): ServedClient | undefined {
    const client = new Client(++this.#lastClient, connection, remote, this.#options.clock);
    if (this.#clientsOf(client.identity) >= this.#options.config.limits.maxClientsPerIdentity) {
      const reason = "too many connections of this identity";
      this.audit.record("auth.refused", { method: client.method, reason }, client.auditContext);
      return void client.close("you have too many connections open here");
    }
    const served = new ServedClient(client, this.#parts, this.#options.hostKeys, () => this.#view());
    this.#clients.add(served);
    this.#metrics.connections.add(1);
    this.audit.record("auth.accepted", { method: client.method }, client.auditContext);
    this.#log.info("{client} {who} from {remote} is connected", {
      client: client.name,
      who: client.identity.name,
      remote: client.description,
      software: printable(connection.peerVersion),
    });
    connection.closed.then((error) => {
      this.#clients.delete(served);
      this.#metrics.connections.add(-1);
      this.#log.info("{client} {who} has gone", {
        client: client.name,
        who: client.identity.name,
        ...(error && { why: error.message }),
      });
    });
    return served;
  }

  #clientsOf(identity: Identity): number {
    let count = 0;
    for (const { client } of this.#clients) if (sameIdentity(client.identity, identity)) count++;
    return count;
  }

  async #judgeLoginAgain({ client }: ServedClient): Promise<void> {
    // As of its login: expiry ends only what is new.
    const context = { now: client.since, address: client.remote.hostname };
    const login = await judgeLogin(this.#trust, client.login.proof, context);
    if (!("refused" in login)) return void (client.login = login);
    const details = { method: client.method, reason: `withdrawn: ${login.refused}` };
    this.audit.record("auth.refused", details, client.auditContext);
    this.#parts.flows.withdraw(client, details.reason);
    client.close("your credential is no longer accepted");
  }

  /** As known_hosts writes this gateway. */
  #hostNames(): string[] {
    const ports = [...new Set(this.addresses.map(({ port }) => port))];
    return ports.map((port) => hostName(this.#options.config.domain, port));
  }

  #view(): GatewayView {
    const { hostKeys } = this.#options;
    return {
      hostKeys: hostKeys.map(({ publicKey }) => publicKey),
      hostNames: this.#hostNames(),
      trustDomains: this.#trust.authority?.trustDomains ?? [],
      startedAt: this.#startedAt,
      version: SOFTWARE,
      clients: this.#clients.size,
      draining: this.#draining,
      leases: () => this.#parts.registry.list(),
      flows: () => this.flows,
    };
  }
}
