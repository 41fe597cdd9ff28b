/** Finding out that a peer has gone without a word: a request that everybody answers, again and again. */
import { EMPTY } from "../../bytes/bytes.ts";
import type { Clock } from "../../platform/clock.ts";
import { DisconnectReason, SshError } from "../error.ts";
import type { Connection } from "./types.ts";

/** How often to ask, and how long to hope. */
export interface KeepaliveOptions {
  readonly clock: Clock;
  /** Milliseconds between questions (`ServerAliveInterval`, `ClientAliveInterval`). */
  readonly intervalMs: number;
  /** Questions that may stay without an answer (`…AliveCountMax`). One more interval, and the peer is dead. */
  readonly misses: number;
  /** Called for every answer: whoever lends something to the peer for a time prolongs it. */
  readonly onAnswer?: () => void;
  /** Called once before the connection is closed as dead. */
  readonly onDead?: (error: SshError) => void;
}

/**
 * Asks the peer for a sign of life every interval (`keepalive@openssh.com`). An answer of any kind is one: an
 * implementation that does not know the request refuses it (RFC 4254 §4). A peer that falls silent is found within
 * `intervalMs × (misses + 1)` of its last answer, and the connection closed with `timeout` for the callback.
 *
 * @returns stops it; the end of the connection does so too
 * @throws {RangeError} for an interval that is not above zero, or less than one miss
 */
export function keepAlive(connection: Connection, options: KeepaliveOptions): () => void {
  const { clock, intervalMs, misses, onAnswer, onDead } = options;
  if (!(intervalMs > 0) || !(misses >= 1)) {
    throw new RangeError("keepalive needs an interval above 0 and 1 miss or more");
  }
  let unanswered = 0;
  let stopped = false;
  let cancel = () => {};

  const tick = () => {
    if (unanswered >= misses) return die();
    unanswered++;
    connection.request("keepalive@openssh.com", EMPTY, true).then(() => {
      unanswered = 0;
      onAnswer?.();
    }, () => {});
    cancel = clock.after(intervalMs, tick);
  };
  const die = () => {
    stop();
    onDead?.(new SshError("timeout", `no answer for ${unanswered} keepalives of ${intervalMs} ms`));
    connection.close(DisconnectReason.connectionLost, "no answer to keepalives");
  };
  const stop = () => {
    stopped = true;
    cancel();
  };
  connection.closed.then(stop);
  cancel = clock.after(intervalMs, () => !stopped && tick());
  return stop;
}
