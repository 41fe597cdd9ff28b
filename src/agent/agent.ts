/** An agent: joins configuration, system, gateways and the built-in server. */
import type { ReadableFiles } from "../platform/files.ts";
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import { formatAddress, type Net, type NetListener } from "../platform/net.ts";
import { NetError } from "../platform/net.ts";
import type { StateFolder } from "../platform/state.ts";
import { parseKnownHosts } from "../keys/known_hosts.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { randomBytes } from "../bytes/bytes.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import type { ForwardedConnection } from "../ssh/forward/outgoing.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { relay } from "../streams/relay.ts";
import type { BuiltInServer, Peer, ServerPolicy } from "./built_in_server.ts";
import type { AgentConfig } from "./config.ts";
import type { EventLog } from "./events.ts";
import type { BuiltinPrograms, SessionHost } from "./exec.ts";
import { AgentError } from "./exit_codes.ts";
import type { Exposure } from "./exposure.ts";
import { forwardPolicy } from "./forwarding.ts";
import { formatGateway } from "./gateway_address.ts";
import { GatewayLink, type LinkContext } from "./gateway_link.ts";
import { GatewayTrust, type TrustAnchors } from "./gateway_trust.ts";
import { loadIdentities } from "./identity.ts";
import type { LocalForward } from "./local_forward.ts";
import type { Account } from "./login.ts";
import { type LoginFiles, readLoginFiles } from "./login_files.ts";
import { Membership } from "./membership.ts";
import { ownHostKey } from "./own_host_key.ts";
import { ownPolicy } from "./own_policy.ts";
import { requireText } from "./text_file.ts";

/** The system around an agent: everything that it does to the world goes through here. */
export interface AgentHost {
  readonly net: Net;
  readonly clock: Clock;
  readonly crypto: CryptoProvider;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  readonly files: ReadableFiles;
  readonly sessions: SessionHost;
  readonly builtins: BuiltinPrograms;
  /** The account that the agent runs as. */
  readonly account: Account;
  /** Looks up another account by its name. */
  findAccount(name: string): Promise<Account | undefined>;
  /** What sessions inherit of the environment. */
  readonly inherited: Readonly<Record<string, string>>;
  /** This machine's addresses beside loopback. */
  ownAddresses(): readonly string[];
  readonly log: EventLog;
}

/** How long a forward waits for a gateway before it gives up on a connection, in milliseconds. */
const LINK_PATIENCE_MS = 10_000;

/** An agent that is set up; {@link Agent.run} starts it. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #host: AgentHost;
  readonly #policy: ServerPolicy;
  #server?: Promise<BuiltInServer>;
  readonly #membership: Membership<GatewayLink>;
  readonly #life = new AbortController();
  #listeners: NetListener[] = [];
  #ready = false;

  private constructor(
    config: AgentConfig,
    host: AgentHost,
    state: StateFolder,
    trust: GatewayTrust,
    policy: ServerPolicy,
  ) {
    this.#config = config;
    this.#host = host;
    this.#policy = policy;
    const context = this.#linkContext(trust, state);
    this.#membership = new Membership({
      gateways: config.gateways,
      open: async (gateway, signal) => this.#registered(await GatewayLink.open(gateway, context, signal)),
      clock: host.clock,
      random: host.random,
      log: host.log,
    });
  }

  /**
   * Reads every file that the configuration names, so that mistakes show at once.
   * @param policy of the built-in server, in place of the agent's own
   * @throws {AgentError | StateError}
   */
  static async prepare(
    config: AgentConfig,
    host: AgentHost,
    state: StateFolder,
    policy?: ServerPolicy,
  ): Promise<Agent> {
    const trust = new GatewayTrust(
      await readAnchors(config, host),
      state,
      () => host.clock.now(),
      host.log,
    );
    // The first dial reads it again; here it is only to be sure that there is one.
    await loadIdentities(identitySources(config, host, state));
    const serverPolicy: ServerPolicy = policy ??
      await defaultPolicy(config, host, state, () => agent.#membership.link?.userCas ?? []);
    const agent: Agent = new Agent(config, host, state, trust, serverPolicy);
    return agent;
  }

  /** Runs until stopped. @throws {AgentError} when no gateway can be used, or a forward cannot listen */
  async run(): Promise<void> {
    try {
      for (const forward of this.#config.forwards) await this.#keepForward(forward);
      await this.#membership.run();
    } finally {
      this.stop();
    }
  }

  /** Lets what is open finish, then stops. */
  async drain(): Promise<void> {
    this.#closeListeners();
    await this.#membership.drain();
  }

  /** Ends everything at once. */
  stop(): void {
    this.#closeListeners();
    this.#membership.stop();
    this.#life.abort(new Error("the agent stops"));
  }

  #linkContext(trust: GatewayTrust, state: StateFolder): LinkContext {
    const { net, clock, crypto, log, account, ownAddresses } = this.#host;
    const { allowDial, name, exposures, login } = this.#config;
    return {
      net,
      clock,
      crypto,
      trust,
      log,
      // What is wrong with a key that is not used was said at the start.
      identities: () =>
        loadIdentities({ ...identitySources(this.#config, this.#host, state), log: () => {} }),
      user: account.name,
      instance: encodeHex(randomBytes(16)),
      name,
      exposures,
      private: this.#config.private,
      allowDial: allowDial.map(({ text }) => text),
      trustUserCa: login.userCas.includes("gateway"),
      onConnection: (exposure, connection) => this.#serveExposure(exposure, connection),
      dialPolicy: forwardPolicy({
        dial: allowDial.length === 0
          ? undefined
          : { reach: { itself: false, beyond: allowDial }, permits: () => true },
        dialUnix: false,
        listenUnix: false,
      }, { net, ownAddresses }),
    };
  }

  #registered(link: GatewayLink): GatewayLink {
    const { log } = this.#host;
    const gateway = formatGateway(link.gateway);
    for (const registration of link.registrations) log({ event: "registered", ...registration, gateway });
    if (!this.#ready) log({ event: "ready", gateway });
    this.#ready = true;
    return link;
  }

  async #serveExposure({ target }: Exposure, connection: ForwardedConnection): Promise<void> {
    const { originator } = connection;
    if (target === "ssh") {
      const peer: Peer = { address: originator?.host ?? "", port: originator?.port ?? 0 };
      const server = await (this.#server ??= builtInServer(this.#host, this.#policy));
      await server.serve(connection.accept(), peer, { signal: this.#life.signal });
      return;
    }
    let service: PlainDuplex;
    try {
      service = await this.#host.net.dial({ transport: "tcp", hostname: target.host, port: target.port });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#host.log({ event: "warning", message: `what is exposed does not answer: ${reason}` });
      return connection.reject(ChannelOpenReason.connectFailed, "the service does not answer");
    }
    await relay(connection.accept(), service, { signal: this.#life.signal });
  }

  async #keepForward(forward: LocalForward): Promise<void> {
    const { net, log } = this.#host;
    const { host: hostname, port } = forward.listen;
    let listener: NetListener;
    try {
      listener = await net.listen({ transport: "tcp", hostname, port });
    } catch (cause) {
      if (!(cause instanceof NetError)) throw cause;
      throw new AgentError("address", cause.message, { cause });
    }
    this.#listeners.push(listener);
    const { target } = forward;
    log({ event: "forward", listen: formatAddress(listener.address), to: `${target.host}:${target.port}` });
    this.#forward(listener, forward);
  }

  async #forward(listener: NetListener, { target }: LocalForward): Promise<void> {
    for await (const local of listener) this.#carry(local, target);
  }

  async #carry(local: PlainDuplex, target: LocalForward["target"]): Promise<void> {
    const { clock, log } = this.#host;
    const patience = new AbortController();
    const cancel = clock.after(LINK_PATIENCE_MS, () => patience.abort(new Error("no gateway is connected")));
    try {
      const link = await this.#membership.linked(patience.signal);
      const channel = await link.dial(target);
      cancel();
      await relay(local, channel, { signal: this.#life.signal });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log({ event: "warning", message: `no connection to ${target.host}:${target.port}: ${reason}` });
      local.close(error);
    } finally {
      cancel();
    }
  }

  #closeListeners(): void {
    for (const listener of this.#listeners.splice(0)) listener.close();
  }
}

/** The built-in server, loaded by the first who asks: an agent that only waits does without its code. */
export async function builtInServer(host: AgentHost, policy: ServerPolicy): Promise<BuiltInServer> {
  const { BuiltInServer } = await import("./built_in_server.ts");
  const { crypto, clock, sessions, builtins, inherited, log, net, ownAddresses } = host;
  const forwards = { net, ownAddresses };
  return new BuiltInServer({ policy, crypto, clock, sessions, forwards, builtins, inherited, log });
}

/** The policy without an sshd_config. @throws {AgentError | StateError} */
export async function defaultPolicy(
  config: AgentConfig,
  host: AgentHost,
  state: StateFolder,
  gatewayCas: () => LinkUserCas,
): Promise<ServerPolicy> {
  const { files, log, clock, account, sessions } = host;
  const { login, allowDial } = config;
  const first = await readLoginFiles(login, files, log);
  const nobody = first.keys.length === 0 && login.userCas.length === 0;
  if (nobody && (config.stdio || config.exposures.some(({ target }) => target === "ssh"))) {
    log({
      event: "warning",
      message:
        "NOBODY can log in here: there is no key in --authorized-keys, ~/.ssh or SSH_AUTHORIZED_KEYS, and no " +
        "--trust-user-ca",
    });
  }
  // What was wrong with the files was said at the start.
  const again = async (): Promise<LoginFiles> => await readLoginFiles(login, files, () => {});
  return ownPolicy({
    account,
    findAccount: (name) => host.findAccount(name),
    sessions,
    clock,
    hostKeys: [await ownHostKey(state)],
    files: again,
    gatewayCas,
    principals: login.principals,
    allowDial,
  });
}

type LinkUserCas = GatewayLink["userCas"];

function identitySources(config: AgentConfig, { files, log }: AgentHost, state: StateFolder) {
  return { files, path: config.identity, home: config.login.home, state, log };
}

async function readAnchors({ trust }: AgentConfig, { files, log }: AgentHost): Promise<TrustAnchors> {
  const { knownHosts: paths, gatewayKeys: fingerprints } = trust;
  if (paths.length === 0) return { fingerprints };
  const texts = await Promise.all(paths.map((path) => requireText(files, path, "known hosts")));
  const entries = texts.flatMap(({ path, text }) => {
    const { entries, faults } = parseKnownHosts(text);
    for (const { line, reason } of faults) log({ event: "warning", message: `${path}:${line}: ${reason}` });
    return entries;
  });
  return { fingerprints, knownHosts: { paths, hosts: { entries, faults: [] } } };
}
