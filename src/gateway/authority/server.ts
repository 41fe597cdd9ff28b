/** An authority that stands alone: certificates over HTTPS for gateways, people and workloads, and no SSH. */
import { apiHandler, type ApiOptions, joiningOf } from "../../api/mod.ts";
import { certificateFingerprint } from "../../ca/client_key.ts";
import { authorize, type Policy, policyGroupsOf } from "../../identity/policy/mod.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Net, NetConnection, NetListener, TcpAddress } from "../../platform/net.ts";
import type { Web, WebServer } from "../../platform/web.ts";
import { untilAborted } from "../../streams/until_aborted.ts";
import type { Audit } from "../../telemetry/audit.ts";
import { logger } from "../../telemetry/log.ts";
import { Admission, type AdmissionLimits } from "../admission.ts";
import { Guesses } from "../guesses.ts";
import type { IdentityServices } from "../identity_services.ts";
import { makeKeyring } from "../keyring_files.ts";
import { authorityLines } from "../known_hosts.ts";
import { AuthorityFollower } from "../own_authority.ts";
import { TlsCertificate } from "../tls_identity.ts";
import type { OwnAuthority, Trust, TrustedTokens } from "../trust.ts";
import { clientIdentityOf, type X509Roots } from "../x509_clients.ts";
import type { AuthorityServerConfig } from "./config.ts";

/**
 * Connections at once: gateways keep two or three each, and a client that never ends one has no more than one address may
 * have.
 */
const LIMITS: AdmissionLimits = {
  maxClients: 1,
  maxStartups: 1024,
  maxStartupsPerSource: 256,
  penaltyExempt: [],
};

export interface AuthorityServerParts {
  readonly config: Pick<AuthorityServerConfig, "domain" | "trustDomain">;
  readonly services: Pick<IdentityServices, "authority" | "enrolment" | "revocations" | "rotate">;
  readonly policy: Policy;
  /** Undefined: no issuer is trusted. */
  readonly tokens?: TrustedTokens;
  /** Of clients that others certified. */
  readonly roots: X509Roots;
  readonly clock: Clock;
  readonly net: Net;
  readonly web: Web;
  readonly audit: Audit;
}

export class AuthorityServer {
  readonly #parts: AuthorityServerParts;
  readonly #certificate: TlsCertificate;
  readonly #follower: AuthorityFollower;
  readonly #web: WebServer<Guesses>;
  readonly #listeners: NetListener[] = [];
  /** All connections are among its startups: who is a client shows with each request anew. */
  readonly #admission: Admission;
  #policy: Policy;
  #roots: X509Roots;
  /** As it was last heard of. */
  #own?: OwnAuthority;

  /** Reads the authority, and gets a certificate of it. */
  static async create(parts: AuthorityServerParts): Promise<AuthorityServer> {
    const server = new AuthorityServer(parts);
    await server.#follower.refresh();
    await server.#certificate.renew();
    return server;
  }

  private constructor(parts: AuthorityServerParts) {
    const { config: { domain }, services: { authority }, clock } = parts;
    const log = logger("ca");
    this.#parts = parts;
    this.#admission = new Admission(LIMITS, clock);
    this.#policy = parts.policy;
    this.#roots = parts.roots;
    this.#certificate = new TlsCertificate({ authority, domain, clock });
    this.#follower = new AuthorityFollower({
      authority,
      clock,
      domain,
      trustDomains: () => this.#trustDomains,
      onChange: async (own) => {
        this.#own = own;
        await this.#certificate.check(own);
      },
    });
    const answer = apiHandler(this.#api());
    this.#web = parts.web.createServer<Guesses>({
      tls: () => {
        const { identity } = this.#certificate;
        if (!identity) throw new Error("there is no valid certificate for HTTPS");
        return identity;
      },
      clientRoots: () => [...this.#own?.x509 ?? [], ...this.#roots.pem],
      handler: (exchange, guesses) => guesses.answer(() => answer(exchange)),
      onFailure: ({ stage, remote, error }) => {
        log.info("HTTPS from {remote} failed at the {stage}: {reason}", {
          remote: remote.hostname,
          stage,
          reason: error.message,
        });
      },
    });
  }

  get addresses(): readonly TcpAddress[] {
    return this.#listeners.map(({ address }) => address as TcpAddress);
  }

  /** `SHA256:…` of the root that signs now. */
  async rootFingerprint(): Promise<string> {
    const { x509: [root] } = await this.#parts.services.authority.authorities();
    return await certificateFingerprint(root);
  }

  /** @throws {NetError} */
  async listen(address: TcpAddress): Promise<void> {
    const listener = await this.#parts.net.listen(address);
    this.#listeners.push(listener);
    void this.#accept(listener);
  }

  replacePolicy(policy: Policy): void {
    this.#policy = policy;
  }

  /** @param roots of clients that others certified */
  replaceRoots(roots: X509Roots): void {
    this.#roots = roots;
  }

  /**
   * Takes no more connections, and lets requests that have begun finish for at most `grace` milliseconds.
   * @param signal ends the waiting at once, for a process that ends then
   */
  async close(grace: number, signal?: AbortSignal): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#follower.stop();
    this.#certificate.stop();
    await untilAborted(this.#web.close(grace), signal).catch((error) => {
      if (error !== signal?.reason) throw error;
    });
  }

  async #accept(listener: NetListener): Promise<void> {
    for await (const connection of listener) void this.#serve(connection);
  }

  async #serve(connection: NetConnection): Promise<void> {
    const remote = connection.remote as TcpAddress;
    const place = this.#admission.admit(remote.hostname, 0);
    if (typeof place === "string") return connection.close();
    try {
      const guesses = new Guesses(() => this.#admission.punish(remote.hostname, "refused"));
      await this.#web.serve(connection, remote, guesses);
    } finally {
      place.release();
    }
  }

  /** Whose workloads are certified here: the authority's own, and those of the issuers. */
  get #trustDomains(): readonly string[] {
    const { config: { trustDomain }, tokens } = this.#parts;
    return [...new Set([trustDomain, ...tokens?.verifier.trustDomains ?? []])];
  }

  #api(): ApiOptions {
    const { config: { domain, trustDomain }, services, clock, tokens, audit } = this.#parts;
    const { authority, enrolment, revocations, rotate } = services;
    const log = logger("ca");
    const keyring = makeKeyring([], trustDomain);
    const trust = (): Trust => ({ keyring, tokens, authority: this.#own, enrolment });
    return {
      clock,
      domain,
      isOwnHost: (name) => name === domain || (domain === "localhost" && LOOPBACK.has(name)),
      authority,
      passesOn: false,
      revocations,
      rotate,
      knownHosts: async () => {
        const { host } = await authority.authorities();
        return await authorityLines(host, {
          domain,
          gateway: [],
          trustDomains: this.#trustDomains,
          nodes: [],
        });
      },
      tokens: tokens?.verifier,
      clientIdentity: clientIdentityOf(trust, () => this.#roots, clock),
      judge: (...question) => authorize(this.#policy, ...question),
      groupsOf: (identity) => policyGroupsOf(this.#policy, identity),
      // Nobody registers a name here: names are vouched for by gateways.
      namesOf: () => Promise.resolve([]),
      joinTokens: enrolment.tokens,
      joining: joiningOf(enrolment, authority),
      audit,
      onFailure: (error) => log.error("a mistake of the API's: {error}", { error }),
    };
  }
}

/** Where an authority without a name is reached too. */
const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "[::1]"]);
