/** One connection to one gateway: authenticated, registered, served until it ends. */
import { equal } from "../bytes/bytes.ts";
import type { PublicKey, Signer } from "../keys/types.ts";
import { decodeRefused, MeshRequest } from "../mesh/requests.ts";
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import { type Net, NetError } from "../platform/net.ts";
import { defaultClientAlgorithms, preferHostKeys } from "../ssh/algorithms/lists.ts";
import { type ClientConnection, connectSsh } from "../ssh/client.ts";
import type { Channel } from "../ssh/connection/types.ts";
import { type AnnouncedHostKeys, followHostKeys } from "../ssh/connection/host_key_rotation.ts";
import { Router } from "../ssh/connection/router.ts";
import { SshError } from "../ssh/error.ts";
import { type ForwardPolicy, serveForwarding } from "../ssh/forward/incoming.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import { type ForwardedConnection, openTcp, RemoteForwards } from "../ssh/forward/outgoing.ts";
import { deferred } from "../streams/deferred.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import type { Exposure } from "./exposure.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";
import { dialGateway } from "./gateway_dial.ts";
import type { GatewayTrust } from "./gateway_trust.ts";
import { GATEWAY_KEEPALIVE, keepConnectionAlive } from "./keepalive.ts";
import { Refusals, register, type Registration } from "./registering.ts";

/** Until the gateway has let us in, in milliseconds. */
const LOGIN_TIMEOUT_MS = 20_000;

/** Until everything is registered: a gateway may probe the holder of a name for 2 s, each. */
const REGISTER_TIMEOUT_MS = 20_000;

/** How often a link that is to go looks whether its last channel has ended, in milliseconds. */
const RETIRE_POLL_MS = 250;

/** What every link needs. */
export interface LinkContext {
  readonly net: Net;
  readonly clock: Clock;
  readonly crypto: CryptoProvider;
  readonly trust: GatewayTrust;
  readonly log: EventLog;
  /** Asked before each dial: certificates are renewed on disk. */
  identities(): Promise<readonly Signer[]>;
  /** Login name where the address has none. */
  readonly user: string;
  /** The same for all links of this process, and nobody else's. */
  readonly instance: string;
  readonly name?: string;
  readonly exposures: readonly Exposure[];
  readonly private: boolean;
  /** Ranges as `--allow-dial` writes them. */
  readonly allowDial: readonly string[];
  /** Whether certificates of the gateway's authority let users in. */
  readonly trustUserCa: boolean;
  /** Serves what others open to this node. */
  readonly onConnection: (exposure: Exposure, connection: ForwardedConnection) => void | Promise<void>;
  /** Serves what others dial through this node. */
  readonly dialPolicy: ForwardPolicy;
}

export class GatewayLink {
  readonly gateway: GatewayAddress;
  readonly registrations: readonly Registration[];
  /** The gateway's authorities for users, where that was asked and answered. */
  readonly userCas: readonly PublicKey[];
  /** Resolves when the connection has ended, with why. */
  readonly closed: Promise<Error | undefined>;
  /** Resolves when the gateway asks to go elsewhere. */
  readonly drained: Promise<void>;
  readonly #connection: ClientConnection;
  readonly #clock: Clock;
  /** The gateway gave no sign of life: why this side has closed. */
  #silence?: Error;

  private constructor(
    gateway: GatewayAddress,
    connection: ClientConnection,
    clock: Clock,
    drained: Promise<void>,
    found: { readonly registrations: readonly Registration[]; readonly userCas: readonly PublicKey[] },
  ) {
    this.gateway = gateway;
    this.#connection = connection;
    this.#clock = clock;
    this.closed = connection.closed.then((error) => this.#silence ?? error);
    keepConnectionAlive(connection, clock, GATEWAY_KEEPALIVE, (silence) => this.#silence = silence);
    this.drained = drained;
    this.registrations = found.registrations;
    this.userCas = found.userCas;
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
    const refusals = new Refusals(gateway, context.log);
    const connection = await connect(gateway, context, { drained: drained.resolve, refusals }, signal);
    const tooLate = clock.after(REGISTER_TIMEOUT_MS, () => connection.close());
    try {
      const found = await register(connection, refusals, gateway, context);
      refusals.registered();
      return new GatewayLink(gateway, connection.ssh, clock, drained.promise, found);
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      tooLate();
    }
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
      while (this.channelCount > 0) await this.#clock.sleep(RETIRE_POLL_MS, either);
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

interface Connected {
  readonly ssh: ClientConnection;
  readonly forwards: RemoteForwards;
  close(): void;
}

async function connect(
  gateway: GatewayAddress,
  context: LinkContext,
  told: { drained(): void; readonly refusals: Refusals },
  signal: AbortSignal,
): Promise<Connected> {
  const { clock, crypto, trust, user } = context;
  const where = formatGateway(gateway);
  const signers = await context.identities();
  const duplex = await dial(gateway, context, signal);
  let forwards: RemoteForwards | undefined;
  /** Why the host key was not believed: more than the sentence that the library passes on. */
  let disbelief: unknown;
  try {
    const ssh = await connectSsh(duplex, {
      crypto,
      clock,
      signal,
      loginGraceMs: LOGIN_TIMEOUT_MS,
      algorithms: preferHostKeys(defaultClientAlgorithms, await trust.known(gateway)),
      verifyHostKey: async (shown) => {
        try {
          await trust.verify(gateway, shown);
          return true;
        } catch (error) {
          disbelief = error;
          return error instanceof Error ? error.message : "the host key was not believed";
        }
      },
      auth: {
        user: gateway.user ?? user,
        credentials: [{ method: "publickey", signers }],
        onBanner: (text) => context.log({ event: "info", message: `${where} says: ${text.trim()}` }),
      },
      prepare: (ssh) => {
        const router = new Router(ssh);
        forwards = new RemoteForwards(ssh, router);
        serveForwarding(ssh, router, context.dialPolicy);
        router.onRequest(MeshRequest.drain, () => {
          told.drained();
          return true;
        });
        router.onRequest(MeshRequest.refused, ({ data }) => {
          told.refusals.add(decodeRefused(data));
          return true;
        });
        if (trust.pins) followPins(gateway, ssh, router, context);
      },
    });
    return { ssh, forwards: forwards!, close: () => ssh.close() };
  } catch (error) {
    duplex.close(error);
    if (disbelief) throw disbelief;
    if (error instanceof SshError && error.code === "auth") {
      const keys = (await Promise.all(signers.map(({ publicKey }) => publicKey.fingerprint()))).join(", ");
      const message = `${where} does not accept the key ${keys}: is it in its authorized_keys?`;
      throw new AgentError("credential", message, { cause: error });
    }
    throw error;
  }
}

/** @throws {AgentError} `unknownGateway` where waiting would not help */
async function dial(gateway: GatewayAddress, { net, clock }: LinkContext, signal: AbortSignal) {
  try {
    return await dialGateway(gateway, net, clock, signal);
  } catch (cause) {
    if (!(cause instanceof NetError) || cause.code !== "not-found") throw cause;
    const sentence = `there is no gateway ${gateway.hostname}: no address is known for it`;
    throw new AgentError("unknownGateway", sentence, { cause });
  }
}

/** A key that was believed because it was the first vouches for those that come after it. */
function followPins(
  gateway: GatewayAddress,
  ssh: ClientConnection,
  router: Router,
  context: LinkContext,
): void {
  const { trust, log } = context;
  const failed = (error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    log({ event: "warning", message: `host keys of ${formatGateway(gateway)}: ${reason}` });
  };
  followHostKeys(ssh, router, {
    isKnown: async ({ blob }) => (await trust.known(gateway)).some((key) => equal(key.blob, blob)),
    onHostKeys: ({ known, proven }: AnnouncedHostKeys) => {
      // A server that does not list the key it has just used is not to be followed.
      const current = ssh.provenHostKey!.key;
      if (![...known, ...proven].some(({ blob }) => equal(blob, current.blob))) return;
      trust.rotate(gateway, [...known, ...proven]).catch(failed);
    },
    onFailure: failed,
  });
}
