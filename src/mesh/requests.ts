/**
 * Global requests between our agents and our gateways (`…@ssh-mesh`; RFC 4250 §4.6.1 leaves such names to us). Stock
 * clients send none of them and get none: a gateway speaks only to who has sent `instance@ssh-mesh`. A stock server
 * refuses them, which is no error.
 *
 * | request | from | data | reply |
 * |---|---|---|---|
 * | `instance@ssh-mesh` | agent, before registering | string instance id, new for each start of the agent | FAILURE when it is empty or too long, or something is registered already |
 * | `private@ssh-mesh` | agent, before registering | none: nothing of this connection is to be published | SUCCESS |
 * | `allow-dial@ssh-mesh` | agent | a string `CIDR:PORT[-PORT]` for each range that it dials for others, in place of those it named before | FAILURE when one is no range, or too many |
 * | `user-ca@ssh-mesh` | agent | none: whose certificates does the gateway give to users? | a string for each public key, or FAILURE where it gives none |
 * | `refused@ssh-mesh` | gateway | string address, uint32 port, both as in the `tcpip-forward` that is refused or withdrawn; string sentence | not wanted |
 * | `trust@ssh-mesh` | gateway | none: its authorities or what they revoked have changed; ask `user-ca@ssh-mesh`, `ssh GW krl` and `ssh GW known-hosts` again | not wanted |
 * | `drain@ssh-mesh` | gateway | none: it is about to stop; what is open goes on for a while | not wanted |
 */
import type { Bytes } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import { MalformedError } from "../bytes/reader.ts";
import { codec, sequence, string, struct, uint32, utf8 } from "../bytes/struct.ts";
import type { HostPort } from "../ssh/forward/messages.ts";

/** The names on the wire. */
export const MeshRequest = {
  instance: "instance@ssh-mesh",
  private: "private@ssh-mesh",
  allowDial: "allow-dial@ssh-mesh",
  userCa: "user-ca@ssh-mesh",
  refused: "refused@ssh-mesh",
  trust: "trust@ssh-mesh",
  drain: "drain@ssh-mesh",
} as const;

/** Characters of an instance id: a UUID has 36. */
const MAX_INSTANCE_LENGTH = 128;
/** Ranges that one agent may offer. */
const MAX_DIAL_RANGES = 256;
/** Authorities that one gateway may have. */
const MAX_AUTHORITIES = 64;

const instanceId = codec(utf8);
const dialRanges = codec(sequence(utf8, MAX_DIAL_RANGES));
const authorities = codec(sequence(string, MAX_AUTHORITIES));
const refusal = codec(struct({ host: utf8, port: uint32, sentence: utf8 }));

/** Data of `instance@ssh-mesh`. */
export function encodeInstance(instance: string): Bytes {
  return instanceId.encode(instance);
}

/** @throws {MalformedError} also for an id that is empty or too long */
export function decodeInstance(data: Bytes): string {
  const instance = instanceId.decode(data);
  if (instance === "" || instance.length > MAX_INSTANCE_LENGTH) {
    throw new MalformedError("not an instance id");
  }
  return instance;
}

/** Data of `allow-dial@ssh-mesh`: ranges as `--allow-dial` writes them. */
export function encodeAllowDial(ranges: readonly string[]): Bytes {
  return dialRanges.encode(ranges);
}

/** Texts of ranges, not yet read. @throws {MalformedError} */
export function decodeAllowDial(data: Bytes): readonly string[] {
  return dialRanges.decode(data);
}

/** Reply to `user-ca@ssh-mesh`. @param keys blobs of public keys */
export function encodeUserCas(keys: readonly Bytes[]): Bytes {
  return authorities.encode(keys);
}

/** Reply to `user-ca@ssh-mesh`: blobs of public keys, as views. @throws {MalformedError} */
export function decodeUserCas(reply: Bytes): readonly Bytes[] {
  return authorities.decode(reply);
}

/** Data of `refused@ssh-mesh`. @param asked address and port as they were asked for */
export function encodeRefused({ host, port }: HostPort, sentence: string): Bytes {
  return refusal.encode({ host, port, sentence });
}

/** The sentence comes printable. @throws {MalformedError} */
export function decodeRefused(data: Bytes): { readonly asked: HostPort; readonly sentence: string } {
  const { host, port, sentence } = refusal.decode(data);
  return { asked: { host, port }, sentence: printable(sentence) };
}
