/** Finding out that the other end is gone although nobody closed the connection. */
import type { Clock } from "../platform/clock.ts";
import { EMPTY } from "../bytes/bytes.ts";
import type { Connection } from "../ssh/connection/types.ts";

export interface KeepaliveTimes {
  /** Between an answer and the next question, in milliseconds. */
  readonly everyMs: number;
  /** How long an answer may take, in milliseconds. */
  readonly patienceMs: number;
}

/** A gateway that falls silent is found after at most 25 s, and never because of one lost packet. */
export const GATEWAY_KEEPALIVE: KeepaliveTimes = { everyMs: 10_000, patienceMs: 15_000 };

/**
 * Asks again and again; calls `onSilent` once when an answer does not come in time. A question that fails is as good as
 * an answer: then the connection has ended, and everybody knows.
 * @returns stops it
 */
export function keepAlive(
  ask: () => Promise<unknown>,
  clock: Clock,
  { everyMs, patienceMs }: KeepaliveTimes,
  onSilent: () => void,
): () => void {
  let stopped = false;
  let cancel = clock.after(everyMs, question);
  function question(): void {
    const cancelPatience = clock.after(patienceMs, () => {
      stopped = true;
      onSilent();
    });
    cancel = cancelPatience;
    const answered = () => {
      cancelPatience();
      if (!stopped) cancel = clock.after(everyMs, question);
    };
    ask().then(answered, answered);
  }
  return () => {
    stopped = true;
    cancel();
  };
}

/** Ends `connection` when the peer falls silent. Stops by itself with the connection. */
export function keepConnectionAlive(connection: Connection, clock: Clock, times: KeepaliveTimes): void {
  // Every implementation answers an unknown global request, with a refusal (RFC 4254 §4).
  const ask = () => connection.request("keepalive@openssh.com", EMPTY, true);
  const stop = keepAlive(ask, clock, times, () => connection.close(undefined, "no answer to keepalive"));
  connection.closed.then(stop);
}
