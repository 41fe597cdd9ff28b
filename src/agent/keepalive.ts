/** How often the other end is asked for a sign of life. */
import type { Clock } from "../platform/clock.ts";
import { keepAlive, type KeepaliveOptions } from "../ssh/connection/keepalive.ts";
import type { Connection } from "../ssh/connection/types.ts";

export type KeepaliveTimes = Pick<KeepaliveOptions, "intervalMs" | "misses">;

/** A gateway that falls silent is found within 24 s, and never because of one lost packet. */
export const GATEWAY_KEEPALIVE: KeepaliveTimes = { intervalMs: 8_000, misses: 2 };

/**
 * Ends `connection` when the peer falls silent. Stops by itself with the connection.
 * @param onDead hears of it first
 */
export function keepConnectionAlive(
  connection: Connection,
  clock: Clock,
  times: KeepaliveTimes,
  onDead?: KeepaliveOptions["onDead"],
): void {
  keepAlive(connection, { clock, ...times, onDead });
}
