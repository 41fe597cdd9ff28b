/** The keys of one issuer: fetched or read when they are needed, kept, refreshed, kept on through its outages. */
import { printable } from "../../bytes/printable.ts";
import type { Clock } from "../../platform/clock.ts";
import { DocumentError, fetchDocument, isLoopbackHost, isSafeUrl } from "./documents.ts";
import { type KeySet, readKeySet, type VerificationKey } from "./keys.ts";
import { type IssuerConfig, TokenError } from "./types.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** How long fetched keys are fresh: as their `Cache-Control` says, within these bounds, so that none asks us to fetch all the time. */
const FRESHNESS = { least: 5 * MINUTE, usual: HOUR, most: 24 * HOUR };
/** How long a file's keys are: reading one is cheap, and who takes a key out of it expects that to count. */
export const FILE_FRESHNESS = 5 * SECOND;
/** Between two refreshes for the sake of keys that are not there: anybody can make up a `kid`. */
const UNKNOWN_KEY_PAUSE = { fetched: 30 * SECOND, file: SECOND };
/** Between attempts to reach an issuer that is out of reach, with old keys to go on with or without. */
const OUTAGE_PAUSE = { withKeys: 30 * SECOND, without: 5 * SECOND };
/** Keys tried for a token that does not name its key. */
const MAX_CANDIDATES = 10;

/** Where keys come from. */
export interface KeySources {
  readonly fetch: typeof globalThis.fetch;
  /** The text of a file. */
  readonly readFile: (path: string) => Promise<string>;
  readonly clock: Clock;
  /** Told when an issuer's keys cannot be had, as a sentence for the log; once for each attempt. */
  readonly onOutage?: (message: string) => void;
}

interface Loaded {
  readonly set: KeySet;
  /** Of the clock's monotonic time, milliseconds. */
  readonly at: number;
  readonly freshUntil: number;
  /** Of a file. */
  readonly text?: string;
}

/** One issuer's keys. Nothing is fetched before somebody asks. */
export class IssuerKeys {
  readonly #issuer: IssuerConfig;
  readonly #sources: KeySources;
  readonly #file?: string;
  #loaded?: Loaded;
  #loading?: Promise<Loaded>;
  /** Before this moment nothing is tried again, because of this failure. */
  #outage?: { readonly until: number; readonly error: TokenError };
  #askedForUnknown = -Infinity;

  constructor(issuer: IssuerConfig, sources: KeySources) {
    this.#issuer = issuer;
    this.#sources = sources;
    if (issuer.jwks !== undefined && !URL.canParse(issuer.jwks)) this.#file = issuer.jwks;
  }

  /**
   * Keys that may have signed a token with these header fields: one or more.
   * @throws {TokenError} `keys-unavailable`, `unknown-key`, `algorithm`
   */
  async candidates(alg: string, kid: string | undefined): Promise<readonly VerificationKey[]> {
    const before = this.#loaded;
    let { set } = await this.#current();
    let found = select(set, alg, kid);
    // Asking again makes sense only for what this call has not just been told.
    if (found.length === 0 && set === before?.set && (this.#loading || this.#mayAskForUnknown())) {
      if (!this.#loading) this.#askedForUnknown = this.#now();
      set = (await this.#refresh().catch(() => this.#loaded!)).set;
      found = select(set, alg, kid);
    }
    if (found.length > 0) return found;
    throw noKey(this.#issuer.issuer, set, alg, kid);
  }

  /** Has the keys at hand, where they can be had. Never rejects. */
  async get(): Promise<void> {
    await this.#current().catch(() => {});
  }

  #now(): number {
    return this.#sources.clock.monotonic();
  }

  #mayAskForUnknown(): boolean {
    const { fetched, file } = UNKNOWN_KEY_PAUSE;
    const now = this.#now();
    if (this.#outage && now < this.#outage.until) return false;
    return now - this.#askedForUnknown >= (this.#file === undefined ? fetched : file);
  }

  /** The keys to go by now. */
  async #current(): Promise<Loaded> {
    const now = this.#now();
    if (this.#loaded && now < this.#loaded.freshUntil) return this.#loaded;
    if (this.#outage && now < this.#outage.until) return this.#kept(this.#outage.error);
    try {
      return await this.#refresh();
    } catch (error) {
      return this.#kept(error as TokenError);
    }
  }

  /** The old keys while they count; otherwise throws `error`. */
  #kept(error: TokenError): Loaded {
    if (this.#isKept()) return this.#loaded!;
    throw error;
  }

  #isKept(): boolean {
    const loaded = this.#loaded;
    if (!loaded) return false;
    const now = this.#now();
    return now < loaded.freshUntil || now - loaded.at <= this.#issuer.keepKeys;
  }

  /** Loads anew; all who ask meanwhile wait for the one attempt. */
  #refresh(): Promise<Loaded> {
    return this.#loading ??= this.#load().finally(() => this.#loading = undefined);
  }

  async #load(): Promise<Loaded> {
    try {
      const loaded = this.#file === undefined ? await this.#fetch() : await this.#read(this.#file);
      if (loaded.set.keys.length === 0) throw new DocumentError("there is no usable key among them");
      this.#outage = undefined;
      return this.#loaded = loaded;
    } catch (cause) {
      const error = new TokenError(
        "keys-unavailable",
        `the keys of ${this.#issuer.issuer} cannot be had: ${(cause as Error).message}`,
        { issuer: this.#issuer.issuer },
        { cause },
      );
      const pause = this.#isKept() ? OUTAGE_PAUSE.withKeys : OUTAGE_PAUSE.without;
      this.#outage = { until: this.#now() + pause, error };
      this.#sources.onOutage?.(error.message);
      throw error;
    }
  }

  async #read(path: string): Promise<Loaded> {
    const text = await this.#sources.readFile(path).catch((cause) => {
      throw new DocumentError(`${path}: ${(cause as Error).message}`);
    });
    const at = this.#now();
    const freshUntil = at + FILE_FRESHNESS;
    if (this.#loaded?.text === text) return { ...this.#loaded, at, freshUntil };
    let content: unknown;
    try {
      content = JSON.parse(text);
    } catch {
      throw new DocumentError(`${path} is not JSON`);
    }
    return { set: keySetOf(content, path), at, freshUntil, text };
  }

  async #fetch(): Promise<Loaded> {
    const url = this.#issuer.jwks === undefined ? await this.#discover() : new URL(this.#issuer.jwks);
    if (!isSafeUrl(url)) throw new DocumentError(`${url} is not https`);
    const { fetch, clock } = this.#sources;
    const { content, maxAge = FRESHNESS.usual } = await fetchDocument(url, fetch, clock);
    const at = this.#now();
    const fresh = Math.min(Math.max(maxAge, FRESHNESS.least), FRESHNESS.most);
    return { set: keySetOf(content, url.href), at, freshUntil: at + fresh };
  }

  /** OpenID Connect Discovery 1.0 §4: where the keys are. */
  async #discover(): Promise<URL> {
    const { issuer } = this.#issuer;
    const { fetch, clock } = this.#sources;
    const url = new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    if (!isSafeUrl(url)) throw new DocumentError(`${url} is not https`);
    const { content } = await fetchDocument(url, fetch, clock);
    const { issuer: says, jwks_uri: uri } = (content ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
    if (says !== issuer) {
      throw new DocumentError(
        `${url} is of the issuer '${printable(String(says))}': configure exactly that one`,
      );
    }
    const found = typeof uri === "string" && URL.canParse(uri) ? new URL(uri) : undefined;
    if (!found) throw new DocumentError(`${url} has no 'jwks_uri'`);
    // An issuer elsewhere must not make us ask services of this machine.
    if (isLoopbackHost(found) && !isLoopbackHost(url)) {
      throw new DocumentError(`the 'jwks_uri' of ${url} is loopback`);
    }
    return found;
  }
}

function keySetOf(content: unknown, source: string): KeySet {
  try {
    return readKeySet(content);
  } catch (error) {
    throw new DocumentError(`${source}: ${(error as Error).message}`);
  }
}

function select({ keys }: KeySet, alg: string, kid: string | undefined): readonly VerificationKey[] {
  return keys
    .filter((key) => (kid === undefined || key.kid === kid) && key.algorithms.includes(alg))
    .slice(0, MAX_CANDIDATES);
}

function noKey(issuer: string, set: KeySet, alg: string, kid: string | undefined): TokenError {
  const claimed = { issuer };
  if (kid === undefined) {
    return new TokenError(
      "unknown-key",
      `the token names no key, and ${issuer} has none for ${alg}`,
      claimed,
    );
  }
  const name = `'${printable(kid, 64)}'`;
  if (set.keys.some((key) => key.kid === kid)) {
    return new TokenError("algorithm", `the key ${name} of ${issuer} is not for ${printable(alg)}`, claimed);
  }
  const why = set.unusable.get(kid);
  const reason = why === undefined
    ? `${issuer} has no key ${name}`
    : `the key ${name} of ${issuer} is not used: ${why}`;
  return new TokenError("unknown-key", reason, claimed);
}
