/** One port for everything: which protocol a connection begins with. */
import { sniff, SNIFF_LENGTH } from "../edge/sniff.ts";
import type { Clock } from "../platform/clock.ts";
import type { PlainDuplex } from "../streams/duplex.ts";
import { peek } from "../streams/peek.ts";
import type { Protocol } from "./settings.ts";

/**
 * Milliseconds after which a client that has said nothing gets SSH's identification: some wait for it. Those that do not
 * wait (every SSH client people use) are not held up.
 */
export const SILENCE = 300;

/**
 * Tells by the first bytes. Where one protocol alone is served, nothing is looked at.
 * @param served what is possible here
 * @returns the connection to go on with; no protocol when it is none of these
 */
export async function tellProtocol(
  connection: PlainDuplex,
  served: readonly Protocol[],
  { clock, loginGrace }: { readonly clock: Clock; readonly loginGrace: number },
): Promise<{ readonly protocol: Protocol | undefined; readonly connection: PlainDuplex }> {
  const [only] = served;
  if (served.length < 2) return { protocol: only, connection };
  const look = (at: PlainDuplex, timeout: number) =>
    peek(at, { enough: (seen) => sniff(seen) !== "more", limit: SNIFF_LENGTH, timeout, clock });
  let peeked = await look(connection, Math.min(SILENCE, loginGrace));
  // Who has begun to speak is heard out.
  if (peeked.reason === "timeout" && peeked.seen.length > 0) {
    peeked = await look(peeked.connection, loginGrace);
  }
  // What is no TLS is for SSH to answer, or to refuse with its own words.
  return { protocol: sniff(peeked.seen) === "tls" ? "tls" : "ssh", connection: peeked.connection };
}
