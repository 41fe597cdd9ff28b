/** The whole of what a program says. */
import { type Bytes, concat } from "../bytes/bytes.ts";
import type { PipeReader } from "../platform/process.ts";
import { SshmError } from "./exit_codes.ts";

/**
 * Reads until the end.
 * @param limit bytes at most
 * @param what for the sentence: `the gateway's answer`
 * @throws {SshmError} `refused` for more
 */
export async function readAll(reader: PipeReader, limit: number, what: string): Promise<Bytes> {
  const chunks: Bytes[] = [];
  const buffer = new Uint8Array(32 * 1024);
  let length = 0;
  for (let count = await reader.read(buffer); count !== null; count = await reader.read(buffer)) {
    length += count;
    if (length > limit) throw new SshmError("refused", `${what} does not end`);
    chunks.push(buffer.slice(0, count));
  }
  return concat(...chunks);
}
