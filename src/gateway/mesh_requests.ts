/**
 * Global requests between this gateway and its own agents (`…@ssh-mesh`; RFC 4250 §4.6.1 leaves such names to us). Stock
 * clients send none of them, and get none: the gateway speaks only to who has sent `instance@ssh-mesh`.
 *
 * | request | from | data | reply |
 * |---|---|---|---|
 * | `instance@ssh-mesh` | agent, before registering | string instance id, new for each start of the agent | FAILURE when it is empty or too long, or something is registered already |
 * | `private@ssh-mesh` | agent, before registering | none: nothing of this connection is to be published | SUCCESS |
 * | `allow-dial@ssh-mesh` | agent | a string `CIDR:PORT[-PORT]` for each range that it dials for others, in place of those it named before | FAILURE when one is no range, or too many |
 * | `refused@ssh-mesh` | gateway | string address, uint32 port, both as in the `tcpip-forward` that is refused or withdrawn; string sentence | not wanted |
 * | `drain@ssh-mesh` | gateway | none: it is about to stop; what is open goes on for a while | not wanted |
 */
import type { Bytes } from "../bytes/bytes.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { HostPort } from "../ssh/forward/messages.ts";

export const MeshRequest = {
  instance: "instance@ssh-mesh",
  private: "private@ssh-mesh",
  allowDial: "allow-dial@ssh-mesh",
  refused: "refused@ssh-mesh",
  drain: "drain@ssh-mesh",
} as const;

/** Characters of an instance id: a UUID has 36. */
const MAX_INSTANCE_LENGTH = 128;
/** Ranges that one agent may offer. */
const MAX_DIAL_RANGES = 256;

/** @throws {MalformedError} */
export function decodeInstance(data: Bytes): string {
  const reader = new Reader(data);
  const instance = reader.utf8();
  reader.end();
  if (instance === "" || instance.length > MAX_INSTANCE_LENGTH) {
    throw new MalformedError("not an instance id");
  }
  return instance;
}

export function encodeInstance(instance: string): Bytes {
  return new Writer().string(instance).finish();
}

/** Texts of ranges. @throws {MalformedError} */
export function decodeAllowDial(data: Bytes): string[] {
  const reader = new Reader(data);
  const ranges: string[] = [];
  while (reader.remaining > 0) {
    if (ranges.length >= MAX_DIAL_RANGES) throw new MalformedError("too many ranges");
    ranges.push(reader.utf8());
  }
  return ranges;
}

export function encodeAllowDial(ranges: readonly string[]): Bytes {
  const writer = new Writer();
  for (const range of ranges) writer.string(range);
  return writer.finish();
}

export function encodeRefused({ host, port }: HostPort, sentence: string): Bytes {
  return new Writer().string(host).uint32(port).string(sentence).finish();
}

/** @throws {MalformedError} */
export function decodeRefused(data: Bytes): { readonly asked: HostPort; readonly sentence: string } {
  const reader = new Reader(data);
  const asked = { host: reader.utf8(), port: reader.uint32() };
  const sentence = reader.utf8();
  reader.end();
  return { asked, sentence };
}
