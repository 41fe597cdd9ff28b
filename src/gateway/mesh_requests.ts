/**
 * Global requests between this gateway and its own agents (`…@ssh-mesh`; RFC 4250 §4.6.1 leaves such names to us). Stock
 * clients send none of them, and get none: the gateway speaks only to who has sent `instance@ssh-mesh`.
 *
 * | request | from | data | reply |
 * |---|---|---|---|
 * | `instance@ssh-mesh` | agent | string instance id, new for each start of the agent | SUCCESS; FAILURE when empty or too long |
 * | `allow-dial@ssh-mesh` | agent | uint32 count, count × string `CIDR:PORT[-PORT]`: what it dials for others, replacing what it said before | SUCCESS; FAILURE when one is none, or too many |
 * | `refused@ssh-mesh` | gateway | string address, uint32 port, both as in the `tcpip-forward` that is refused or withdrawn; string sentence | none |
 * | `drain@ssh-mesh` | gateway | uint32 milliseconds until connections are cut | none |
 */
import type { Bytes } from "../bytes/bytes.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { HostPort } from "../ssh/forward/messages.ts";

export const MeshRequest = {
  instance: "instance@ssh-mesh",
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
  const count = reader.uint32();
  if (count > MAX_DIAL_RANGES) throw new MalformedError("too many ranges");
  const ranges = Array.from({ length: count }, () => reader.utf8());
  reader.end();
  return ranges;
}

export function encodeAllowDial(ranges: readonly string[]): Bytes {
  const writer = new Writer().uint32(ranges.length);
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

export function encodeDrain(milliseconds: number): Bytes {
  return new Writer(4).uint32(Math.min(milliseconds, 2 ** 32 - 1)).finish();
}

/** Milliseconds. @throws {MalformedError} */
export function decodeDrain(data: Bytes): number {
  const reader = new Reader(data);
  const milliseconds = reader.uint32();
  reader.end();
  return milliseconds;
}
