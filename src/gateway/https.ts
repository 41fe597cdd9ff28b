/** HTTPS on the gateway's port: the API, for whoever comes with a token or a client certificate. */
import { joiningOf } from "../api/enrolled_clients.ts";
import { apiHandler } from "../api/mod.ts";
import type { ApiOptions } from "../api/options.ts";
import type { Clock } from "../platform/clock.ts";
import { formatAddress, type TcpAddress } from "../platform/net.ts";
import type { TlsIdentity, Web, WebServer } from "../platform/web.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { logger } from "../telemetry/log.ts";
import { Guesses } from "./guesses.ts";
import { heldNames } from "./held_names.ts";
import { authorityLines } from "./known_hosts.ts";
import type { GatewayParts } from "./parts.ts";
import type { Trust } from "./trust.ts";

/** What the web needs beside the gateway's own parts. */
export interface HttpsOptions {
  readonly web: Web;
  /** Asked for each connection. Undefined: there is none yet, and connections are closed. */
  readonly tls: () => TlsIdentity | undefined;
  /** Roots of client certificates other than the authority's own, PEM. */
  readonly clientRoots: () => readonly string[];
  readonly clientIdentity: ApiOptions["clientIdentity"];
  /** The authority is another machine's. */
  readonly passesOn: boolean;
}

/** What it takes from the gateway. */
export interface HttpsSurroundings {
  readonly parts: GatewayParts;
  readonly trust: () => Trust;
  /** Milliseconds from the connection to its first request. */
  readonly loginGrace: number;
  /** As known_hosts writes the gateway: `[gw.example.com]:15022`. */
  readonly hostNames: () => readonly string[];
}

/** What is told of a connection while it lasts. */
export interface Visit {
  /** Its first request has come. */
  readonly onRequest: () => void;
  /** A credential was not accepted. */
  readonly onRefused: () => void;
}

/** One connection, as its requests find it. */
interface Caller {
  readonly onRequest: () => void;
  readonly guesses: Guesses;
}

export class HttpsDoor {
  readonly #server: WebServer<Caller>;
  readonly #clock: Clock;
  readonly #options: HttpsOptions;
  readonly #loginGrace: number;

  /** Undefined where there is no authority: then there is no API. */
  static open(options: HttpsOptions, surroundings: HttpsSurroundings): HttpsDoor | undefined {
    const { parts: { authority, revocations } } = surroundings;
    if (!authority || !revocations) return undefined;
    return new HttpsDoor(
      options,
      surroundings,
      apiOptions(options, surroundings, { authority, revocations }),
    );
  }

  private constructor(
    options: HttpsOptions,
    { parts, trust, loginGrace }: HttpsSurroundings,
    api: ApiOptions,
  ) {
    const log = logger("gateway");
    const answer = apiHandler(api);
    this.#options = options;
    this.#clock = parts.clock;
    this.#loginGrace = loginGrace;
    this.#server = options.web.createServer<Caller>({
      tls: () => options.tls()!,
      clientRoots: () => [...trust().authority?.x509 ?? [], ...options.clientRoots()],
      handler: (exchange, { onRequest, guesses }) => {
        onRequest();
        return guesses.answer(() => answer(exchange));
      },
      onFailure: ({ stage, remote, error }) => {
        log.info("HTTPS from {remote} failed at the {stage}: {reason}", {
          remote: formatAddress(remote),
          stage,
          reason: error.message,
        });
      },
    });
  }

  /**
   * Serves one connection to its end; one that sends no request in time is closed. Never rejects.
   * @returns whether it sent any request
   */
  async serve(connection: PlainDuplex, remote: TcpAddress, visit: Visit): Promise<boolean> {
    if (!this.#options.tls()) {
      connection.close();
      return true;
    }
    let heard = false;
    const cancel = this.#clock.after(this.#loginGrace, () => connection.close());
    const onRequest = () => {
      cancel();
      if (!heard) visit.onRequest();
      heard = true;
    };
    try {
      await this.#server.serve(connection, remote, { onRequest, guesses: new Guesses(visit.onRefused) });
    } finally {
      cancel();
    }
    return heard;
  }

  /** Lets requests that have begun finish, for at most `grace` milliseconds. */
  close(grace: number): Promise<void> {
    return this.#server.close(grace);
  }
}

function apiOptions(
  { clientIdentity, passesOn }: HttpsOptions,
  { parts, trust, hostNames }: HttpsSurroundings,
  { authority, revocations }: Required<Pick<GatewayParts, "authority" | "revocations">>,
): ApiOptions {
  const { clock, judge, audit, enrolment, rotate, naming: { domain } } = parts;
  const log = logger("gateway");
  return {
    clock,
    domain,
    // People who have no name for the gateway yet come by its address.
    isOwnHost: (name) => name === domain || isAddress(name) || name === "localhost",
    authority,
    passesOn,
    revocations,
    ...(rotate && { rotate }),
    async knownHosts() {
      const { host } = await authority.authorities();
      const trustDomains = trust().authority?.trustDomains ?? [];
      return await authorityLines(host, { domain, gateway: hostNames(), trustDomains, nodes: [] });
    },
    get tokens() {
      return trust().tokens?.verifier;
    },
    clientIdentity,
    judge: (identity, action, resource, context) => judge.decide(identity, action, resource, context),
    groupsOf: (identity) => judge.groupsOf(identity),
    namesOf: (identity) => heldNames(identity, parts),
    joinTokens: enrolment?.tokens,
    joining: enrolment && joiningOf(enrolment, authority),
    audit,
    onFailure: (error) => log.error("a mistake of the API's: {error}", { error }),
  };
}

function isAddress(name: string): boolean {
  return /^\[.*\]$|^\d+(?:\.\d+){3}$/.test(name);
}
