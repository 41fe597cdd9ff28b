/** How long a message to the peer and its answer take, without the queues that the connection makes itself. */
import { INITIAL_WINDOW } from "./limits.ts";

/** With no more data than this read meanwhile, no queue of ours stood before the answer. */
const QUIET_BYTES = INITIAL_WINDOW / 4;

/**
 * Milliseconds that a round trip takes at least. On one machine it is the time of a wake-up, and windows of no more than
 * that make both sides sleep and wake for every few packets, which costs a tenth more CPU.
 */
const LEAST = 1;

/**
 * The round trip of a connection, from measurements. While data flows, an answer waits behind all that is under way, as
 * much as the windows allow; were windows sized by that, they would grow by their own queues without end. So what is
 * measured then can shorten the round trip alone; a way that became longer is believed when the line is quiet.
 */
export class RoundTrip {
  #shortest?: number;

  /** Milliseconds, 1 or more; undefined before the first measurement. */
  get shortest(): number | undefined {
    return this.#shortest;
  }

  /**
   * @param measured milliseconds
   * @param meanwhile bytes of channel data read between question and answer
   */
  note(measured: number, meanwhile: number): void {
    const quiet = meanwhile <= QUIET_BYTES;
    if (this.#shortest !== undefined && measured > this.#shortest && !quiet) return;
    this.#shortest = Math.max(measured, LEAST);
  }
}
