/** What a server announces of its host keys, and the proof that it holds them (OpenSSH PROTOCOL §2.5). */
import { type Bytes, equal } from "../bytes/bytes.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { decodePublicKey } from "../keys/public_key.ts";
import { KeyError, type PublicKey } from "../keys/types.ts";
import type { Connection } from "../ssh/connection/types.ts";

export const ANNOUNCE = "hostkeys-00@openssh.com";
const PROVE = "hostkeys-prove-00@openssh.com";

/** Keys in one announcement: more than any server has. */
const MAX_KEYS = 32;

/**
 * The keys of an announcement. Certificates and types that are not known are left out.
 * @throws {MalformedError}
 */
export function readAnnouncement(data: Bytes): PublicKey[] {
  const reader = new Reader(data);
  const keys: PublicKey[] = [];
  for (let count = 0; reader.remaining > 0 && count < MAX_KEYS; count++) {
    const blob = reader.string().slice();
    try {
      keys.push(decodePublicKey(blob));
    } catch (error) {
      if (!(error instanceof KeyError)) throw error;
    }
  }
  return keys;
}

/**
 * Has the server prove that it holds `keys`.
 * @returns those that it proved
 */
export async function proveKeys(connection: Connection, keys: readonly PublicKey[]): Promise<PublicKey[]> {
  if (keys.length === 0) return [];
  const question = new Writer();
  for (const { blob } of keys) question.string(blob);
  const reply = await connection.request(PROVE, question.finish(), true);
  if (typeof reply === "boolean") return [];
  const reader = new Reader(reply);
  const proven: PublicKey[] = [];
  for (const key of keys) {
    const signature = reader.string().slice();
    if (await verifies(key, signature, connection.sessionId)) proven.push(key);
  }
  return proven;
}

async function verifies(key: PublicKey, signature: Bytes, sessionId: Bytes): Promise<boolean> {
  const algorithm = new Reader(signature).text();
  if (!key.signatureAlgorithms.includes(algorithm)) return false;
  const signed = new Writer().string(PROVE).string(sessionId).string(key.blob).finish();
  return await key.verify(algorithm, signature, signed) !== undefined;
}

/** What an announcement changes, given what is known and which key this connection is built on. */
export function announcedChange(
  announced: readonly PublicKey[],
  known: readonly PublicKey[],
  current: Bytes,
): { readonly fresh: readonly PublicKey[]; readonly gone: readonly PublicKey[] } {
  const has = (keys: readonly PublicKey[], { blob }: { blob: Bytes }) =>
    keys.some((key) => equal(key.blob, blob));
  // A server that does not announce the key it has just used is not to be followed.
  if (!has(announced, { blob: current })) return { fresh: [], gone: [] };
  return {
    fresh: announced.filter((key) => !has(known, key)),
    gone: known.filter((key) => !has(announced, key)),
  };
}
