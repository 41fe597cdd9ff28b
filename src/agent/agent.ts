/** An agent: joins configuration, system, gateways and the built-in server. */
import { formatAddress, type NetListener } from "../platform/net.ts";
import { NetError } from "../platform/net.ts";
import type { StateFolder } from "../platform/state.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { randomBytes } from "../bytes/bytes.ts";
import { ChannelOpenReason } from "../ssh/error.ts";
import type { ForwardedConnection } from "../ssh/forward/outgoing.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { relay } from "../streams/relay.ts";
import type { BuiltInServer, Peer, ServerPolicy } from "./built_in_server.ts";
import { keepCertificates } from "./certificates.ts";
import type { AgentConfig } from "./config.ts";
import { AgentCredentials } from "./credentials.ts";
import { AgentError } from "./exit_codes.ts";
import type { Exposure } from "./exposure.ts";
import { forwardPolicy } from "./forwarding.ts";
import { formatGateway } from "./gateway_address.ts";
import { GatewayAuthorities } from "./gateway_authorities.ts";
import { GatewayLink } from "./gateway_link.ts";
import { GatewayTrust } from "./gateway_trust.ts";
import type { AgentHost } from "./host.ts";
import { type IdentitySources, loadIdentities } from "./identity.ts";
import { readJoinToken } from "./join_token.ts";
import type { LinkContext } from "./link_context.ts";
import type { LocalForward } from "./local_forward.ts";
import { Membership } from "./membership.ts";
import type { OwnHostKey } from "./own_host_key.ts";
import { builtInServer, ownServer } from "./own_server.ts";
import { tokenCommand } from "./token_command.ts";
import { tokenMetadata } from "./token_metadata.ts";
import { type TokenConfig, tokenFile, type TokenSource } from "./token_source.ts";
import { readAnchors, warnOfPins } from "./trust_anchors.ts";

/** How long a forward waits for a gateway before it gives up on a connection, in milliseconds. */
const LINK_PATIENCE_MS = 10_000;

/** How often is looked whether there is a token again, in milliseconds. */
const TOKEN_RETRY_MS = 20_000;

/** What an agent is made of, read and checked. */
interface AgentParts {
  readonly state: StateFolder;
  readonly trust: GatewayTrust;
  readonly credentials: AgentCredentials;
  readonly policy: ServerPolicy;
  /** Of the built-in server, where the agent has one of its own. */
  readonly hostKey?: OwnHostKey;
  readonly authorities?: GatewayAuthorities;
}

/** An agent that is set up; {@link Agent.run} starts it. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #host: AgentHost;
  readonly #parts: AgentParts;
  #server?: Promise<BuiltInServer>;
  readonly #membership: Membership<GatewayLink>;
  readonly #life = new AbortController();
  #listeners: NetListener[] = [];
  #ready = false;
  /** What gateways refuse for good is said once. */
  readonly #said = new Set<string>();

  private constructor(config: AgentConfig, host: AgentHost, parts: AgentParts) {
    this.#config = config;
    this.#host = host;
    this.#parts = parts;
    const context = this.#linkContext();
    this.#membership = new Membership({
      gateways: config.gateways,
      open: async (gateway, signal) =>
        await this.#registered(await GatewayLink.open(gateway, context, signal)),
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
    const { clock, random, log, files } = host;
    const join = config.join === undefined ? undefined : await readJoinToken(config.join, files);
    const trust = new GatewayTrust(
      await readAnchors(config.trust, host, join),
      state,
      () => clock.now(),
      log,
    );
    const credentials = new AgentCredentials({
      identities: identitySources(config, host, state),
      trust,
      state,
      clock,
      log,
      token: config.token && tokenSource(config.token, host),
      audience: config.tokenAudience,
      join,
    });
    await checkCredentials(config, host, state, credentials);
    const authorities = config.login.userCas.includes("gateway")
      ? new GatewayAuthorities({ clock, random, log, onChange: () => void agent.#judgeAnew() })
      : undefined;
    if (authorities && trust.pins && join === undefined) await warnOfPins(config.gateways, trust, log);
    const own = policy ? undefined : await ownServer(config, host, state, authorities);
    const agent: Agent = new Agent(config, host, {
      state,
      trust,
      credentials,
      policy: policy ?? own!.policy,
      hostKey: own?.hostKey,
      authorities,
    });
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

  #linkContext(): LinkContext {
    const { net, clock, crypto, log, account, ownAddresses } = this.#host;
    const { allowDial, name, exposures } = this.#config;
    const { trust, credentials } = this.#parts;
    return {
      net,
      clock,
      crypto,
      trust,
      log,
      credentials: (gateway, signal) => credentials.forDial(gateway, signal),
      user: account.name,
      instance: encodeHex(randomBytes(16)),
      name,
      exposures,
      private: this.#config.private,
      allowDial: allowDial.map(({ text }) => text),
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

  async #registered(link: GatewayLink): Promise<GatewayLink> {
    const { log } = this.#host;
    const gateway = formatGateway(link.gateway);
    const { signal } = this.#life;
    // Whoever comes in by the first connection is judged by what this gateway says.
    await this.#parts.authorities?.follow(link, signal);
    for (const registration of link.registrations) log({ event: "registered", ...registration, gateway });
    if (!this.#ready) log({ event: "ready", gateway });
    this.#ready = true;
    if (link.ours) {
      this.#certified(link).catch((error) => {
        const reason = error instanceof Error ? error.message : String(error);
        log({ event: "warning", message: `no certificates of ${gateway}: ${reason}` });
      });
    }
    return link;
  }

  async #certified(link: GatewayLink): Promise<void> {
    const { clock, random, log } = this.#host;
    const { state, credentials, hostKey } = this.#parts;
    if (link.standIn) return await this.#untilToken(link);
    const serves = this.#config.exposures.some(({ target }) => target === "ssh");
    await keepCertificates(link, {
      hostKey: serves ? hostKey : undefined,
      loginKey: await credentials.certifiedKey(),
      state,
      clock,
      random,
      log,
      said: this.#said,
      signal: this.#life.signal,
    });
  }

  /**
   * Goes back to the token once there is one: to the gateway a certificate is another identity, which gets no
   * certificates. The name can only change hands when the connection ends: so at a moment when nobody uses it.
   */
  async #untilToken(link: GatewayLink): Promise<void> {
    const { clock, random, log } = this.#host;
    const { signal } = this.#life;
    let ended = false;
    link.closed.then(() => ended = true);
    while (!ended && !signal.aborted) {
      await clock.sleep(TOKEN_RETRY_MS * (1 + random()) / 2, signal).catch(() => {});
      if (ended || signal.aborted) return;
      if (!await this.#parts.credentials.hasToken(link.gateway, signal)) continue;
      if (link.channelCount > 0 || ended) continue;
      log({
        event: "info",
        message: `there is a token for ${formatGateway(link.gateway)} again: logging in anew`,
      });
      link.close();
    }
  }

  /** Ends the logins that what the gateway has revoked takes back. */
  async #judgeAnew(): Promise<void> {
    await (await this.#server)?.judgeAnew();
  }

  async #serveExposure({ target }: Exposure, connection: ForwardedConnection): Promise<void> {
    const { originator } = connection;
    if (target === "ssh") {
      const peer: Peer = { address: originator?.host ?? "", port: originator?.port ?? 0 };
      const server = await (this.#server ??= builtInServer(this.#host, this.#parts.policy));
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

function identitySources(
  config: AgentConfig,
  { files, log }: AgentHost,
  state: StateFolder,
): IdentitySources {
  return { files, path: config.identity, home: config.login.home, state, log };
}

function tokenSource(
  config: TokenConfig,
  { files, clock, sessions, environment, log }: AgentHost,
): TokenSource {
  switch (config.kind) {
    case "file":
      return tokenFile(config.path, files);
    case "command":
      return tokenCommand(config.command, { processes: sessions.processes, clock, environment, log });
    case "metadata":
      return tokenMetadata(config.host, clock);
  }
}

/** What can be known without dialling; the first dial reads it all again. @throws {AgentError | StateError} */
async function checkCredentials(
  config: AgentConfig,
  host: AgentHost,
  state: StateFolder,
  credentials: AgentCredentials,
): Promise<void> {
  const { gateways, token, join } = config;
  if (token === undefined && join === undefined) {
    return void await loadIdentities(identitySources(config, host, state));
  }
  if (token?.kind === "file") await tokenFile(token.path, host.files).read("", new AbortController().signal);
  for (const gateway of gateways) await credentials.check(gateway);
}
