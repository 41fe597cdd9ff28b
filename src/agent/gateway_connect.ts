/** From a gateway's address to an authenticated connection: dial, believe, log in, and enrol where that comes first. */
import { equal } from "../bytes/bytes.ts";
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import { type Net, type NetConnection, NetError } from "../platform/net.ts";
import { defaultClientAlgorithms, preferHostKeys } from "../ssh/algorithms/lists.ts";
import { type ClientConnection, connectSsh } from "../ssh/client.ts";
import { type AnnouncedHostKeys, followHostKeys } from "../ssh/connection/host_key_rotation.ts";
import { Router } from "../ssh/connection/router.ts";
import { SshError } from "../ssh/error.ts";
import type { DialCredentials } from "./credentials.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";
import { dialGateway } from "./gateway_dial.ts";
import type { GatewayTrust } from "./gateway_trust.ts";

/** Until the gateway has let us in, in milliseconds. */
const LOGIN_TIMEOUT_MS = 20_000;

/** What every connection to a gateway needs. */
export interface ConnectContext {
  readonly net: Net;
  readonly clock: Clock;
  readonly crypto: CryptoProvider;
  readonly trust: GatewayTrust;
  readonly log: EventLog;
  /** Asked before each dial: tokens are rotated, certificates renewed. */
  credentials(gateway: GatewayAddress, signal: AbortSignal): Promise<DialCredentials>;
  /** Login name where the address has none. */
  readonly user: string;
}

/** A gateway that is believed and has let us in. */
export interface Connected {
  readonly ssh: ClientConnection;
  /** From when on it opens nothing new for us, in milliseconds since 1970; undefined: never. */
  readonly expiresAt?: number;
  /** What logged in stands in for a token that could not be had. */
  readonly standIn: boolean;
}

/**
 * Connects. An agent that a join token lets in enrols its key and comes back with that.
 * @param prepare as that of `connectSsh`, with a router that is in place already
 * @throws {AgentError} where waiting would not help; any other error when it may
 */
export async function connectGateway(
  gateway: GatewayAddress,
  context: ConnectContext,
  signal: AbortSignal,
  prepare: (ssh: ClientConnection, router: Router) => void = () => {},
): Promise<Connected> {
  for (let enrolled = false;; enrolled = true) {
    const shown = await context.credentials(gateway, signal);
    const ssh = await logIn(gateway, context, shown, signal, prepare);
    const method = ssh.authenticated.methods.at(-1) ?? "none";
    const { enrol } = shown;
    if (!enrol || enrolled || method === "publickey") {
      return { ssh, expiresAt: shown.expiresAt(method), standIn: shown.standsIn?.(method) ?? false };
    }
    try {
      await enrol(ssh, signal);
    } finally {
      ssh.close();
      await ssh.closed;
    }
  }
}

async function logIn(
  gateway: GatewayAddress,
  context: ConnectContext,
  shown: DialCredentials,
  signal: AbortSignal,
  prepare: (ssh: ClientConnection, router: Router) => void,
): Promise<ClientConnection> {
  const { clock, crypto, trust, user, log } = context;
  const where = formatGateway(gateway);
  const duplex = await dial(gateway, context, signal);
  /** Why the host key was not believed: more than the sentence that the library passes on. */
  let disbelief: unknown;
  try {
    return await connectSsh(duplex, {
      crypto,
      clock,
      signal,
      loginGraceMs: LOGIN_TIMEOUT_MS,
      algorithms: preferHostKeys(defaultClientAlgorithms, await trust.known(gateway)),
      verifyHostKey: async (proven) => {
        try {
          await trust.verify(gateway, proven, { secret: shown.secret });
          return true;
        } catch (error) {
          disbelief = error;
          return error instanceof Error ? error.message : "the host key was not believed";
        }
      },
      auth: {
        user: gateway.user ?? user,
        credentials: shown.credentials,
        onBanner: (text) => log({ event: "info", message: `${where} says: ${text.trim()}` }),
      },
      prepare: (ssh) => {
        const router = new Router(ssh);
        if (trust.pins) followPins(gateway, ssh, router, context);
        prepare(ssh, router);
      },
    });
  } catch (error) {
    duplex.close(error);
    if (disbelief) throw disbelief;
    if (error instanceof SshError && error.code === "auth") {
      const message = `${where} does not accept ${await shown.refusal()}`;
      throw new AgentError("credential", message, { cause: error });
    }
    throw error;
  }
}

/** @throws {AgentError} `unknownGateway` where waiting would not help */
async function dial(
  gateway: GatewayAddress,
  { net, clock }: ConnectContext,
  signal: AbortSignal,
): Promise<NetConnection> {
  try {
    return await dialGateway(gateway, net, clock, signal);
  } catch (cause) {
    if (!(cause instanceof NetError) || cause.code !== "not-found") throw cause;
    const sentence = `there is no gateway ${gateway.hostname}: no address is known for it`;
    throw new AgentError("unknownGateway", sentence, { cause });
  }
}

/** A key that was believed because it was the first, or by a join token, vouches for those that come after it. */
function followPins(
  gateway: GatewayAddress,
  ssh: ClientConnection,
  router: Router,
  { trust, log }: ConnectContext,
): void {
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
