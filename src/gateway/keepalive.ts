/** Finds peers that are gone without a word, and asks single ones. */
import { EMPTY } from "../bytes/bytes.ts";
import type { Connection } from "../ssh/connection/types.ts";

/** A half-open peer is found within 27 s of its last answer; an idle one costs two packets every nine seconds. */
export const KEEPALIVE = { intervalMs: 9_000, misses: 2 } as const;

/** Asks for a sign of life now. Resolves when the peer has answered, rejects when the connection ends before. */
export async function askForLife(connection: Connection): Promise<void> {
  await connection.request("keepalive@openssh.com", EMPTY, true);
}
