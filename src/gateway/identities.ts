/** Everything by which the running gateway knows and proves identities, put together from the configuration. */
import { readSshRoots, readX509Roots } from "../ca/root_files.ts";
import { CaError, type CertificateAuthority } from "../ca/types.ts";
import type { Enrolment } from "../ca/enrolment.ts";
import type { PrivateKey } from "../keys/private_key.ts";
import type { Signer } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import type { Https } from "../platform/https.ts";
import type { TcpAddress } from "../platform/net.ts";
import type { StateFolder } from "../platform/state.ts";
import type { TlsIdentity, Web } from "../platform/web.ts";
import type { Store } from "../store/types.ts";
import type { Audit } from "../telemetry/audit.ts";
import { logger } from "../telemetry/log.ts";
import { type GatewayConfig, issuersOf } from "./config.ts";
import { StartError } from "./exit_codes.ts";
import type { Gateway } from "./gateway.ts";
import type { HttpsOptions } from "./https.ts";
import { type IdentityServices, openIdentityServices } from "./identity_services.ts";
import type { Keyring } from "./keyring.ts";
import { OwnCertificates } from "./own_certificates.ts";
import type { FollowedFiles } from "./following.ts";
import { Remembered } from "./remembered.ts";
import { Repeated } from "./repeated.ts";
import { readTlsIdentity } from "./tls_identity.ts";
import { trustedTokens } from "./trusted_tokens.ts";
import type { EnrolledKeys, Trust } from "./trust.ts";
import { describeAll, type Seen } from "./watch.ts";
import { clientIdentityOf, readX509Files, type X509Roots } from "./x509_clients.ts";

type IdentityConfig = Pick<
  GatewayConfig,
  "ca" | "domain" | "trustDomain" | "issuers" | "userCas" | "x509Roots" | "tls" | "listen"
>;

export interface GatewayIdentitiesOptions {
  readonly config: IdentityConfig;
  readonly hostKeys: readonly PrivateKey[];
  readonly state: StateFolder;
  readonly store: Store;
  readonly files: Files;
  readonly https: Https;
  /** For the keys of issuers. */
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  readonly audit: Audit;
}

/** Whether there is an open token is asked with every connection: that one has run out may go unnoticed for so long. */
const OPEN_TOKENS_LIFETIME = 1000;
/** Between two judgements of everybody because keys were enrolled or taken back, in milliseconds. */
const ENROLMENT_PAUSE = 500;

export class GatewayIdentities {
  readonly #options: GatewayIdentitiesOptions;
  readonly #services: IdentityServices;
  readonly #own: OwnCertificates;
  readonly #enrolled: EnrolledKeys;
  readonly #openTokens: Remembered<boolean>;
  readonly #seen: { readonly x509: Seen; readonly tls: Seen };
  #x509: X509Roots;
  #tls?: TlsIdentity;
  #stopWatching = () => {};

  /** @throws {StartError} when files or records cannot be used */
  static async open(options: GatewayIdentitiesOptions): Promise<GatewayIdentities> {
    const { config, files } = options;
    const look = (paths: readonly string[]) => describeAll(files, paths);
    // Before they are read: what changes meanwhile is noticed.
    const [x509, tls] = await Promise.all([
      look(config.x509Roots.map(({ file }) => file)),
      look(config.tls ? [config.tls.certificate, config.tls.key] : []),
    ]);
    const read = {
      x509: await readX509Files(files, config.x509Roots),
      tls: config.tls && await readTlsIdentity(files, config.tls),
    };
    const services = await openIdentityServices({ ...options, trustDomains: issuerDomains(config) });
    return new GatewayIdentities(options, services, read, { x509, tls });
  }

  private constructor(
    options: GatewayIdentitiesOptions,
    services: IdentityServices,
    { x509, tls }: { readonly x509: X509Roots; readonly tls?: TlsIdentity },
    seen: { readonly x509: Seen; readonly tls: Seen },
  ) {
    const { config, hostKeys, clock } = options;
    this.#options = options;
    this.#services = services;
    this.#x509 = x509;
    this.#tls = tls;
    this.#seen = seen;
    const { enrolment } = services;
    const openTokens = new Remembered(clock, OPEN_TOKENS_LIFETIME, () => enrolment.hasOpenTokens());
    this.#openTokens = openTokens;
    this.#enrolled = {
      identityOf: (key) => enrolment.identityOf(key),
      hasOpenTokens: () => openTokens.value(),
      holderOf: (token) => enrolment.holderOf(token),
      stands: (holder) => enrolment.stands(holder),
    };
    this.#own = new OwnCertificates({
      authority: services.authority,
      hostKeys,
      domain: config.domain,
      trustDomains: [...new Set([config.trustDomain, ...issuerDomains(config)])],
      clock,
      ...(tls && { tls: () => this.#tls! }),
    });
  }

  get authority(): CertificateAuthority {
    return this.#services.authority;
  }

  get revocations(): IdentityServices["revocations"] {
    return this.#services.revocations;
  }

  get rotate(): IdentityServices["rotate"] {
    return this.#services.rotate;
  }

  get enrolment(): Enrolment {
    return this.#services.enrolment;
  }

  /** Host keys with their certificates, for a key exchange that begins now. */
  get signers(): readonly Signer[] {
    return this.#own.signers;
  }

  /** What logins are judged by. @param addresses where the gateway listens, as far as that is known */
  trust(keyring: Keyring, addresses: readonly TcpAddress[]): Trust {
    const { config } = this.#options;
    const ports = addresses.map(({ port }) => port);
    const tokens = trustedTokens(config, ports, { ...this.#options, log: logger("gateway") });
    return { keyring, tokens, enrolment: this.#enrolled };
  }

  /** For web clients. @param trust as it is now */
  https(web: Web, trust: () => Trust): HttpsOptions {
    return {
      web,
      tls: () => this.#own.tls,
      clientRoots: () => this.#x509.pem,
      clientIdentity: clientIdentityOf(trust, () => this.#x509, this.#options.clock),
      passesOn: this.#services.passesOn,
    };
  }

  /** Gets the gateway's certificates, and keeps `gateway` up to date. */
  async start(gateway: Pick<Gateway, "apply">): Promise<void> {
    await this.#own.start(gateway);
    const log = logger("gateway");
    const judge = () =>
      gateway.apply({ trust: { enrolment: this.#enrolled } }).catch((error) => {
        log.error("enrolled keys cannot be judged anew: {error}", { error });
      });
    const again = new Repeated(this.#options.clock, ENROLMENT_PAUSE, judge);
    const stop = this.enrolment.watch(() => {
      this.#openTokens.forget();
      again.ask();
    });
    this.#stopWatching = () => {
      stop();
      again.stop();
    };
  }

  /** To be called once `gateway` listens: tokens are for the ports that it really has. */
  async listening(gateway: Pick<Gateway, "addresses" | "trust" | "apply">): Promise<void> {
    if (this.#options.config.listen.some(({ port }) => port === 0)) {
      await gateway.apply({ trust: this.trust(gateway.trust.keyring, gateway.addresses) });
    }
    // A file that is not there, or an issuer that cannot be reached, is better told now than to the first who comes.
    void gateway.trust.tokens?.verifier.getKeys();
  }

  /** Files that were read, for whoever follows them. */
  get followed(): FollowedFiles[] {
    const { config, files } = this.#options;
    const { rootFiles } = this.#services;
    return [
      {
        what: "roots of client certificates",
        seen: this.#seen.x509,
        reload: async () => void (this.#x509 = await readX509Files(files, config.x509Roots)),
      },
      {
        what: "certificate and key for HTTPS",
        seen: this.#seen.tls,
        reload: async () => void (this.#tls = await readTlsIdentity(files, config.tls!)),
      },
      ...rootFiles
        ? [{
          what: "roots of the certificate authority",
          seen: rootFiles.seen,
          reload: () => asStartError(rootFiles.reload()),
        }]
        : [],
    ];
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    this.#own.stop();
    this.#services.close();
  }
}

/** Looks at every file that identities would be made from, and makes none. @throws {StartError} */
export async function checkIdentityFiles(files: Files, config: IdentityConfig): Promise<void> {
  const paths = (wanted: string) => config.ca.keys.flatMap(({ kind, path }) => kind === wanted ? [path] : []);
  for (const kind of ["user", "host"] as const) {
    if (paths(kind).length > 0) await asStartError(readSshRoots(files, kind, paths(kind)));
  }
  if (paths("x509").length > 0) await asStartError(readX509Roots(files, paths("x509")));
  await readX509Files(files, config.x509Roots);
  if (config.tls) await readTlsIdentity(files, config.tls);
}

function issuerDomains(config: IdentityConfig): string[] {
  const ports = config.listen.map(({ port }) => port);
  return issuersOf(config, ports).flatMap(({ trustDomain }) => trustDomain ?? []);
}

async function asStartError<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof CaError)) throw error;
    throw new StartError("files", error.message, { cause: error.cause ?? error });
  }
}
