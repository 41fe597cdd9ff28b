/** Encoded terminal modes (RFC 4254 §8). */
import type { Bytes } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";

/** Terminal modes: opcode to value, in the order of the encoding. */
export type TerminalModes = ReadonlyMap<number, number>;

const TTY_OP_END = 0;

/** Opcodes from here on have no defined argument: parsing stops there (RFC 4254 §8). */
const FIRST_UNDEFINED = 160;

/**
 * Reads encoded modes; of a repeated opcode the last value counts. A missing TTY_OP_END is forgiven, as everybody does.
 * @throws {MalformedError} when an argument is cut short
 */
export function parseTerminalModes(encoded: Bytes): TerminalModes {
  const modes = new Map<number, number>();
  const reader = new Reader(encoded);
  while (reader.remaining > 0) {
    const opcode = reader.byte();
    if (opcode === TTY_OP_END || opcode >= FIRST_UNDEFINED) break;
    modes.set(opcode, reader.uint32());
  }
  return modes;
}

/** Encodes `modes`. @throws {RangeError} for an opcode outside 1–159 */
export function encodeTerminalModes(modes: TerminalModes): Bytes {
  const writer = new Writer();
  for (const [opcode, value] of modes) {
    if (!(opcode > TTY_OP_END && opcode < FIRST_UNDEFINED)) {
      throw new RangeError(`no terminal mode ${opcode}`);
    }
    writer.byte(opcode).uint32(value);
  }
  return writer.byte(TTY_OP_END).finish();
}
