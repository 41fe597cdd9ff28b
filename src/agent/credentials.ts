/** What an agent shows at its gateways: keys, tokens, a join token, and the certificates they got. */
import { encodeText } from "../bytes/bytes.ts";
import { parseCertificate } from "../cert/certificate.ts";
import { formatPublicKey } from "../keys/public_key.ts";
import type { Signer } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { StateFolder } from "../platform/state.ts";
import type { Credential } from "../ssh/auth/client/types.ts";
import type { ClientConnection } from "../ssh/client.ts";
import { findEnrolment, keepEnrolment } from "./enrolments.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";
import { askGateway, GatewayRefusal } from "./gateway_command.ts";
import type { GatewayTrust } from "./gateway_trust.ts";
import { type IdentitySources, loadIdentities, ownIdentity } from "./identity.ts";
import type { JoinToken } from "./join_token.ts";
import { findLoginCertificate } from "./login_certificate.ts";
import { tokenCredentials } from "./token_login.ts";
import { audienceFor, expiryOf, type TokenSource } from "./token_source.ts";

/** What goes to one gateway on one dial. */
export interface DialCredentials {
  /** Tried in this order. */
  readonly credentials: readonly Credential[];
  /** A secret is among them that whoever reads it could use. */
  readonly secret: boolean;
  /** For the sentence when nothing of it is accepted: `the key SHA256:…: is it …?` */
  refusal(): string | Promise<string>;
  /**
   * From when on the gateway opens nothing new for who logged in by `method`, in milliseconds since 1970; undefined:
   * never.
   */
  expiresAt(method: string): number | undefined;
  /** Whether who logged in by `method` did so with what stands in for a token: it gets no certificates. */
  standsIn?(method: string): boolean;
  /** To be called once when the login was not by key; the connection is good for nothing else. */
  readonly enrol?: (connection: ClientConnection, signal: AbortSignal) => Promise<void>;
}

export interface CredentialOptions {
  readonly identities: IdentitySources;
  readonly trust: GatewayTrust;
  readonly state: StateFolder;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly token?: TokenSource;
  /** Default: the gateway's own. */
  readonly audience?: string;
  readonly join?: JoinToken;
}

/** Read anew for each dial: files are rotated, certificates renewed. */
export class AgentCredentials {
  readonly #options: CredentialOptions;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** The key that tokens get certificates for; undefined for who logs in by key, and needs none. */
  async certifiedKey(): Promise<Signer | undefined> {
    return this.#options.token && await this.#key();
  }

  /**
   * Whether there can be credentials for the gateway, without asking anybody for a token.
   * @throws {AgentError | StateError}
   */
  async check(gateway: GatewayAddress): Promise<void> {
    const { token, join, state, trust } = this.#options;
    await this.#key();
    if (token) return await trust.requireAnchor(gateway, `the token of ${token.label}`);
    if (await findEnrolment(state, gateway)) return;
    if (join) return await trust.requireAnchor(gateway, "the join token");
    throw new AgentError(
      "files",
      `the file that --join names has gone, and this agent is not enrolled at ${formatGateway(gateway)}`,
    );
  }

  /** Whether a token can be had for the gateway now. */
  async hasToken(gateway: GatewayAddress, signal: AbortSignal): Promise<boolean> {
    const { token, audience, clock } = this.#options;
    try {
      const text = await token?.read(audience ?? audienceFor(gateway), signal);
      return text !== undefined && (expiryOf(text) ?? Infinity) > clock.now();
    } catch {
      return false;
    }
  }

  /** @throws {AgentError} where waiting would not help; any other error when it may */
  async forDial(gateway: GatewayAddress, signal: AbortSignal): Promise<DialCredentials> {
    const { token, join, state, identities } = this.#options;
    if (token) return await this.#byToken(token, gateway, signal);
    const enrolment = await findEnrolment(state, gateway);
    if (join && enrolment?.token !== join.id) return await this.#byJoin(join, gateway);
    if (!enrolment) return byKeys(await loadIdentities(identities));
    // The key that was enrolled, whatever else lies in ~/.ssh.
    return {
      ...byKeys([await this.#key()]),
      refusal: () =>
        `the key ${enrolment.key} any more, which was enrolled there by the join token ${enrolment.token}: ` +
        "was that taken back, or the key revoked? A new token (--join) enrols it again",
    };
  }

  async #key(): Promise<Signer> {
    const { identities } = this.#options;
    return identities.path === undefined
      ? await ownIdentity(identities)
      : (await loadIdentities(identities))[0];
  }

  /**
   * The token as long as there is one, so that the gateway sees the same identity each time; its certificate while there
   * is none.
   */
  async #byToken(
    source: TokenSource,
    gateway: GatewayAddress,
    signal: AbortSignal,
  ): Promise<DialCredentials> {
    const { trust, state, clock, log, audience, identities } = this.#options;
    await trust.requireAnchor(gateway, `the token of ${source.label}`);
    const key = await this.#key();
    const certified = await findLoginCertificate(state, key, gateway, clock.now());
    const token = await source.read(audience ?? audienceFor(gateway), signal).catch((error) => {
      if (!certified || signal.aborted) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      log({ event: "warning", message: `${reason}; the certificate that the last token got is used` });
      return undefined;
    });
    const expiresAt = token === undefined ? undefined : expiryOf(token);
    const byToken = token === undefined ? [] : tokenCredentials(token);
    const byKey: Credential[] = certified
      ? [{ method: "publickey", signers: [certified.signer], ask: true }]
      : [];
    // Who names a key wants it to be used; one that was made here is known by its certificate alone.
    const named: Credential[] = identities.path === undefined ? [] : [
      { method: "publickey", signers: [key], ask: true },
    ];
    const late = expiresAt !== undefined && expiresAt <= clock.now();
    return {
      credentials: [...named, ...late ? [...byKey, ...byToken] : [...byToken, ...byKey]],
      secret: token !== undefined,
      refusal: () => {
        const when = late ? `, which expired at ${new Date(expiresAt).toISOString()}` : "";
        return `the token of ${source.label}${when}: is its issuer trusted there, and is it for the audience ` +
          `${audience ?? audienceFor(gateway)}?`;
      },
      standsIn: (method) => method === "publickey" && identities.path === undefined,
      // What an opaque token says of itself cannot be known: it may have expired.
      expiresAt: (method) =>
        method === "publickey"
          ? certified && Number(certified.certificate.validBefore) * 1000
          : expiresAt ?? clock.now(),
    };
  }

  /** The key first: where a token was used and the agent died before it could note that, the key is what counts. */
  async #byJoin(join: JoinToken, gateway: GatewayAddress): Promise<DialCredentials> {
    await this.#options.trust.requireAnchor(gateway, "the join token");
    const key = await this.#key();
    const fingerprint = await key.publicKey.fingerprint();
    return {
      // Asked first: a key that is not known yet uses up no try.
      credentials: [{ method: "publickey", signers: [key], ask: true }, ...tokenCredentials(join.text)],
      secret: true,
      refusal: () =>
        `the join token ${join.id}, nor the key ${fingerprint}: a join token works once, expires, and can be taken back`,
      expiresAt: () => undefined,
      enrol: (connection, signal) => this.#enrol(connection, join, key, gateway, signal),
    };
  }

  async #enrol(
    connection: ClientConnection,
    join: JoinToken,
    key: Signer,
    gateway: GatewayAddress,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, state, log } = this.#options;
    const where = formatGateway(gateway);
    const input = encodeText(`${formatPublicKey(key.publicKey, join.name)}\n`);
    try {
      await askGateway(connection, "join", { clock, signal, input });
    } catch (cause) {
      if (!(cause instanceof GatewayRefusal)) throw cause;
      throw new AgentError(
        "credential",
        `${where} does not enrol this agent as ${join.name}: ${cause.message}`,
        {
          cause,
        },
      );
    }
    const fingerprint = await key.publicKey.fingerprint();
    await keepEnrolment(state, gateway, { token: join.id, key: fingerprint });
    log({ event: "enrolled", gateway: where, name: join.name, fingerprint });
  }
}

/** Keys alone, each with its certificate. */
export function byKeys(signers: readonly Signer[]): DialCredentials {
  const ends = signers.flatMap(({ certificate }) =>
    certificate ? [Number(parseCertificate(certificate).validBefore) * 1000] : []
  );
  return {
    credentials: [{ method: "publickey", signers }],
    secret: false,
    refusal: async () => {
      const keys = (await Promise.all(signers.map(({ publicKey }) => publicKey.fingerprint()))).join(", ");
      return `the key ${keys}: is it in its authorized_keys?`;
    },
    expiresAt: () => ends.length > 0 ? Math.min(...ends) : undefined,
  };
}
