/** Finds peers that are gone without a word. */
import { EMPTY } from "../bytes/bytes.ts";
import type { Clock } from "../platform/clock.ts";
import type { Connection } from "../ssh/connection/types.ts";

/** OpenSSH's own; every implementation answers it, most with a refusal (RFC 4254 §4). */
const KEEPALIVE = "keepalive@openssh.com";

/** From one answer to the next question, in milliseconds. */
export const KEEPALIVE_INTERVAL = 10_000;
/** How long an answer may take: with the interval before it, a half-open peer is found within 27 s. */
export const KEEPALIVE_TIMEOUT = 17_000;

/** Asks for a sign of life. Resolves when the peer has answered, rejects when the connection ends before. */
export async function askForLife(connection: Connection): Promise<void> {
  await connection.request(KEEPALIVE, EMPTY, true);
}

export interface KeepaliveEvents {
  /** The peer is there. */
  answered(): void;
  /** The peer has not answered for {@link KEEPALIVE_TIMEOUT}. */
  silent(): void;
}

/** Asks again and again until the connection ends. One question at a time, so an idle peer costs two packets. */
export function keepAlive(connection: Connection, clock: Clock, events: KeepaliveEvents): void {
  let cancel = () => {};
  const ask = () => {
    cancel = clock.after(KEEPALIVE_TIMEOUT, () => events.silent());
    askForLife(connection).then(() => {
      cancel();
      events.answered();
      cancel = clock.after(KEEPALIVE_INTERVAL, ask);
    }, () => {});
  };
  cancel = clock.after(KEEPALIVE_INTERVAL, ask);
  connection.closed.then(() => cancel());
}
