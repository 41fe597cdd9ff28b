/** What `--trust-user-ca gateway` believes: the gateway's authorities for users, less what they have revoked. */
import { parseKrl } from "../cert/krl.ts";
import { RevocationList } from "../cert/revocation.ts";
import type { Certificate } from "../cert/types.ts";
import type { PublicKey } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import { deferred } from "../streams/deferred.ts";
import type { EventLog } from "./events.ts";
import { formatGateway } from "./gateway_address.ts";
import type { GatewayLink } from "./gateway_link.ts";
import { retryDelay } from "./renewal.ts";

/** As the parser of revocation lists, in bytes. */
const MAX_KRL = 16 * 1024 * 1024;

/** A gateway to learn from: `GatewayLink` is one. */
export type AuthoritySource = Pick<
  GatewayLink,
  "gateway" | "ours" | "closed" | "ask" | "askUserCas" | "onTrustChange"
>;

export interface AuthorityOptions {
  readonly clock: Clock;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  readonly log: EventLog;
  /** Called after something has changed: who is logged in has to be judged anew. */
  readonly onChange: () => void;
}

/**
 * Always of one gateway: what another one said is forgotten when this one is followed. An authority counts only together
 * with its revocations; while news cannot be had, what was known stays.
 */
export class GatewayAuthorities {
  readonly #options: AuthorityOptions;
  #from?: string;
  #following?: AuthoritySource;
  #known?: { readonly userCas: readonly PublicKey[]; readonly revoked: RevocationList };

  constructor(options: AuthorityOptions) {
    this.#options = options;
  }

  /** Authorities whose certificates may log in. */
  get userCas(): readonly PublicKey[] {
    return this.#known?.userCas ?? [];
  }

  /** Whether the gateway has revoked the key, the certificate or what it stands on. */
  async isRevoked(subject: PublicKey | Certificate): Promise<boolean> {
    return await this.#known?.revoked.isRevoked(subject) ?? false;
  }

  /**
   * Learns from `link` now, and again whenever it says that something has changed, until it has ended. Resolves when it
   * was asked once; never rejects.
   */
  async follow(link: AuthoritySource, signal: AbortSignal): Promise<void> {
    const from = formatGateway(link.gateway);
    if (this.#from !== from) this.#known = undefined;
    this.#from = from;
    this.#following = link;
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    link.closed.then(() => over.abort(new Error("the link has ended")));
    let news = deferred();
    link.onTrustChange(() => news.resolve());
    let failures = 0;
    const learn = async (): Promise<number | undefined> => {
      try {
        await this.#learn(link, either);
        failures = 0;
        return undefined;
      } catch (error) {
        if (either.aborted) return undefined;
        const reason = error instanceof Error ? error.message : String(error);
        const state = this.#known
          ? "what was revoked before counts"
          : "its certificates let nobody in until then";
        if (++failures === 1) {
          this.#options.log({
            event: "warning",
            message: `${from}: revocations cannot be had: ${reason}; ${state}`,
          });
        }
        return retryDelay(failures, this.#options.random());
      }
    };
    let retry = await learn();
    (async () => {
      while (!either.aborted) {
        const waits = new AbortController();
        const stopped = deferred();
        const stop = () => stopped.resolve();
        either.addEventListener("abort", stop, { once: true });
        if (retry !== undefined) {
          this.#options.clock.sleep(retry, AbortSignal.any([either, waits.signal])).then(stop, () => {});
        }
        await Promise.race([news.promise, stopped.promise]);
        waits.abort(new Error("there is news"));
        either.removeEventListener("abort", stop);
        if (either.aborted) return;
        news = deferred();
        retry = await learn();
      }
    })();
  }

  async #learn(link: AuthoritySource, signal: AbortSignal): Promise<void> {
    const { log, onChange } = this.#options;
    const userCas = await link.askUserCas();
    const known = userCas && userCas.length > 0
      ? {
        userCas,
        revoked: new RevocationList(parseKrl(await link.ask("krl", { signal, maxAnswer: MAX_KRL }))),
      }
      : undefined;
    // An old link that is about to end may answer after the next one.
    if (signal.aborted || this.#following !== link) return;
    this.#known = known;
    if (!known) {
      const where = formatGateway(link.gateway);
      const message = `${where} has no authority for users: --trust-user-ca gateway lets nobody in`;
      log({ event: "warning", message });
    }
    onChange();
  }
}
