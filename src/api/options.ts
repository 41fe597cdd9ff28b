/** What the API is joined to: gateway and CA bring these, the API decides nothing by itself. */
import type { Bytes } from "../bytes/bytes.ts";
import type { Enrolment } from "../ca/enrolment.ts";
import type { LocalAuthority } from "../ca/local.ts";
import type { CertificateAuthority, IssuedX509Certificate, RevocationRecord } from "../ca/types.ts";
import type { Action, Decision, DecisionContext, Resource } from "../identity/policy/mod.ts";
import type { Identity } from "../identity/principal.ts";
import type { TokenVerifier } from "../identity/token/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { Audit } from "../telemetry/audit.ts";

export { type JoinActor, JoinError, type JoinErrorCode, type JoinToken } from "../ca/enrolment.ts";

export interface ApiOptions {
  readonly clock: Pick<Clock, "now">;
  /** Names by which requests may call this server. @param name as in a URL: lower-case, without port and trailing dot */
  readonly isOwnHost: (name: string) => boolean;
  /** Normalised: nodes are `*.domain`. */
  readonly domain: string;

  readonly authority: CertificateAuthority;
  /**
   * The authority is another machine's: nobody is vouched for through this one, or two that are set up to ask each other
   * would never end.
   */
  readonly passesOn: boolean;
  /** What is revoked, as it was asked. */
  readonly revocations: () => Promise<readonly RevocationRecord[]>;
  /** Lines for a known_hosts file: the authorities of hosts, with the names that they vouch for. */
  readonly knownHosts: () => Promise<readonly string[]>;

  /** Whose a bearer token is. Absent: no issuer is trusted. */
  readonly tokens?: TokenVerifier;
  /**
   * Whose a client certificate is, DER, the leaf first; TLS has proved the key.
   * @throws {X509Error} when it does not count @throws {IdentityError} when it names nobody we can accept
   */
  readonly clientIdentity: (certificates: readonly Bytes[]) => Identity | Promise<Identity>;
  readonly judge: (
    identity: Identity,
    action: Action,
    resource: Resource,
    context: DecisionContext,
  ) => Decision;
  /** Groups of the policy that an identity is in: they become principals of its certificates. */
  readonly groupsOf: (identity: Identity) => readonly string[];
  /** Full names under the leases of an identity. */
  readonly namesOf: (identity: Identity) => Promise<readonly string[]>;

  /** Makes a new root. Absent: the roots are not this authority's own to change. @throws {CaError} */
  readonly rotate?: LocalAuthority["rotate"];

  /** Absent: there are no such tokens, and no such resources. */
  readonly joinTokens?: JoinTokens;
  /** Absent: nobody joins over HTTP. */
  readonly joining?: Joining;

  /** One record for each credential that is accepted or refused, and each refusal. */
  readonly audit: Pick<Audit, "record">;
  /** A mistake of ours, for the log. */
  readonly onFailure: (error: unknown) => void;
}

/** One-time tokens for machines that have no identity at all. */
export type JoinTokens = Enrolment["tokens"];

/** Takes join tokens for certificates. */
export interface Joining {
  /** Whether a bearer token is one of these, and not a JWT. */
  isJoinToken(token: string): boolean;
  /**
   * Uses up the token, enrols the key of the certificate request and certifies it.
   * @param csr PKCS #10 in DER
   * @returns whom it enrolled @throws {JoinError | CaError}
   */
  join(
    token: string,
    csr: Bytes,
    remote: string,
  ): Promise<{ readonly identity: Identity; readonly issued: IssuedX509Certificate }>;
  /**
   * Whom a client certificate is renewed for by itself: its key is enrolled, and the request has the same key. Undefined:
   * for nobody; certificates get no certificates of their kind otherwise.
   */
  renewalOf(identity: Identity, csr: Bytes): Promise<Identity | undefined>;
}
