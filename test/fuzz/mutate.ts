/** Valid inputs made invalid, one small step at a time. */
import { type Bytes, concat } from "../../src/bytes/bytes.ts";
import type { Random } from "./random.ts";

/** Lengths and counts that parsers get wrong. */
const NUMBERS = [0, 1, 2, 4, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x4_0000, 0x7fff_ffff, 0x8000_0000]
  .concat(0xffff_ffff, 0xffff_fffc, 0xffff_fffb);

type Mutation = (input: Bytes, random: Random, others: readonly Bytes[]) => Bytes;

const mutations: readonly Mutation[] = [
  // One bit.
  (input, random) => {
    const changed = input.slice();
    if (changed.length > 0) changed[random.below(changed.length)] ^= 1 << random.below(8);
    return changed;
  },
  // One byte.
  (input, random) => {
    const changed = input.slice();
    if (changed.length > 0) changed[random.below(changed.length)] = random.below(256);
    return changed;
  },
  // Cut at the end, or at the start.
  (input, random) => input.slice(0, random.below(input.length + 1)),
  (input, random) => input.slice(random.below(input.length + 1)),
  // A number at a place where a length may be.
  (input, random) => {
    const changed = input.slice();
    if (changed.length < 4) return changed;
    new DataView(changed.buffer).setUint32(random.below(changed.length - 3), random.pick(NUMBERS));
    return changed;
  },
  // Something put in, taken out, repeated.
  (input, random) => {
    const at = random.below(input.length + 1);
    return concat(input.subarray(0, at), random.bytes(random.below(32)), input.subarray(at));
  },
  (input, random) => {
    const at = random.below(input.length + 1);
    return concat(input.subarray(0, at), input.subarray(at + random.below(16)));
  },
  (input, random) => {
    const from = random.below(input.length + 1);
    const part = input.subarray(from, from + random.below(64));
    return concat(
      input.subarray(0, from),
      ...Array<Bytes>(random.below(20)).fill(part),
      input.subarray(from),
    );
  },
  // The first part of one and the last of another.
  (input, random, others) => {
    const other = random.pick(others);
    return concat(
      input.subarray(0, random.below(input.length + 1)),
      other.subarray(random.below(other.length + 1)),
    );
  },
];

/** `input` after one to four mutations. @param others of the same kind, to splice with */
export function mutate(input: Bytes, random: Random, others: readonly Bytes[] = [input]): Bytes {
  let changed = input;
  for (let left = 1 + random.below(4); left > 0; left--) {
    changed = random.pick(mutations)(changed, random, others);
  }
  return changed;
}
