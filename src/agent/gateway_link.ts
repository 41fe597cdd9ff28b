/** One connection to one gateway: authenticated, registered, served until it ends. */
import { type Bytes, EMPTY } from "../bytes/bytes.ts";
import type { PublicKey } from "../keys/types.ts";
import { decodeRefused, MeshRequest } from "../mesh/requests.ts";
import type { ClientConnection } from "../ssh/client.ts";
import type { Channel } from "../ssh/connection/types.ts";
import { ChannelOpenError } from "../ssh/error.ts";
import { serveForwarding } from "../ssh/forward/incoming.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import { openTcp, RemoteForwards } from "../ssh/forward/outgoing.ts";
import { deferred } from "../streams/deferred.ts";
import type { GatewayAddress } from "./gateway_address.ts";
import { askGateway, type AskOptions, GatewayRefusal } from "./gateway_command.ts";
import { type Connected, connectGateway } from "./gateway_connect.ts";
import { GATEWAY_KEEPALIVE, keepConnectionAlive } from "./keepalive.ts";
import type { LinkContext } from "./link_context.ts";
import { readUserCas, Refusals, register, type Registered, type Registration } from "./registering.ts";

/** Until everything is registered: a gateway may probe the holder of a name for 2 s, each. */
const REGISTER_TIMEOUT_MS = 20_000;

/** How often a link that is to go looks whether its last channel has ended, in milliseconds. */
const RETIRE_POLL_MS = 250;

export class GatewayLink {
  readonly gateway: GatewayAddress;
  readonly registrations: readonly Registration[];
  /** Resolves when the connection has ended, with why. */
  readonly closed: Promise<Error | undefined>;
  /** Resolves when the gateway asks to go elsewhere. */
  readonly drained: Promise<void>;
  /** Whether it is one of ours, which has commands and answers our requests. */
  readonly ours: boolean;
  /** What logged in stands in for a token that could not be had: it gets no certificates. */
  readonly standIn: boolean;
  readonly #connection: ClientConnection;
  readonly #expiresAt?: number;
  readonly #context: LinkContext;
  readonly #trust: Notice;
  /** The gateway gave no sign of life: why this side has closed. */
  #silence?: Error;

  private constructor(
    gateway: GatewayAddress,
    { ssh, expiresAt, standIn }: Connected,
    context: LinkContext,
    told: { readonly drained: Promise<void>; readonly trust: Notice },
    { registrations, ours }: Registered,
  ) {
    this.gateway = gateway;
    this.#connection = ssh;
    this.#expiresAt = expiresAt;
    this.#context = context;
    this.#trust = told.trust;
    this.closed = ssh.closed.then((error) => this.#silence ?? error);
    keepConnectionAlive(ssh, context.clock, GATEWAY_KEEPALIVE, (silence) => this.#silence = silence);
    this.drained = told.drained;
    this.registrations = registrations;
    this.ours = ours;
    this.standIn = standIn;
  }

  /**
   * Dials, believes, authenticates, registers.
   * @throws {AgentError} when waiting would not help; any other error when it may
   */
  static async open(
    gateway: GatewayAddress,
    context: LinkContext,
    signal: AbortSignal,
  ): Promise<GatewayLink> {
    const { clock } = context;
    const drained = deferred();
    const trust = new Notice();
    const refusals = new Refusals(gateway, context.log);
    let forwards!: RemoteForwards;
    const connected = await connectGateway(gateway, context, signal, (ssh, router) => {
      forwards = new RemoteForwards(ssh, router);
      serveForwarding(ssh, router, context.dialPolicy);
      router.onRequest(MeshRequest.drain, () => {
        drained.resolve();
        return true;
      });
      router.onRequest(MeshRequest.refused, ({ data }) => {
        refusals.add(decodeRefused(data));
        return true;
      });
      router.onRequest(MeshRequest.trust, () => {
        trust.give();
        return true;
      });
    });
    const { ssh } = connected;
    const tooLate = clock.after(REGISTER_TIMEOUT_MS, () => ssh.close());
    try {
      const found = await register({ ssh, forwards }, refusals, gateway, context);
      refusals.registered();
      return new GatewayLink(gateway, connected, context, { drained: drained.promise, trust }, found);
    } catch (error) {
      ssh.close();
      throw error;
    } finally {
      tooLate();
    }
  }

  /** Whenever the gateway's authorities, or what they revoked, have changed; also when they did before this call. */
  onTrustChange(listener: () => void): void {
    this.#trust.listen(listener);
  }

  /**
   * Runs a command of the gateway's and resolves to what it printed. A gateway opens nothing new for a credential that
   * has expired since: then the question goes over a connection of its own, with a new one.
   * @throws {GatewayRefusal} when the gateway says no; any other error when it cannot be asked
   */
  async ask(command: string, options: Omit<AskOptions, "clock">): Promise<Bytes> {
    const { clock } = this.#context;
    try {
      return await askGateway(this.#connection, command, { ...options, clock });
    } catch (error) {
      const refused = error instanceof GatewayRefusal || error instanceof ChannelOpenError;
      if (!refused || !this.#hasExpired()) throw error;
    }
    const { ssh } = await connectGateway(
      this.gateway,
      this.#context,
      options.signal ?? new AbortController().signal,
    );
    try {
      return await askGateway(ssh, command, { ...options, clock });
    } finally {
      ssh.close();
      await ssh.closed;
    }
  }

  /** The gateway's authorities for users as they are now; undefined where it has none. */
  async askUserCas(): Promise<PublicKey[] | undefined> {
    return readUserCas(await this.#connection.request(MeshRequest.userCa, EMPTY, true));
  }

  #hasExpired(): boolean {
    return this.#expiresAt !== undefined && this.#expiresAt <= this.#context.clock.now();
  }

  /** Opens a connection to another node. @throws {ChannelOpenError} */
  dial(target: HostPort, originator?: HostPort): Promise<Channel> {
    return openTcp(this.#connection, target, { originator });
  }

  /** Channels open now. */
  get channelCount(): number {
    return this.#connection.channelCount;
  }

  /** Closes once the last channel has ended. Resolves then, or when the connection ends before. */
  async retire(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    this.closed.then(() => ended.abort());
    const either = AbortSignal.any([signal, ended.signal]);
    try {
      while (this.channelCount > 0) await this.#context.clock.sleep(RETIRE_POLL_MS, either);
    } catch {
      // It has ended, or shall.
    }
    this.close();
    await this.closed;
  }

  close(): void {
    this.#connection.close();
  }
}

/** Something that may happen before anybody listens. */
class Notice {
  readonly #listeners: (() => void)[] = [];
  #given = false;

  give(): void {
    this.#given = true;
    for (const listener of this.#listeners) listener();
  }

  /** Who comes late hears of it at once. */
  listen(listener: () => void): void {
    this.#listeners.push(listener);
    if (this.#given) listener();
  }
}
