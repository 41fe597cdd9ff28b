/** Joining another gateway: dial, register this gateway and its nodes there, stay. */
import type { Signer } from "../../keys/types.ts";
import { encodeInstance, MeshRequest } from "../../mesh/requests.ts";
import type { CryptoProvider } from "../../platform/crypto.ts";
import { formatAddress, type TcpAddress } from "../../platform/net.ts";
import { type ClientConnection, connectSsh } from "../../ssh/client.ts";
import { SshError } from "../../ssh/error.ts";
import { keepAlive } from "../../ssh/connection/keepalive.ts";
import { Router } from "../../ssh/connection/router.ts";
import { logger } from "../../telemetry/log.ts";
import { KEEPALIVE } from "../keepalive.ts";
import type { GatewayParts } from "../parts.ts";
import { serveArrival } from "./arrivals.ts";
import { Exports } from "./exports.ts";
import type { JoinedGatewayTrust } from "./gateway_trust.ts";
import { encodeGateway, GatewayMessage } from "./messages.ts";

/** Bound of the first wait, and the longest, in milliseconds; waits are of full jitter. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
/** A connection that held this long makes the next wait a first one again, in milliseconds. */
const STABLE = 60_000;
/** Until a dialled gateway has let us in, in milliseconds. */
const LOGIN_GRACE = 20_000;

export interface JoinOptions {
  readonly address: TcpAddress;
  readonly parts: GatewayParts;
  readonly crypto: CryptoProvider;
  readonly trust: JoinedGatewayTrust;
  /** Keys to authenticate with. */
  readonly signers: readonly Signer[];
  /** The same for all connections of this process, and nobody else's. */
  readonly instance: string;
  /** Patterns of names to offer; undefined: all. */
  readonly exports?: readonly string[];
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
}

export class Join {
  readonly #options: JoinOptions;
  readonly #stopping = new AbortController();
  readonly #log = logger("gateway");
  readonly #running: Promise<void>;
  #exports?: Exports;

  /** Begins at once, and goes on until {@link stop}. */
  constructor(options: JoinOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Takes the names back that were offered; what is open through the other gateway goes on. */
  async withdraw(): Promise<void> {
    await this.#exports?.withdraw();
  }

  /** Leaves the other gateway. Resolves when nothing is left. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the gateway is shutting down"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { parts: { clock }, random } = this.#options;
    const { signal } = this.#stopping;
    const gateway = formatAddress(this.#options.address);
    for (let rounds = 0; !signal.aborted; rounds++) {
      const began = clock.monotonic();
      try {
        const connection = await this.#connect();
        this.#log.info("{gateway} is joined", { gateway });
        const error = await connection.closed;
        this.#log.warn("{gateway} has ended the connection", {
          gateway,
          ...(error && { why: error.message }),
        });
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn("{gateway} cannot be joined: {why}", {
          gateway,
          why: await this.#whyNot(error),
        });
      }
      if (clock.monotonic() - began >= STABLE) rounds = 0;
      const wait = random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(rounds, 10));
      await clock.sleep(wait, signal).catch(() => {});
    }
  }

  async #whyNot(error: unknown): Promise<string> {
    if (error instanceof SshError && error.code === "auth") {
      const [key] = await Promise.all(this.#options.signers.map(({ publicKey }) => publicKey.fingerprint()));
      return `it does not accept the key ${key}: is it in its authorized_keys? (--identity FILE brings another)`;
    }
    return error instanceof Error ? error.message : String(error);
  }

  /** Resolves when the names have been offered. */
  async #connect(): Promise<ClientConnection> {
    const { address, parts, crypto, trust, signers, instance, exports: patterns } = this.#options;
    const { clock, net, registry, mesh, naming } = parts;
    const { signal } = this.#stopping;
    const duplex = await net.dial(address, { signal });
    let connection: ClientConnection;
    try {
      connection = await connectSsh(duplex, {
        crypto,
        clock,
        signal,
        loginGraceMs: LOGIN_GRACE,
        verifyHostKey: (shown) => trust.verify(address, shown),
        auth: { user: "gateway", credentials: [{ method: "publickey", signers }] },
        prepare: (connection) => this.#prepare(connection),
      });
    } catch (error) {
      duplex.close(error);
      throw error;
    }
    try {
      keepAlive(connection, { ...KEEPALIVE, clock });
      const introduced = connection.request(GatewayMessage.gateway, encodeGateway(mesh.id), true);
      await connection.request(MeshRequest.instance, encodeInstance(instance), true);
      if (await introduced === false) {
        throw new Error("it is no gateway of this kind, or this gateway itself");
      }
      const { domain } = naming;
      this.#exports = new Exports({ connection, registry, clock, self: mesh, domain, patterns });
      await this.#exports.start();
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Before the first message: what the other gateway may ask for. */
  #prepare(connection: ClientConnection): void {
    const { address, parts } = this.#options;
    const router = new Router(connection);
    const ended = new AbortController();
    connection.closed.then((error) => ended.abort(error ?? new Error("the gateway has gone")));
    const hostKey = connection.provenHostKey!.key;
    const known = hostKey.fingerprint();
    router.onChannel(GatewayMessage.channel, async (incoming) => {
      // The data is a view: it must outlive the wait for the fingerprint.
      const kept = { ...incoming, data: incoming.data.slice() };
      const fingerprint = await known;
      const name = `joined ${formatAddress(address)}`;
      const gateway = { connection, hostKey, fingerprint, address, ended: ended.signal, name };
      await serveArrival(kept, gateway, parts);
    });
    // What is open goes on; when the other gateway has gone, its successor is dialled.
    router.onRequest(MeshRequest.drain, () => true);
    router.onRequest(MeshRequest.refused, () => true);
  }
}
