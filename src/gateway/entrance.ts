/** Where connections come in: who may try, which protocol it is, and what it costs to come to nothing. */
import { encodeText } from "../bytes/bytes.ts";
import type { Clock } from "../platform/clock.ts";
import { formatAddress, type TcpAddress } from "../platform/net.ts";
import { SshError } from "../ssh/error.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { farewell } from "../streams/farewell.ts";
import { logger } from "../telemetry/log.ts";
import type { MeshMetrics } from "../telemetry/metrics.ts";
import { RecordLimit } from "../telemetry/record_limit.ts";
import { Admission, type Penalty } from "./admission.ts";
import { type Arrival, behindProxy } from "./behind_proxy.ts";
import type { GatewayConfig } from "./config.ts";
import type { HttpsDoor, Visit } from "./https.ts";
import { type Place, Places, sourceOf } from "./places.ts";
import { tellProtocol } from "./protocol.ts";
import type { Protocol } from "./settings.ts";

/** Connections over HTTPS at once from one address: gateways keep two or three each, people none. */
const MAX_WEB_PER_SOURCE = 256;

export interface EntranceOptions {
  readonly clock: Clock;
  readonly config: Pick<GatewayConfig, "limits" | "loginGrace" | "proxyFrom">;
  readonly metrics: MeshMetrics;
  /** Undefined: SSH alone is spoken. */
  readonly https: Pick<HttpsDoor, "serve"> | undefined;
  /** SSH clients that are connected. */
  readonly clients: () => number;
  /**
   * Lets an SSH client in: resolves when it is authenticated.
   * @param grace milliseconds that it has for that
   * @param onRefused a credential was not accepted
   * @throws {SshError} why there is no connection
   */
  readonly handshake: (
    connection: PlainDuplex,
    remote: TcpAddress,
    grace: number,
    onRefused: () => void,
  ) => Promise<unknown>;
}

export class Entrance {
  readonly #options: EntranceOptions;
  readonly #admission: Admission;
  readonly #log = logger("gateway");
  /** Of connections over HTTPS: anyone may have one, so they take nothing from the clients of SSH. */
  readonly #web: Places;
  /** Connections that were not let in, by source. */
  readonly #refusals = new RecordLimit<string>();

  constructor(options: EntranceOptions) {
    this.#options = options;
    this.#admission = new Admission(options.config.limits, options.clock);
    const total = Math.ceil(options.config.limits.maxClients / 4);
    this.#web = new Places({ total, perSource: Math.min(MAX_WEB_PER_SOURCE, Math.ceil(total / 2)) });
  }

  /** Serves one connection: an SSH client until it is authenticated, a web client to its end. Never rejects. */
  async arrived(incoming: PlainDuplex, from: TcpAddress, served: readonly Protocol[]): Promise<void> {
    const { clock, config } = this.#options;
    let arrival: Arrival;
    try {
      // Before anything is counted: what a client does is not its balancer's doing.
      arrival = await behindProxy({ connection: incoming, remote: from }, config.proxyFrom, clock);
    } catch (error) {
      this.#log.warn("the PROXY header from {remote} counts for nothing: {reason}", {
        remote: formatAddress(from),
        reason: error instanceof Error ? error.message : String(error),
      });
      return incoming.close(error);
    }
    await this.#admit(arrival, served);
  }

  async #admit({ connection, remote }: Arrival, served: readonly Protocol[]): Promise<void> {
    const { clock, clients } = this.#options;
    const place = this.#admission.admit(remote.hostname, clients());
    if (typeof place === "string") {
      this.#tellRefused(remote, place);
      // As sshd says it: a line that is no identification (RFC 4253 §4.2) and that clients show.
      await connection.write(encodeText("Not allowed at this time\r\n")).catch(() => {});
      await farewell(connection, clock.after.bind(clock));
      return connection.close();
    }
    let refused = false;
    try {
      await this.#serve(connection, remote, served, { place, onRefused: () => refused = true });
    } catch (error) {
      const penalty = penaltyFor(error, refused);
      if (penalty) this.#admission.punish(remote.hostname, penalty);
      this.#log.info("connection from {remote} came to nothing: {reason}", {
        remote: formatAddress(remote),
        reason: error instanceof Error ? error.message : String(error),
      });
    } finally {
      place.release();
    }
  }

  /** Whoever is refused can come again as often as it likes: the log must not grow with that. */
  #tellRefused(remote: TcpAddress, reason: string): void {
    const now = this.#options.clock.monotonic();
    for (const { count, context } of this.#refusals.close(now)) {
      this.#log.warn("{count} more connections from {remote} refused", { count, remote: context });
    }
    if (!this.#refusals.admits("refused", sourceOf(remote.hostname), remote.hostname, now)) return;
    this.#log.warn("connection from {remote} refused: {reason}", { remote: formatAddress(remote), reason });
  }

  /** @throws {SshError} why it came to nothing */
  async #serve(
    incoming: PlainDuplex,
    remote: TcpAddress,
    served: readonly Protocol[],
    { place, onRefused }: { readonly place: Place; readonly onRefused: () => void },
  ): Promise<void> {
    const { clock, https, handshake, config: { loginGrace } } = this.#options;
    const possible = served.filter((protocol) => protocol !== "tls" || https);
    const began = clock.monotonic();
    const { protocol, connection } = await tellProtocol(incoming, possible, { clock, loginGrace });
    if (protocol === "ssh") {
      const left = loginGrace - (clock.monotonic() - began);
      return void await handshake(connection, remote, left, onRefused);
    }
    if (protocol === undefined) {
      connection.close();
      throw new SshError("protocol", `nothing that is served here can be spoken (${served.join(", ")})`);
    }
    if (await this.#serveWeb(https!, connection, remote, place)) return;
    throw new SshError("disconnected", "it sent no request");
  }

  /** @returns whether it sent any request, or could not */
  async #serveWeb(
    https: Pick<HttpsDoor, "serve">,
    connection: PlainDuplex,
    remote: TcpAddress,
    place: Place,
  ): Promise<boolean> {
    const webPlace = this.#web.take(remote.hostname);
    if (typeof webPlace === "string") {
      const whose = webPlace === "source" ? " from this address" : "";
      this.#log.warn(`HTTPS from {remote} refused: too many connections${whose}`, {
        remote: formatAddress(remote),
      });
      connection.close();
      return true;
    }
    const visit: Visit = {
      // From here on it is no longer one of those that may become a client.
      onRequest: () => place.release(),
      onRefused: () => {
        // Each counts: one connection may carry several guesses.
        this.#admission.punish(remote.hostname, "refused");
        this.#options.metrics.authentications.add(1, { method: "https", outcome: "refused" });
      },
    };
    try {
      return await https.serve(connection, remote, visit);
    } finally {
      webPlace.release();
    }
  }
}

/**
 * What a connection that came to nothing costs its address; nothing where the fault was not its own.
 * @param refused whether it showed a credential that was not accepted: clients then leave by themselves
 */
function penaltyFor(error: unknown, refused: boolean): Penalty | undefined {
  if (!(error instanceof SshError)) return "broken";
  switch (error.code) {
    case "auth":
      return "refused";
    case "timeout":
      return "late";
    case "closed":
      return undefined;
    case "connection-lost":
    case "disconnected":
      return refused ? "refused" : "left";
    default:
      return "broken";
  }
}
