/**
 * What the books forget, so that they do not grow for ever: certificates that ran out long ago, and with them the
 * revocations of their serial numbers. Revoked keys, key ids and identities stay: they count for what is issued later.
 *
 * A serial number that is forgotten is as good as unique: it has 63 random bits or more, and whoever trusts the clock
 * at all takes no certificate that ended a month ago.
 */
import type { Clock } from "../platform/clock.ts";
import type { Issued } from "./issued.ts";
import type { Revocations } from "./revocations.ts";

const DAY = 24 * 3_600_000;
/** Milliseconds after its end for which a certificate is on record: so long a serial number in a log can be explained. */
export const RETENTION = 30 * DAY;
/** Milliseconds after the start of the first turn: the clock of a machine that has just started may still be set. */
export const FIRST_TURN = 5 * 60_000;
/** Milliseconds between two turns. */
export const TURN_INTERVAL = DAY;
/** Records that are looked at without a pause: a few milliseconds in which nothing else runs. */
export const BATCH = 50;
/** Milliseconds between two batches: two million records take an hour. */
const PAUSE = 50;

export interface RetentionParts {
  readonly issued: Issued;
  readonly revocations: Revocations;
  readonly clock: Clock;
  /** Milliseconds; {@link RETENTION} by default. */
  readonly retention?: number;
}

/** Forgets what is over, soon and then every day. @returns stops it, in the middle too */
export function startForgetting(parts: RetentionParts): () => void {
  const { clock } = parts;
  const stopped = new AbortController();
  const turn = () => {
    forget(parts, stopped.signal).catch(() => {
      // The store fails: whoever needs it next is told what is wrong, and tomorrow is another day.
    }).then(() => {
      if (!stopped.signal.aborted) cancel = clock.after(TURN_INTERVAL, turn);
    });
  };
  let cancel = clock.after(FIRST_TURN, turn);
  return () => {
    stopped.abort();
    cancel();
  };
}

/** One turn through all books. */
async function forget(parts: RetentionParts, signal: AbortSignal): Promise<void> {
  const { issued, revocations, clock, retention = RETENTION } = parts;
  const before = clock.now() - retention;
  let after: string | undefined;
  for (;;) {
    const page = await issued.page(after, BATCH);
    signal.throwIfAborted();
    const over = page.filter(({ value }) => value.expiresAt <= before);
    if (over.length > 0) {
      // In this order: a process that dies in between finds the record again, and by it the revocation.
      await revocations.forget(over.map(({ key }) => key));
      await issued.forget(over);
    }
    if (page.length < BATCH) return;
    after = page.at(-1)!.key;
    await clock.sleep(PAUSE, signal);
  }
}
