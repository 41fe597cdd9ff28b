/** The gateway's host keys with their certificates, renewed in time. */
import { parseCertificate, withCertificate } from "../cert/certificate.ts";
import type { Certificate } from "../cert/types.ts";
import { equal } from "../bytes/bytes.ts";
import type { CertificateAuthority } from "../ca/types.ts";
import { anonymous, type Identity } from "../identity/principal.ts";
import type { PrivateKey } from "../keys/private_key.ts";
import type { Signer } from "../keys/types.ts";
import { atTime, type Clock } from "../platform/clock.ts";
import { logger } from "../telemetry/log.ts";
import type { OwnAuthority } from "./trust.ts";

/** A certificate is renewed when so much of its life has passed: a third is left for an authority that is away. */
const RENEWAL = 2 / 3;
/** Waits before a renewal that failed is tried again, in milliseconds: doubled from first to last. */
const FIRST_RETRY = 1000;
const LAST_RETRY = 60_000;

/** What the gateway is to its authority. */
export function gatewayIdentity(domain: string, fingerprint: string): Identity {
  return {
    ...anonymous,
    kind: "key",
    issuer: "gateway",
    subject: fingerprint,
    name: domain,
    fqdn: domain,
    credential: { fingerprint },
  };
}

export interface HostCertificatesOptions {
  readonly keys: readonly PrivateKey[];
  readonly authority: CertificateAuthority;
  /** The one name of the gateway. */
  readonly domain: string;
  readonly clock: Clock;
}

interface Certified {
  readonly signer: Signer;
  readonly certificate: Certificate;
}

export class HostCertificates {
  readonly #options: HostCertificatesOptions;
  readonly #log = logger("gateway");
  readonly #certified = new Map<PrivateKey, Certified>();
  #renewing?: Promise<void>;
  #retry = FIRST_RETRY;
  #stopped = false;
  #cancel = () => {};

  /** Plain keys alone until {@link renew}. */
  constructor(options: HostCertificatesOptions) {
    this.#options = options;
  }

  /**
   * For a key exchange that begins now. A signer with a certificate serves clients that know no authority too; a
   * certificate that has run out is not shown.
   */
  get signers(): readonly Signer[] {
    const now = this.#options.clock.now();
    return this.#options.keys.map((key) => {
      const certified = this.#certified.get(key);
      return certified && now < expiry(certified.certificate) ? certified.signer : key;
    });
  }

  /** Gets new certificates now. Never rejects: what fails is tried again later. */
  renew(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return this.#renewing ??= this.#renew().finally(() => this.#renewing = undefined);
  }

  /** The authority has changed: certificates that no longer count are replaced. */
  async check({ host, list }: OwnAuthority): Promise<void> {
    for (const { certificate } of this.#certified.values()) {
      const trusted = host.some(({ blob }) => equal(blob, certificate.signatureKey.blob));
      if (!trusted || await list.isRevoked(certificate)) return await this.renew();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #renew(): Promise<void> {
    const { clock } = this.#options;
    this.#cancel();
    let next: number;
    try {
      for (const key of this.#options.keys) await this.#certify(key);
      this.#retry = FIRST_RETRY;
      const due = [...this.#certified.values()].map(({ certificate }) => {
        const begin = Math.max(Number(certificate.validAfter) * 1000, clock.now());
        return begin + RENEWAL * (expiry(certificate) - begin);
      });
      next = Math.min(...due) - clock.now();
    } catch (error) {
      this.#log.error("no host certificate: {reason}", {
        reason: error instanceof Error ? error.message : String(error),
      });
      next = this.#retry;
      this.#retry = Math.min(2 * this.#retry, LAST_RETRY);
    }
    if (this.#stopped) return;
    this.#cancel = atTime(clock, clock.now() + Math.max(next, FIRST_RETRY), () => void this.renew());
  }

  async #certify(key: PrivateKey): Promise<void> {
    const { authority, domain } = this.#options;
    const { publicKey } = key;
    const { certificate } = await authority.issueHost({
      identity: gatewayIdentity(domain, await publicKey.fingerprint()),
      publicKey,
      names: [domain],
      gateway: true,
      remote: "self",
    });
    // Read anew: it is what clients will see.
    const signer = withCertificate(key, certificate.blob);
    this.#certified.set(key, { signer, certificate: parseCertificate(certificate.blob) });
  }
}

/** Milliseconds since 1970. */
function expiry({ validBefore }: Certificate): number {
  return Number(validBefore) * 1000;
}
