/** What the gateway proves itself with to web clients: a certificate of its own authority, or one from files. */
import { makeClientKey } from "../ca/client_key.ts";
import type { CertificateAuthority } from "../ca/types.ts";
import { atTime, type Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import type { TlsIdentity } from "../platform/web.ts";
import { logger } from "../telemetry/log.ts";
import { readCertificates } from "../x509/certificate.ts";
import type { GatewayConfig } from "./config.ts";
import { StartError } from "./exit_codes.ts";
import { gatewayIdentity } from "./host_certificates.ts";
import { readText } from "./text_file.ts";
import type { OwnAuthority } from "./trust.ts";

/** As with host certificates: two thirds of a life, and the waits after a failure in milliseconds. */
const RENEWAL = 2 / 3;
const FIRST_RETRY = 1000;
const LAST_RETRY = 60_000;
/** Permission bits that let others read a private key. */
const OTHERS = 0o077;

/**
 * Reads `--tls-certificate` and `--tls-key`.
 * @throws {StartError} `files`
 */
export async function readTlsIdentity(
  files: Files,
  { certificate: path, key: keyPath }: NonNullable<GatewayConfig["tls"]>,
): Promise<TlsIdentity> {
  try {
    const certificate = await readText(files, path);
    readCertificates(certificate);
    const { mode } = await files.stat(keyPath);
    if ((mode & OTHERS) !== 0) throw new Error(`others can read ${keyPath}; chmod 0600 ${keyPath}`);
    const privateKey = await readText(files, keyPath);
    if (!/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(privateKey)) {
      throw new Error(`${keyPath} is no private key`);
    }
    return { certificate, privateKey };
  } catch (cause) {
    throw new StartError("files", `the TLS certificate ${path} cannot be used: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** A gateway without a name is reached by the addresses of its machine. */
function tlsNames(domain: string): string[] {
  return domain === "localhost" ? [domain, "127.0.0.1", "::1"] : [domain];
}

export interface TlsCertificateOptions {
  readonly authority: CertificateAuthority;
  /** The name that it serves. */
  readonly domain: string;
  readonly clock: Clock;
}

/** A certificate of the gateway's own authority, renewed in time. Its key lives as long. */
export class TlsCertificate {
  readonly #options: TlsCertificateOptions;
  readonly #log = logger("gateway");
  #current?: TlsIdentity & { readonly expiresAt: number; readonly root: string };
  #renewing?: Promise<void>;
  #retry = FIRST_RETRY;
  #stopped = false;
  #cancel = () => {};

  /** None until {@link renew}. */
  constructor(options: TlsCertificateOptions) {
    this.#options = options;
  }

  /** Undefined while there is none that counts. */
  get identity(): TlsIdentity | undefined {
    const current = this.#current;
    return current && this.#options.clock.now() < current.expiresAt ? current : undefined;
  }

  /** Gets a new one now. Never rejects: what fails is tried again later. */
  renew(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return this.#renewing ??= this.#renew().finally(() => this.#renewing = undefined);
  }

  /** The authority has changed: a certificate below a root that is gone is replaced. */
  async check({ x509 }: OwnAuthority): Promise<void> {
    if (this.#current && !x509.some((root) => root.trim() === this.#current!.root.trim())) await this.renew();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #renew(): Promise<void> {
    const { authority, domain, clock } = this.#options;
    this.#cancel();
    let next: number;
    try {
      const { privateKey, csr } = await makeClientKey();
      const identity = gatewayIdentity(domain, "tls");
      const asked = { identity, csr, names: tlsNames(domain), gateway: true, remote: "self" };
      const { certificate, chain, expiresAt } = await authority.issueX509(asked);
      // Who has the root needs it not; who has it not believes it not.
      const sent = [certificate, ...chain.slice(0, -1)].map((pem) => `${pem.trim()}\n`).join("");
      this.#current = { certificate: sent, privateKey, expiresAt, root: chain.at(-1)! };
      this.#retry = FIRST_RETRY;
      next = RENEWAL * (expiresAt - clock.now());
    } catch (error) {
      this.#log.error("no certificate for HTTPS: {reason}", {
        reason: error instanceof Error ? error.message : String(error),
      });
      next = this.#retry;
      this.#retry = Math.min(2 * this.#retry, LAST_RETRY);
    }
    if (this.#stopped) return;
    this.#cancel = atTime(clock, clock.now() + Math.max(next, FIRST_RETRY), () => void this.renew());
  }
}
