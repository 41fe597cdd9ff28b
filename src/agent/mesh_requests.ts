/** Global requests between our agents and our gateways. A stock server refuses them, which is no error. */
import type { Bytes } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { HostPort } from "../ssh/forward/messages.ts";

/** Agent to gateway, before registering: which instance of its identity this is. Data: `string id`. */
export const INSTANCE = "instance@ssh-mesh";

/** Agent to gateway, before registering: nothing of this connection is to be published. No data. */
export const PRIVATE = "private@ssh-mesh";

/** Agent to gateway: what it dials for others. Data: a `string` for each range, as `--allow-dial` writes it. */
export const ALLOW_DIAL = "allow-dial@ssh-mesh";

/** Agent to gateway: whose certificates it gives to users. Reply: a `string` for each public key. */
export const USER_CA = "user-ca@ssh-mesh";

/**
 * Gateway to agent: why a registration is refused, ahead of the answer, or withdrawn. Data: `string address, uint32 port`
 * as they were asked for, `string sentence`.
 */
export const REFUSED = "refused@ssh-mesh";

/** Gateway to agent: it is about to stop; what is open goes on. No data. */
export const DRAIN = "drain@ssh-mesh";

/** @throws {MalformedError} */
export function decodeRefused(data: Bytes): { readonly asked: HostPort; readonly sentence: string } {
  const reader = new Reader(data);
  const asked = { host: reader.utf8(), port: reader.uint32() };
  const sentence = printable(reader.utf8());
  reader.end();
  return { asked, sentence };
}

export function encodeStrings(strings: readonly string[]): Bytes {
  const writer = new Writer();
  for (const string of strings) writer.string(string);
  return writer.finish();
}

/** @throws {MalformedError} */
export function decodeBlobs(data: Bytes): Bytes[] {
  const reader = new Reader(data);
  const blobs: Bytes[] = [];
  while (reader.remaining > 0) blobs.push(reader.string().slice());
  return blobs;
}
