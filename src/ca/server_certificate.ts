/** What a server of ours proves itself with in TLS: a key in memory, certified by its authority and renewed in time. */
import type { Identity } from "../identity/principal.ts";
import { afterLong, type Clock } from "../platform/clock.ts";
import type { TlsIdentity } from "../platform/web.ts";
import { makeClientKey } from "./client_key.ts";
import type { CertificateAuthority } from "./types.ts";

/** Renewed when so much of its life has passed: a third is left for an authority that is away. */
const RENEWAL = 2 / 3;
/** Waits before a renewal that failed is tried again, in milliseconds: doubled from first to last. */
const FIRST_RETRY = 1000;
const LAST_RETRY = 60_000;

export interface ServerCertificateOptions {
  readonly authority: CertificateAuthority;
  /** What the server is to its authority. */
  readonly identity: Identity;
  /** DNS names that it serves. */
  readonly names: readonly string[];
  readonly clock: Clock;
  /** Told when it cannot be renewed. Must not throw. */
  readonly onFailure: (error: unknown) => void;
}

export class ServerCertificate {
  readonly #options: ServerCertificateOptions;
  readonly #stopWatching: () => void;
  #tls?: TlsIdentity;
  #expiresAt = 0;
  /** The root below which it was signed, PEM. */
  #root?: string;
  #renewing?: Promise<void>;
  #retry = FIRST_RETRY;
  #stopped = false;
  #cancel = () => {};

  /** Has none until {@link renew}. */
  constructor(options: ServerCertificateOptions) {
    this.#options = options;
    this.#stopWatching = options.authority.watch(() => void this.#check());
  }

  /** For a handshake that begins now; undefined when there is none, or it has run out. */
  get tls(): TlsIdentity | undefined {
    return this.#expiresAt > this.#options.clock.now() ? this.#tls : undefined;
  }

  /** Gets a new one now. Never rejects: what fails is tried again later. */
  renew(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return this.#renewing ??= this.#renew().finally(() => this.#renewing = undefined);
  }

  stop(): void {
    this.#stopped = true;
    this.#stopWatching();
    this.#cancel();
  }

  async #renew(): Promise<void> {
    const { authority, identity, names, clock, onFailure } = this.#options;
    this.#cancel();
    let wait: number;
    try {
      const { privateKey, csr } = await makeClientKey();
      const issued = await authority.issueX509({ identity, csr, names, gateway: true, remote: "self" });
      // The root is left out: who trusts it has it.
      this.#tls = { certificate: [issued.certificate, ...issued.chain.slice(0, -1)].join(""), privateKey };
      this.#expiresAt = issued.expiresAt;
      this.#root = issued.chain.at(-1);
      this.#retry = FIRST_RETRY;
      wait = (issued.expiresAt - clock.now()) * RENEWAL;
    } catch (error) {
      onFailure(error);
      wait = this.#retry;
      this.#retry = Math.min(2 * this.#retry, LAST_RETRY);
    }
    if (!this.#stopped) this.#cancel = afterLong(clock, Math.max(wait, FIRST_RETRY), () => void this.renew());
  }

  /** A root that is trusted no more has certified nobody. */
  async #check(): Promise<void> {
    try {
      const { x509 } = await this.#options.authority.authorities();
      const roots = x509.map((pem) => pem.trim());
      if (this.#root !== undefined && !roots.includes(this.#root.trim())) await this.renew();
    } catch (error) {
      this.#options.onFailure(error);
    }
  }
}
