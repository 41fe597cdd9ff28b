/**
 * An authority that is another machine's: `--ca URL`. Certificates are asked for over the HTTP API of another gateway or
 * of `cmd/ca.ts`, on behalf of whoever asked here; whether they may have one was judged here, and the other side asks
 * only whether this gateway has the right `assert`, and its profiles.
 *
 * Whom to trust and what is revoked is asked for again and again, and kept: an outage changes nothing but that no new
 * certificates are made.
 */
import { z } from "zod";
import type { Bytes } from "../bytes/bytes.ts";
import { equal } from "../bytes/bytes.ts";
import { decodeBase64, encodeBase64 } from "../bytes/encoding.ts";
import { parseCertificate } from "../cert/certificate.ts";
import { parseKrl } from "../cert/krl.ts";
import { formatPublicKey, parsePublicKeyLine } from "../keys/public_key.ts";
import { type Identity, identityKey } from "../identity/principal.ts";
import type { PublicKey } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import { type AuthorityLink, readAnswer } from "./authority_link.ts";
import {
  type AuthoritiesAnswer,
  authoritiesAnswer,
  decodeRevocation,
  encodeIdentity,
  encodeRevocation,
  revocationsAnswer,
  sshCertificateAnswer,
  x509CertificateAnswer,
} from "./messages.ts";
import {
  type Authorities,
  CaError,
  type CertificateAuthority,
  type HostCertificateRequest,
  type IssuedSshCertificate,
  type IssuedX509Certificate,
  type Revocation,
  type RevocationRecord,
  type Revoked,
  type UserCertificateRequest,
  type X509CertificateRequest,
} from "./types.ts";

/** Milliseconds between two looks, each a request that is mostly answered with 304: a revocation acts within five seconds. */
export const POLL_INTERVAL = 1_500;

/** Where what was last heard is kept over restarts: while the authority is away, nobody who is revoked gets in. */
export interface Memory {
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
}

export interface RemoteAuthorityOptions {
  readonly link: AuthorityLink;
  readonly clock: Clock;
  readonly memory?: Memory;
  /** Told when the authority can no longer be heard, and with nothing when it can again. Must not throw. */
  readonly onTrouble?: (error?: Error) => void;
}

/** What was last heard, as it is kept. */
const kept = z.strictObject({
  authorities: authoritiesAnswer,
  krl: z.base64(),
  revocations: revocationsAnswer,
});
type Kept = z.infer<typeof kept>;

/** The same, ready for use. */
interface Heard {
  readonly kept: Kept;
  readonly authorities: Authorities;
  readonly revoked: Revoked;
  readonly records: readonly RevocationRecord[];
}

export class RemoteAuthority implements CertificateAuthority {
  readonly #options: RemoteAuthorityOptions;
  readonly #listeners = new Set<() => void>();
  #heard?: Heard;
  #etag?: string;
  /** On the monotonic clock: when it was last heard from. */
  #heardAt = -Infinity;
  #looking?: Promise<void>;
  #cancelPoll?: () => void;
  #troubled = false;
  #closed = false;

  constructor(options: RemoteAuthorityOptions) {
    this.#options = options;
  }

  async authorities(): Promise<Authorities> {
    return (await this.#now()).authorities;
  }

  async revoked(): Promise<Revoked> {
    return (await this.#now()).revoked;
  }

  /** What was revoked, as it was asked. @throws {CaError} `unavailable` */
  async revocations(): Promise<readonly RevocationRecord[]> {
    return (await this.#now()).records;
  }

  /** The authority's lines for a known_hosts file. @throws {CaError} `unavailable` */
  async knownHosts(): Promise<readonly string[]> {
    return (await this.#now()).kept.authorities.known_hosts;
  }

  async issueUser({ identity, publicKey, lifetime }: UserCertificateRequest): Promise<IssuedSshCertificate> {
    return await this.#issueSsh("user", publicKey, {
      on_behalf_of: encodeIdentity(identity),
      ...ttl(lifetime),
    });
  }

  async issueHost(request: HostCertificateRequest): Promise<IssuedSshCertificate> {
    const { identity, publicKey, lifetime, names, gateway } = request;
    return await this.#issueSsh("host", publicKey, {
      on_behalf_of: encodeIdentity(identity),
      names,
      ...(gateway && { gateway }),
      ...ttl(lifetime),
    });
  }

  async issueX509(request: X509CertificateRequest): Promise<IssuedX509Certificate> {
    const { identity, csr, lifetime, names, gateway } = request;
    const { link } = this.#options;
    const body = {
      csr: encodeBase64(csr),
      on_behalf_of: encodeIdentity(identity),
      ...(names.length > 0 && { names }),
      ...(gateway && { gateway }),
      ...ttl(lifetime),
    };
    const answer = await link.send("/api/v1/certs/x509", { as: "self", body });
    const { certificate, chain, serial, expires } = await readAnswer(link, answer, x509CertificateAnswer);
    return { certificate, chain, serial, expiresAt: Date.parse(expires) };
  }

  async revoke(
    revocation: Revocation,
    by: { readonly name: string; readonly remote: string },
    reason?: string,
  ): Promise<void> {
    await this.#takeBack("/api/v1/revocations", { revocation: encodeRevocation(revocation) }, by, reason);
  }

  async withdraw(
    { issuer, subject }: Pick<Identity, "issuer" | "subject">,
    by: { readonly name: string },
    reason?: string,
  ): Promise<void> {
    await this.#takeBack("/api/v1/withdrawals", { issuer, subject }, by, reason);
  }

  async #takeBack(path: string, what: object, by: { readonly name: string }, reason?: string): Promise<void> {
    const body = { ...what, by: by.name, ...(reason !== undefined && { reason }) };
    await this.#options.link.send(path, { as: "self", body });
    // Whoever revoked something sees it at once, if the authority can be heard; not by a look that began before.
    await this.#looking?.catch(() => {});
    await this.#look().catch(() => {});
  }

  watch(listener: () => void): () => void {
    // Two that watch with one function are two.
    const own = () => listener();
    this.#listeners.add(own);
    this.#schedule(0);
    return () => {
      this.#listeners.delete(own);
      if (this.#listeners.size === 0) this.#stopPolling();
    };
  }

  /** Stops asking. */
  close(): void {
    this.#closed = true;
    this.#listeners.clear();
    this.#stopPolling();
  }

  async #issueSsh(type: "user" | "host", publicKey: PublicKey, asked: object): Promise<IssuedSshCertificate> {
    const { link } = this.#options;
    const body = { type, public_key: formatPublicKey(publicKey), ...asked };
    const answer = await link.send("/api/v1/certs/ssh", { as: "self", body });
    const { certificate: line } = await readAnswer(link, answer, sshCertificateAnswer);
    const certificate = readCertificate(line);
    if (certificate?.role !== type || !equal(certificate.publicKey.blob, publicKey.blob)) {
      throw new CaError(
        "unavailable",
        `the authority at ${link.url} certifies something else than was asked`,
      );
    }
    return { certificate, line };
  }

  /** What was last heard: of this moment, while somebody watches or it was asked for a moment ago. */
  async #now(): Promise<Heard> {
    const age = this.#options.clock.monotonic() - this.#heardAt;
    const polling = this.#cancelPoll !== undefined || this.#looking !== undefined;
    if (this.#heard && (polling || age < POLL_INTERVAL)) return this.#heard;
    try {
      await this.#look();
    } catch (error) {
      this.#heard ??= await this.#remember();
      if (!this.#heard) throw error;
    }
    return this.#heard!;
  }

  /** Asks what is trusted and revoked now; one question at a time. @throws {CaError} */
  #look(): Promise<void> {
    return this.#looking ??= this.#ask().then(
      () => this.#tell(),
      (error) => {
        this.#tell(error);
        throw error;
      },
    ).finally(() => this.#looking = undefined);
  }

  async #ask(): Promise<void> {
    const { link, clock, memory } = this.#options;
    const known = this.#heard && this.#etag;
    const answer = await link.once("/api/v1/ca", {
      as: "anyone",
      headers: known ? { "if-none-match": known } : {},
    });
    if (answer.status !== 304) {
      const authorities = await readAnswer(link, answer, authoritiesAnswer);
      const before = this.#heard?.kept;
      // The word was asked for before the lists: a list that is newer than its word is read once more.
      const same = before?.authorities.revocations === authorities.revocations;
      const heard = ready(
        same ? { ...before, authorities } : { authorities, ...await this.#readRevocations() },
      );
      this.#heard = same ? { ...heard, revoked: this.#heard!.revoked, records: this.#heard!.records } : heard;
      this.#etag = answer.headers.get("etag") ?? undefined;
      await memory?.write(JSON.stringify(heard.kept)).catch(() => {});
      for (const listener of this.#listeners) listener();
    }
    this.#heardAt = clock.monotonic();
  }

  async #readRevocations(): Promise<Pick<Kept, "krl" | "revocations">> {
    const { link } = this.#options;
    const krl = await link.once("/api/v1/krl", { as: "anyone" });
    const answer = await link.once("/api/v1/revocations", { as: "self" });
    return {
      krl: encodeBase64(new Uint8Array(await krl.arrayBuffer())),
      revocations: await readAnswer(link, answer, revocationsAnswer),
    };
  }

  async #remember(): Promise<Heard | undefined> {
    const text = await this.#options.memory?.read().catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return ready(kept.parse(JSON.parse(text)));
    } catch {
      // Written by another version of this program: asking is the way.
      return undefined;
    }
  }

  #tell(error?: Error): void {
    if (this.#troubled === (error !== undefined) || this.#closed) return;
    this.#troubled = error !== undefined;
    this.#options.onTrouble?.(error);
  }

  #schedule(delay: number): void {
    if (this.#closed || this.#cancelPoll) return;
    this.#cancelPoll = this.#options.clock.after(delay, () => {
      this.#look().catch(() => {}).finally(() => {
        this.#cancelPoll = undefined;
        if (this.#listeners.size > 0) this.#schedule(POLL_INTERVAL);
      });
    });
  }

  #stopPolling(): void {
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
  }
}

/** @throws {CaError} `unavailable` when the authority says what nobody understands */
function ready(value: Kept): Heard {
  try {
    return { kept: value, ...read(value) };
  } catch (cause) {
    if (cause instanceof CaError) throw cause;
    throw new CaError(
      "unavailable",
      `the authority's lists are not understood: ${(cause as Error).message}`,
      { cause },
    );
  }
}

function read({ authorities, krl, revocations }: Kept): Omit<Heard, "kept"> {
  const identities = new Set(
    revocations.revocations.flatMap(({ revocation }) =>
      revocation.kind === "identity" ? [identityKey(revocation)] : []
    ),
  );
  return {
    authorities: readAuthorities(authorities),
    revoked: {
      krl: parseKrl(decodeBase64(krl) as Bytes),
      x509Serials: new Set(revocations.x509_serials),
      isIdentityRevoked: (identity) => identities.has(identityKey(identity)),
    },
    records: revocations.revocations.map(({ revocation, by, at, reason }) => ({
      revocation: decodeRevocation(revocation),
      by,
      at: Date.parse(at),
      ...(reason !== undefined && { reason }),
    })),
  };
}

function readAuthorities({ ssh, x509 }: AuthoritiesAnswer): Authorities {
  const keys = (lines: readonly string[]) => lines.map((line) => parsePublicKeyLine(line).key);
  return { user: keys(ssh.user), host: keys(ssh.host), x509 };
}

function readCertificate(line: string) {
  try {
    const { certificate } = parsePublicKeyLine(line);
    return certificate && parseCertificate(certificate);
  } catch {
    return undefined;
  }
}

/** Whole seconds, at least one. */
function ttl(lifetime: number | undefined): { ttl?: number } {
  return lifetime === undefined ? {} : { ttl: Math.max(1, Math.floor(lifetime / 1000)) };
}
