/** Runs the fuzz targets for a while, from a seed that makes every finding repeatable. */
import { type Bytes, EMPTY } from "../../src/bytes/bytes.ts";
import { encodeHex } from "../../src/bytes/encoding.ts";
import { deadline } from "../support/wait.ts";
import { liveOnce } from "./machine.ts";
import { mutate } from "./mutate.ts";
import { type ParserTarget, parserTargets } from "./parsers.ts";
import { Random } from "./random.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Names of parsers, and `machine`; default all. */
  readonly only?: readonly string[];
}

export interface Finding {
  readonly target: string;
  /** What to pass as `--seed`, with `--only`, to see it again at once. */
  readonly seed: number;
  readonly input?: Bytes;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly parsed: number;
  readonly lived: number;
  readonly findings: readonly Finding[];
  /** Bytes of heap and buffers more than after the first tenth. Undefined where the collector cannot be asked. */
  readonly growth?: number;
}

/** Milliseconds that no parser needs for inputs of this size. */
const PARSER_PATIENCE_MS = 2000;

/** Mutated inputs that a parser gets before its turn is over. */
const INPUTS_PER_TURN = 50;

/** Findings after which there is no point in going on. */
const ENOUGH = 20;

export async function fuzz(
  { seed, seconds, only }: FuzzOptions,
  collect?: () => void,
): Promise<FuzzReport> {
  const chosen = (name: string) => !only || only.includes(name);
  const targets = parserTargets.filter(({ name }) => chosen(name));
  const findings: Finding[] = [];
  const end = performance.now() + seconds * 1000;
  const warm = performance.now() + seconds * 100;
  let parsed = 0;
  let lived = 0;
  let memoryBefore: number | undefined;
  const onUnhandled = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    findings.push({ target: "unhandled rejection", seed, error: event.reason });
  };
  globalThis.addEventListener("unhandledrejection", onUnhandled);
  try {
    for (let turn = seed; performance.now() < end && findings.length < ENOUGH; turn = (turn + 1) >>> 0) {
      for (const target of targets) {
        parsed += INPUTS_PER_TURN;
        await parseTurn(target, turn, findings);
      }
      if (chosen("machine")) {
        // As much time for states as for syntax.
        for (let life = 0; life < 20 && performance.now() < end; life++) {
          lived++;
          await liveOnce(new Random(turn * 31 + life)).catch((error) =>
            findings.push({ target: "machine", seed: turn, error })
          );
        }
      }
      if (collect && memoryBefore === undefined && performance.now() > warm) memoryBefore = memory(collect);
    }
    // Whatever a finished connection still had to do is done now.
    await new Promise((resolve) => setTimeout(resolve, 0));
  } finally {
    globalThis.removeEventListener("unhandledrejection", onUnhandled);
  }
  const growth = collect && memoryBefore !== undefined ? memory(collect) - memoryBefore : undefined;
  return { parsed, lived, findings, growth };
}

async function parseTurn(target: ParserTarget, turn: number, findings: Finding[]): Promise<void> {
  const random = new Random(turn);
  let input: Bytes = EMPTY;
  const begun = performance.now();
  try {
    for (let i = 0; i < INPUTS_PER_TURN; i++) {
      input = mutate(random.pick(target.seeds), random, target.seeds);
      try {
        const result = target.parse(input);
        if (result instanceof Promise) await deadline(result, target.name, PARSER_PATIENCE_MS);
      } catch (error) {
        if (!target.errors.some((expected) => error instanceof expected)) throw error;
      }
      if (performance.now() - begun > PARSER_PATIENCE_MS) throw new Error("too slow");
    }
  } catch (error) {
    findings.push({ target: target.name, seed: turn, input, error });
  }
}

function memory(collect: () => void): number {
  collect();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** A finding for people. */
export function describeFinding({ target, seed, input, error }: Finding): string {
  const shown = input ? `\n  input ${encodeHex(input.subarray(0, 2000))}` : "";
  return `${target}, --seed ${seed} --only '${target}'${shown}\n  ${Deno.inspect(error)}`;
}
