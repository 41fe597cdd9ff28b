/** Knows the authority whose certificates this gateway gives: its keys and what it has revoked, as they change. */
import { RevocationList } from "../cert/revocation.ts";
import type { CertificateAuthority } from "../ca/types.ts";
import type { Clock } from "../platform/clock.ts";
import { logger } from "../telemetry/log.ts";
import type { OwnAuthority } from "./trust.ts";

/** Waits before an authority that could not be asked is asked again, in milliseconds: doubled from first to last. */
const FIRST_RETRY = 1000;
const LAST_RETRY = 30_000;

export interface AuthorityFollowing {
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  /** Whose names it certifies; see {@link OwnAuthority}. */
  readonly domain: string;
  readonly trustDomains: () => readonly string[];
  /** Called with every state, one after the other. Must not throw. */
  readonly onChange: (state: OwnAuthority) => Promise<void>;
}

/** Asks once. @throws {CaError} */
export async function readAuthority(
  { authority, domain, trustDomains }: Pick<AuthorityFollowing, "authority" | "domain" | "trustDomains">,
): Promise<OwnAuthority> {
  const [authorities, revoked] = await Promise.all([authority.authorities(), authority.revoked()]);
  const list = new RevocationList(revoked.krl);
  return { ...authorities, revoked, list, domain, trustDomains: trustDomains() };
}

export class AuthorityFollower {
  readonly #following: AuthorityFollowing;
  readonly #stopWatching: () => void;
  readonly #log = logger("gateway");
  #reading?: Promise<void>;
  #again = false;
  #stopped = false;
  #retry = FIRST_RETRY;
  #cancel = () => {};

  /** Follows from now on. Call {@link refresh} for the first state. */
  constructor(following: AuthorityFollowing) {
    this.#following = following;
    this.#stopWatching = following.authority.watch(() => void this.refresh());
  }

  /** Asks now, and once more when something changes meanwhile. Never rejects: what fails is tried again later. */
  refresh(): Promise<void> {
    this.#again = true;
    return this.#reading ??= this.#read().finally(() => this.#reading = undefined);
  }

  stop(): void {
    this.#stopped = true;
    this.#stopWatching();
    this.#cancel();
  }

  async #read(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      this.#cancel();
      try {
        await this.#following.onChange(await readAuthority(this.#following));
        this.#retry = FIRST_RETRY;
      } catch (error) {
        this.#log.error("the authority cannot be asked; what it last said counts: {reason}", {
          reason: error instanceof Error ? error.message : String(error),
        });
        this.#cancel = this.#following.clock.after(this.#retry, () => void this.refresh());
        this.#retry = Math.min(2 * this.#retry, LAST_RETRY);
      }
    }
  }
}
