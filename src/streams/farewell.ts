/**
 * The end of a connection that was told something last.
 *
 * A TCP socket that is closed while bytes of the peer lie in it unread is reset, and a reset takes from the peer what it
 * has not read yet: the sentence that says why. So the peer is heard out, within bounds, before the socket is closed.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { deferred } from "./deferred.ts";
import type { PlainDuplex } from "./duplex.ts";

/** How long a farewell may take, in milliseconds. */
export const LONGEST_FAREWELL_MS = 1000;

/** Bytes of a peer that are waited out: more than the buffers of both systems hold between them. */
const MOST_DISCARDED = 8 * 1024 * 1024;

/**
 * Peers heard out at one time. They hold descriptors that nobody else counts: beyond this many, connections are closed as
 * soon as the last words are handed over, which is all that most of them need.
 */
let mostHeardOut = 64;

/** Where discarded bytes go, of all connections alike. */
const discarded: Bytes = new Uint8Array(64 * 1024);

let hearing = 0;

/** Sets how many may be heard out at one time, for a process that may have fewer connections than others. Default 64. */
export function limitFarewells(count: number): void {
  mostHeardOut = count;
}

/** What goes before. */
export interface Farewell {
  /** Settles when all that was written has been handed over. */
  readonly sent?: Promise<unknown>;
  /** A read that is under way: no other can begin before it settles. */
  readonly reading?: Promise<unknown>;
}

/**
 * Ends the outgoing direction, and resolves when the peer has ended its own too, or has had its time. Then `duplex` may be
 * closed, which is the caller's part. Never rejects.
 * @param after as `Clock.after`
 */
export async function farewell(
  duplex: PlainDuplex,
  after: (ms: number, callback: () => void) => () => void,
  { sent, reading }: Farewell = {},
): Promise<void> {
  const over = deferred();
  const cancel = after(LONGEST_FAREWELL_MS, over.resolve);
  const hear = hearing < mostHeardOut;
  if (hear) hearing++;
  let waiting = true;
  const ended = async () => {
    await sent;
    await duplex.closeWrite();
  };
  const heard = async () => {
    await reading;
    for (let left = MOST_DISCARDED; left > 0 && waiting;) {
      const count = await duplex.read(discarded);
      if (count === null) return;
      left -= count;
    }
  };
  // Where one of the two fails there is nobody left to hear or to tell.
  Promise.all([ended(), hear && heard()]).then(() => over.resolve(), () => over.resolve());
  await over.promise;
  waiting = false;
  if (hear) hearing--;
  cancel();
}
