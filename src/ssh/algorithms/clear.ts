/** Packets before the first SSH_MSG_NEWKEYS: neither encrypted nor authenticated (RFC 4253 §6). */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Opener, Sealer } from "./protection.ts";

const shape = { blockSize: 8, lengthCounts: true, tagLength: 0 } as const;

/** Sends packets as they are. */
export const clearSealer: Sealer = {
  ...shape,
  seal() {},
  free() {},
};

/** Takes packets as they come. */
export const clearOpener: Opener = {
  ...shape,
  headLength: 4,
  length: (_sequence, head) => readLength(head),
  open: () => true,
  free() {},
};

/** The uint32 at the start of `head`. */
export function readLength(head: Bytes): number {
  return ((head[0] << 24) | (head[1] << 16) | (head[2] << 8) | head[3]) >>> 0;
}
