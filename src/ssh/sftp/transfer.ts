/** Moves whole files with many requests outstanding, so that distance costs one round trip and not one per request. */
import type { Bytes } from "../../bytes/bytes.ts";

/** Requests outstanding in one transfer: OpenSSH's default, which servers are tuned for. */
export const TRANSFER_REQUESTS = 64;

/** Bytes outstanding or waiting for their turn in one transfer: 1 Gbit/s over 64 ms. */
const TRANSFER_BYTES = 8 * 1024 * 1024;

/** Reads up to `length` bytes at `offset`; may return fewer, and null at the end. */
export type ReadAt = (offset: number, length: number) => Promise<Bytes | null>;

/** Writes `data` at `offset`; it may be used again as soon as the call has returned. */
export type WriteAt = (data: Bytes, offset: number) => Promise<void>;

/** Which part of a file, in which pieces. */
export interface ReadAheadOptions {
  /** Where to begin, in bytes. */
  readonly offset: number;
  /** Where to stop; the end of the file if that comes first. */
  readonly end: number;
  /** Where the file is believed to end: no more than one request at a time goes beyond. */
  readonly expectedEnd: number;
  /** Bytes in one request. */
  readonly chunk: number;
}

function outstanding(chunk: number): number {
  return Math.max(1, Math.min(TRANSFER_REQUESTS, Math.floor(TRANSFER_BYTES / chunk)));
}

/** One chunk, in as many reads as the server makes of it. `ended` when the file has no more. */
async function readChunk(
  read: ReadAt,
  offset: number,
  length: number,
): Promise<{ parts: Bytes[]; ended: boolean }> {
  const parts: Bytes[] = [];
  for (let have = 0; have < length;) {
    const part = await read(offset + have, length - have);
    if (part === null || part.length === 0) return { parts, ended: true };
    parts.push(part);
    have += part.length;
  }
  return { parts, ended: false };
}

/** The bytes of a file in order, reading ahead. Ends, also early, only when no request is outstanding any more. */
export async function* readAhead(read: ReadAt, options: ReadAheadOptions): AsyncGenerator<Bytes, void, void> {
  const { end, expectedEnd, chunk } = options;
  const window = outstanding(chunk);
  const queue: ReturnType<typeof readChunk>[] = [];
  let offset = options.offset;
  try {
    for (;;) {
      while (offset < end && queue.length < window && (queue.length === 0 || offset < expectedEnd)) {
        const length = Math.min(chunk, end - offset);
        const next = readChunk(read, offset, length);
        // It is awaited in its turn; until then a failure is nobody's.
        next.catch(() => {});
        queue.push(next);
        offset += length;
      }
      const first = queue.shift();
      if (!first) return;
      const { parts, ended } = await first;
      yield* parts;
      if (ended) return;
    }
  } finally {
    await Promise.allSettled(queue);
  }
}

/**
 * Writes all of `source` from `offset`, with many requests outstanding. Settles only when none is any more.
 * @returns how many bytes were written
 * @throws the first failure; what lies beyond it may have been written or not
 */
export async function writeBehind(
  write: WriteAt,
  source: AsyncIterable<Bytes>,
  options: { readonly offset: number; readonly chunk: number },
): Promise<number> {
  const { chunk } = options;
  const running = new Set<Promise<void>>();
  let bytes = 0;
  let failure: { readonly reason: unknown } | undefined;
  let offset = options.offset;
  try {
    for await (const piece of source) {
      for (let at = 0; at < piece.length; at += chunk) {
        while (running.size >= TRANSFER_REQUESTS || bytes >= TRANSFER_BYTES) await Promise.race(running);
        if (failure) throw failure.reason;
        const part = piece.subarray(at, at + chunk);
        const written = write(part, offset).catch((reason) => {
          failure ??= { reason };
        }).finally(() => {
          running.delete(written);
          bytes -= part.length;
        });
        running.add(written);
        bytes += part.length;
        offset += part.length;
      }
    }
  } finally {
    await Promise.all(running);
  }
  if (failure) throw failure.reason;
  return offset - options.offset;
}

/** A web stream over `bytes`; cancelling it ends the generator. */
export function streamOf(bytes: AsyncGenerator<Bytes, void, void>): ReadableStream<Bytes> {
  return new ReadableStream<Bytes>({
    async pull(controller) {
      const { done, value } = await bytes.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await bytes.return();
    },
  }, { highWaterMark: 0 });
}
