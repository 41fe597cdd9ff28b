/**
 * Machines that have no identity at all: a token that works once enrols a key, and the key then is the machine.
 *
 * | collection | key | holds |
 * |---|---|---|
 * | `join-tokens` | id | a hash of the secret, the name, when it ends, and once it was used: the key |
 * | `enrolled` | `key:SHA256:…`, `name:NAME` | id of the token |
 * | `open-join-tokens` | id | when it ends; gone once it is used |
 *
 * The token's document is the truth; `enrolled` leads to it, is written first, and counts only where the document agrees.
 * So a process may die at any moment: a token was used or it was not.
 */
import { equalConstantTime, randomBytes } from "../bytes/bytes.ts";
import { decodeHex, encodeBase64Url, encodeHex } from "../bytes/encoding.ts";
import { printable } from "../bytes/printable.ts";
import { normalizeDomain } from "../identity/names.ts";
import { ENROLLED_ISSUER, type Identity, isUnderDomain } from "../identity/principal.ts";
import type { PublicKey } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { Collection, Store, Stored } from "../store/types.ts";
import { available } from "./issued.ts";
import { formatJoinToken, readJoinToken } from "./join_token.ts";
import { enrolled, holder, type JoinToken, type KeptToken, secretHash, shown } from "./kept_token.ts";
import type { CaRecorder } from "./local.ts";
import { RETENTION } from "./retention.ts";
import { requireCertifiable } from "./ssh.ts";
import { CaError, type CertificateAuthority } from "./types.ts";

const HOUR = 3_600_000;
/** Where nobody says otherwise. */
const DEFAULT_TOKEN_LIFETIME = HOUR;
/** A token is to be used, not to be kept. */
export const MAX_TOKEN_LIFETIME = 30 * 24 * HOUR;
const SECRET_BYTES = 32;
const PAGE = 1000;
/** Tokens that are looked at for each new one. */
const OVER_PAGE = 100;

export type JoinErrorCode =
  /** The token is unknown, used, or over. */
  | "token"
  /** The name is taken, or nobody may have it. */
  | "name";

/** Nobody is enrolled, with a sentence for the asker. */
export class JoinError extends Error {
  override readonly name = "JoinError";
  constructor(readonly code: JoinErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

export type { JoinToken };

/** Who asked, for the record. */
export interface JoinActor {
  readonly identity: Identity;
  readonly remote: string;
}

export interface EnrolmentParts {
  readonly store: Store;
  readonly clock: Pick<Clock, "now">;
  /** The gateway's domain, normalised: machines are called `NAME.DOMAIN`. */
  readonly domain: string;
  /** `SHA256:…` of the gateway's host keys and of the authorities that sign its host certificates: whom a token trusts. */
  readonly hosts: () => Promise<readonly string[]>;
  readonly record: CaRecorder;
  /** Takes back what was issued to a key that is removed. Absent: it runs out by itself. */
  readonly withdraw?: CertificateAuthority["withdraw"];
}

/** Tokens that were made, and the keys that were enrolled with them. Every method may throw {@link CaError}. */
export interface Enrolment {
  readonly tokens: {
    /**
     * @param request.name one label, or a name under the domain
     * @param request.lifetime milliseconds; an hour by default
     * @returns the token, whose text is kept nowhere
     * @throws {JoinError} `name`
     */
    create(
      request: { readonly name: string; readonly lifetime?: number },
      by: JoinActor,
    ): Promise<JoinToken & { readonly token: string }>;
    /** In order of time. */
    list(): Promise<readonly JoinToken[]>;
    /** Takes back a token, and the key that was enrolled with it. False when there is no such. */
    remove(id: string, by: JoinActor): Promise<boolean>;
  };
  /**
   * The identity, of kind `join`, of whoever has this token. It is not used up.
   * @throws {JoinError} `token`
   */
  holderOf(token: string): Promise<Identity>;
  /** Whether some token can be used now. */
  hasOpenTokens(): Promise<boolean>;
  /** Whether the token of an identity of kind `join` is there and has not ended, used or not. */
  stands(holder: Identity): Promise<boolean>;
  /**
   * Uses up the token of `holder` and enrols `key`. Again with the same key: the same answer.
   * @param holder as {@link Enrolment.holderOf} gave it
   * @throws {JoinError}
   */
  enrol(holder: Identity, key: PublicKey, remote: string): Promise<Identity>;
  /** Whose the key is; undefined when it is not enrolled, or not any more. */
  identityOf(key: PublicKey): Promise<Identity | undefined>;
  /** As {@link Enrolment.identityOf}, by `SHA256:…`. */
  enrolledKey(fingerprint: string): Promise<Identity | undefined>;
  /** Calls `listener` when a token was made, used or taken back, here or by another process. @returns stops it */
  watch(listener: () => void): () => void;
}

/** Opens what `parts.store` keeps. */
export function openEnrolment(parts: EnrolmentParts): Enrolment {
  return new StoredEnrolment(parts);
}

class StoredEnrolment implements Enrolment {
  readonly #parts: EnrolmentParts;
  readonly #tokens: Collection<KeptToken>;
  readonly #enrolled: Collection<string>;
  readonly #open: Collection<number>;
  /** The last token that {@link StoredEnrolment.#dropOver} has looked at. */
  #lookedAt?: string;

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
    this.#tokens = parts.store.collection("join-tokens");
    this.#enrolled = parts.store.collection("enrolled");
    this.#open = parts.store.collection("open-join-tokens");
  }

  readonly tokens: Enrolment["tokens"] = {
    create: async ({ name: asked, lifetime = DEFAULT_TOKEN_LIFETIME }, { identity, remote }) => {
      const name = this.#fullName(asked);
      if (!(lifetime >= 1000 && lifetime <= MAX_TOKEN_LIFETIME)) {
        throw new CaError(
          "invalid",
          `a join token lasts from one second to ${MAX_TOKEN_LIFETIME / HOUR / 24} days`,
        );
      }
      await this.#requireFree(name);
      await this.#dropOver();
      const id = encodeHex(randomBytes(8));
      const secret = encodeBase64Url(randomBytes(SECRET_BYTES));
      const createdAt = this.#now();
      const kept: KeptToken = {
        name,
        secret: await secretHash(secret),
        by: identity.name,
        createdAt,
        expiresAt: createdAt + lifetime,
      };
      await available(this.#open.insert(id, kept.expiresAt));
      const stored = await available(this.#tokens.insert(id, kept));
      if (!stored) throw new CaError("unavailable", "no free id was found");
      const expires = new Date(kept.expiresAt).toISOString();
      this.#parts.record("token.created", { token: id, name, expires }, { identity, remote });
      const hosts = await this.#parts.hosts();
      return { ...shown(stored), token: formatJoinToken({ id, secret, name, hosts }) };
    },

    list: async () => (await this.#all()).map(shown).sort((a, b) => a.createdAt - b.createdAt),

    remove: async (id, { identity, remote }) => {
      const stored = await available(this.#tokens.get(id));
      if (!stored || !await available(this.#tokens.remove({ key: id }))) return false;
      const { name, used } = stored.value;
      await available(this.#open.remove({ key: id }));
      this.#parts.record("token.removed", { token: id, name }, { identity, remote });
      await this.#unlead(id, `name:${name}`, `key:${used?.fingerprint}`);
      if (!used) return true;
      await this.#parts.withdraw?.(
        { issuer: ENROLLED_ISSUER, subject: used.fingerprint },
        { name: identity.name, remote },
        `join token ${id} was taken back`,
      );
      return true;
    },
  };

  async holderOf(text: string): Promise<Identity> {
    const token = readJoinToken(text);
    const stored = token && await available(this.#tokens.get(token.id));
    // Compared in any case: an id that is unknown takes as long as a secret that is wrong.
    const secret = decodeHex(await secretHash(token?.secret ?? ""));
    const isRight = equalConstantTime(secret, decodeHex(stored?.value.secret ?? "00".repeat(SECRET_BYTES)));
    if (!stored || !isRight) throw new JoinError("token", "the join token is unknown");
    this.#requireOpen(stored);
    return holder(stored);
  }

  /** Asked at every login, so it looks at no token that was used: there may be thousands. */
  async hasOpenTokens(): Promise<boolean> {
    const now = this.#now();
    const listed = await available(this.#open.list());
    const over = listed.filter(({ value }) => value <= now);
    for (const read of over) await available(this.#open.remove(read));
    return listed.length > over.length;
  }

  async stands({ kind, subject }: Identity): Promise<boolean> {
    const stored = kind === "join" ? await available(this.#tokens.get(subject)) : undefined;
    return stored !== undefined && stored.value.expiresAt > this.#now();
  }

  async enrol(holder: Identity, key: PublicKey, remote: string): Promise<Identity> {
    const id = holder.kind === "join" ? holder.subject : "";
    try {
      requireCertifiable(key);
      return await this.#enrol(id, key, holder, remote);
    } catch (error) {
      if (error instanceof JoinError || error instanceof CaError) {
        this.#parts.record("join.refused", { token: id, reason: error.message }, {
          identity: holder,
          remote,
        });
      }
      throw error;
    }
  }

  async identityOf(key: PublicKey): Promise<Identity | undefined> {
    return await this.enrolledKey(await key.fingerprint());
  }

  async enrolledKey(fingerprint: string): Promise<Identity | undefined> {
    const stored = await this.#tokenOf(`key:${fingerprint}`);
    if (stored?.value.used?.fingerprint !== fingerprint) return undefined;
    return enrolled(stored.value.name, fingerprint, stored.key);
  }

  watch(listener: () => void): () => void {
    return this.#tokens.watch(() => listener());
  }

  async #enrol(id: string, key: PublicKey, holder: Identity, remote: string): Promise<Identity> {
    const stored = id === "" ? undefined : await available(this.#tokens.get(id));
    if (!stored) throw new JoinError("token", "the join token is unknown, or was taken back");
    const fingerprint = await key.fingerprint();
    const { name, used } = stored.value;
    // Whoever did not hear the answer asks again.
    if (used?.fingerprint === fingerprint) return enrolled(name, fingerprint, id);
    this.#requireOpen(stored);
    const other = await this.enrolledKey(fingerprint);
    if (other) throw new JoinError("name", `this key is enrolled already, as ${other.name}`);
    // The name first: with one that is taken, a token leaves nothing behind, however many keys come with it.
    const leads = [`name:${name}`, `key:${fingerprint}`];
    for (const key of leads) await this.#lead(key, id, name);
    const value: KeptToken = { ...stored.value, used: { at: this.#now(), fingerprint } };
    const mine = await available(this.#tokens.replace(stored, value));
    if (!mine) {
      throw new JoinError("token", "the join token has just been used by another machine, or taken back");
    }
    for (const key of leads) {
      if ((await available(this.#enrolled.get(key)))?.value === id) continue;
      // Another token took the name or key over before this one was used.
      await available(this.#tokens.replace(mine, stored.value));
      throw taken(name);
    }
    await available(this.#open.remove({ key: id }));
    this.#parts.record("key.enrolled", { token: id, name, fingerprint }, { identity: holder, remote });
    return enrolled(name, fingerprint, id);
  }

  /**
   * Makes `key` lead to the token `id`, away from one that nobody has used. Both look again after their own write, so of two
   * tokens for one name that are used at once, one gives way.
   */
  async #lead(key: string, id: string, name: string): Promise<void> {
    if (await available(this.#enrolled.insert(key, id))) return;
    const before = await available(this.#enrolled.get(key));
    if (before?.value === id) return;
    const led = before && await available(this.#enrolled.replace(before, id));
    if (!led) throw taken(name);
    const other = await available(this.#tokens.get(before.value));
    if (!other?.value.used) return;
    await available(this.#enrolled.replace(led, before.value));
    throw taken(name);
  }

  /** Removes what leads to the token `id`. */
  async #unlead(id: string, ...keys: string[]): Promise<void> {
    for (const key of keys) {
      const led = await available(this.#enrolled.get(key));
      if (led?.value === id) await available(this.#enrolled.remove(led));
    }
  }

  /**
   * Drops tokens that ended long ago and enrolled nobody: with each new one a page is looked at, the next time the next, so
   * that they do not pile up. Those that were used stay: they are what their keys are enrolled by.
   */
  async #dropOver(): Promise<void> {
    const page = await available(this.#tokens.list({ after: this.#lookedAt, limit: OVER_PAGE }));
    this.#lookedAt = page.length < OVER_PAGE ? undefined : page.at(-1)!.key;
    const before = this.#now() - RETENTION;
    for (const stored of page.filter(({ value }) => !value.used && value.expiresAt <= before)) {
      if (!await available(this.#tokens.remove(stored))) continue;
      await available(this.#open.remove({ key: stored.key }));
      await this.#unlead(stored.key, `name:${stored.value.name}`);
    }
  }

  async #tokenOf(key: string): Promise<Stored<KeptToken> | undefined> {
    const led = await available(this.#enrolled.get(key));
    return led && await available(this.#tokens.get(led.value));
  }

  async #requireFree(name: string): Promise<void> {
    const stored = await this.#tokenOf(`name:${name}`);
    if (stored?.value.used && stored.value.name === name) {
      throw new JoinError("name", `${name} is enrolled already: remove its token ${stored.key} first`);
    }
  }

  #requireOpen({ value: { used, expiresAt } }: Stored<KeptToken>): void {
    if (used) throw new JoinError("token", "the join token has been used: it works once");
    if (expiresAt <= this.#now()) throw new JoinError("token", "the join token has expired");
  }

  #fullName(asked: string): string {
    const { domain } = this.#parts;
    const name = normalizeDomain(asked);
    const full = name?.includes(".") ? name : `${name}.${domain}`;
    if (
      name === undefined || name === domain || normalizeDomain(full) !== full || !isUnderDomain(full, domain)
    ) {
      throw new JoinError(
        "name",
        `'${printable(asked)}' is no name for a machine: one label, or a name under ${domain}`,
      );
    }
    return full;
  }

  async #all(): Promise<Stored<KeptToken>[]> {
    const all: Stored<KeptToken>[] = [];
    for (;;) {
      const page = await available(this.#tokens.list({ after: all.at(-1)?.key, limit: PAGE }));
      all.push(...page);
      if (page.length < PAGE) return all;
    }
  }

  #now(): number {
    return this.#parts.clock.now();
  }
}

function taken(name: string): JoinError {
  return new JoinError("name", `${name} is enrolled already, by another machine`);
}
