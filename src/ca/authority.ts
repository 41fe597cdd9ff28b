/** The authority of this process: roots in the state folder or in files, books and revocations in the store. */
import type { Identity } from "../identity/principal.ts";
import { formatPublicKey } from "../keys/public_key.ts";
import { afterLong } from "../platform/clock.ts";
import { StateError } from "../platform/state.ts";
import { Issued } from "./issued.ts";
import { Issuing } from "./issuing.ts";
import {
  type AuthorityParts,
  DEFAULT_OVERLAP,
  type IssuedRecord,
  type LocalAuthority,
  type RootKind,
} from "./local.ts";
import { longestLifetime } from "./profiles.ts";
import { startForgetting } from "./retention.ts";
import { normalizeReason, normalizeRevocation, Revocations } from "./revocations.ts";
import { openRoots, type Roots } from "./roots.ts";
import {
  type Authorities,
  CaError,
  type HostCertificateRequest,
  type IssuedSshCertificate,
  type IssuedX509Certificate,
  type Revocation,
  type RevocationRecord,
  type Revoked,
  type UserCertificateRequest,
  type X509CertificateRequest,
} from "./types.ts";

type By = { readonly name: string; readonly remote: string };

/**
 * Opens the authority, making the roots that are missing.
 * @throws {CaError} `unavailable` when roots or records cannot be used: it then does not start
 */
export async function openAuthority(parts: AuthorityParts): Promise<LocalAuthority> {
  const roots = await openRoots(parts, (kind, fingerprint, signsFrom, why) => {
    const signs = new Date(signsFrom).toISOString();
    parts.record("ca.root", { kind, fingerprint, signs, why }, {});
  });
  const authority = new Authority(parts, roots);
  await authority.revoked();
  return authority;
}

class Authority implements LocalAuthority {
  readonly #parts: AuthorityParts;
  readonly #roots: Roots;
  readonly #issued: Issued;
  readonly #revocations: Revocations;
  readonly #issuing: Issuing;
  readonly #listeners = new Set<() => void>();
  readonly #stopWatching: () => void;
  readonly #stopForgetting: () => void;
  #cancelTimer = () => {};

  constructor(parts: AuthorityParts, roots: Roots) {
    this.#parts = parts;
    this.#roots = roots;
    this.#issued = new Issued(parts.store);
    this.#revocations = new Revocations(parts.store, this.#issued);
    this.#issuing = new Issuing(parts, roots, this.#issued, this.#revocations);
    this.#stopWatching = this.#revocations.watch(() => this.#tell());
    this.#stopForgetting = startForgetting({
      issued: this.#issued,
      revocations: this.#revocations,
      clock: parts.clock,
      retention: parts.config.retention,
    });
    this.#rootsChanged();
  }

  get watchedFiles(): readonly string[] {
    return this.#roots.paths;
  }

  // deno-lint-ignore require-await
  async authorities(): Promise<Authorities> {
    return this.#roots.at(this.#now()).authorities;
  }

  issueUser(request: UserCertificateRequest): Promise<IssuedSshCertificate> {
    return this.#issuing.issueUser(request);
  }

  issueHost(request: HostCertificateRequest): Promise<IssuedSshCertificate> {
    return this.#issuing.issueHost(request);
  }

  issueX509(request: X509CertificateRequest): Promise<IssuedX509Certificate> {
    return this.#issuing.issueX509(request);
  }

  async revoked(): Promise<Revoked> {
    return await this.#revocations.current();
  }

  async revocations(): Promise<readonly RevocationRecord[]> {
    return await this.#revocations.list();
  }

  async issuedTo(identity: Pick<Identity, "issuer" | "subject">): Promise<readonly IssuedRecord[]> {
    return await this.#issued.to(identity, this.#now());
  }

  async revoke(revocation: Revocation, by: By, reason?: string): Promise<void> {
    const normal = normalizeRevocation(revocation);
    if (normal.kind === "key") await this.#refuseSigningKey(normal.key);
    const said = reason === undefined ? {} : { reason: normalizeReason(reason) };
    await this.#revocations.add({ revocation: normal, by: by.name, at: this.#now(), ...said });
    this.#parts.record("cert.revoked", { revocation: normal, by: by.name, ...said }, { remote: by.remote });
  }

  async withdraw(
    identity: Pick<Identity, "issuer" | "subject">,
    by: By,
    reason?: string,
  ): Promise<void> {
    for (const { kind, serial } of await this.issuedTo(identity)) {
      await this.revoke({ kind: kind === "x509" ? "x509-serial" : "serial", serial }, by, reason);
    }
  }

  async rotate(
    kind: RootKind,
    { overlap = DEFAULT_OVERLAP }: { readonly overlap?: number } = {},
  ): Promise<void> {
    if (!(overlap >= 0)) throw new CaError("invalid", "the overlap is 0 or longer");
    try {
      await this.#roots.rotate(kind, overlap, longestLifetime(this.#parts.config.profiles, kind));
    } catch (cause) {
      if (cause instanceof StateError) throw new CaError("unavailable", cause.message, { cause });
      throw cause;
    }
    this.#rootsChanged();
    this.#tell();
  }

  async reload(): Promise<void> {
    if (!await this.#roots.reload()) return;
    this.#rootsChanged();
    this.#tell();
  }

  watch(listener: () => void): () => void {
    // A wrapper of its own: the same function may listen twice.
    const own = () => listener();
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  close(): void {
    this.#cancelTimer();
    this.#stopForgetting();
    this.#stopWatching();
    this.#listeners.clear();
  }

  #now(): number {
    return this.#parts.clock.now();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Revocations count for the roots of now; when time makes others of them, it is done again. */
  #rootsChanged(): void {
    const { clock } = this.#parts;
    const now = clock.now();
    const { user, host } = this.#roots.at(now).authorities;
    this.#revocations.authorities = [...user, ...host];
    this.#cancelTimer();
    const next = this.#roots.nextChange(now);
    if (next === undefined) return;
    this.#cancelTimer = afterLong(clock, next - now, () => {
      this.#rootsChanged();
      this.#tell();
    });
  }

  /** Revoked, a key that signs would take every certificate along, and go on to sign. @param key as a revocation has it */
  async #refuseSigningKey(key: string): Promise<void> {
    const { user, host } = this.#roots.at(this.#now());
    for (const { publicKey } of [user, host]) {
      if (key !== formatPublicKey(publicKey) && key !== await publicKey.fingerprint()) continue;
      throw new CaError("refused", "this key is a root that signs certificates: rotate it first");
    }
  }
}
