/** The gateway under its own authority: whose certificates count here, and the certificates that it shows itself. */
import type { CertificateAuthority } from "../ca/types.ts";
import type { PrivateKey } from "../keys/private_key.ts";
import type { Signer } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { TlsIdentity } from "../platform/web.ts";
import type { Gateway } from "./gateway.ts";
import { HostCertificates } from "./host_certificates.ts";
import { AuthorityFollower } from "./own_authority.ts";
import { TlsCertificate } from "./tls_identity.ts";

export interface OwnCertificatesOptions {
  readonly authority: CertificateAuthority;
  readonly hostKeys: readonly PrivateKey[];
  /** Normalised. */
  readonly domain: string;
  /** Whose workloads it certifies: the gateway's, and those of the issuers. Normalised. */
  readonly trustDomains: readonly string[];
  /** Shown to web clients in place of a certificate of the authority's. */
  readonly tls?: () => TlsIdentity;
  readonly clock: Clock;
}

export class OwnCertificates {
  readonly #options: OwnCertificatesOptions;
  readonly #host: HostCertificates;
  readonly #tls?: TlsCertificate;
  #follower?: AuthorityFollower;

  /** Plain keys and no TLS until {@link start}. */
  constructor(options: OwnCertificatesOptions) {
    const { authority, hostKeys: keys, domain, clock, tls } = options;
    this.#options = options;
    this.#host = new HostCertificates({ keys, authority, domain, clock });
    this.#tls = tls ? undefined : new TlsCertificate({ authority, domain, clock });
  }

  /** For a key exchange that begins now. */
  get signers(): readonly Signer[] {
    return this.#host.signers;
  }

  /** For a TLS handshake that begins now; undefined while there is nothing to show. */
  get tls(): TlsIdentity | undefined {
    return this.#tls ? this.#tls.identity : this.#options.tls!();
  }

  /**
   * Gets certificates, and lets `gateway` know whose certificates count; from now on whenever something changes. An
   * authority that is away is asked again later.
   */
  async start(gateway: Pick<Gateway, "apply">): Promise<void> {
    const { authority, clock, domain, trustDomains } = this.#options;
    this.#follower = new AuthorityFollower({
      authority,
      clock,
      domain,
      trustDomains: () => trustDomains,
      onChange: async (own) => {
        await gateway.apply({ trust: { authority: own } });
        await this.#host.check(own);
        await this.#tls?.check(own);
      },
    });
    await this.#follower.refresh();
    await Promise.all([this.#host.renew(), this.#tls?.renew()]);
  }

  stop(): void {
    this.#follower?.stop();
    this.#host.stop();
    this.#tls?.stop();
  }
}
