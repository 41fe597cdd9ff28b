/**
 * Fuzzing from the command line: exits with 1 when something was found.
 *
 *   deno run -A test/fuzz/run.ts [--seed N] [--seconds N] [--only TARGET]
 */
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describeFinding, fuzz } from "./fuzz.ts";

/** What may stay behind after thousands of connections: caches, pools, compiled code. */
const ALLOWED_GROWTH = 32 * 1024 * 1024;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seed: { type: "string" },
    seconds: { type: "string", default: "60" },
    only: { type: "string", multiple: true },
  },
});

const seed = values.seed === undefined ? crypto.getRandomValues(new Uint32Array(1))[0] : Number(values.seed);
const seconds = Number(values.seconds);
if (!Number.isInteger(seed) || !(seconds > 0)) {
  console.error("--seed takes a whole number, --seconds one above 0");
  Deno.exit(2);
}

console.log(`seed ${seed}, ${seconds} s`);
const { parsed, lived, findings, growth } = await fuzz({ seed, seconds, only: values.only }, collector());
for (const finding of findings) console.log(describeFinding(finding));
const grown = growth !== undefined && growth > ALLOWED_GROWTH;
const growthText = growth === undefined ? "not measured" : `${(growth / 1024 / 1024).toFixed(1)} MiB`;
console.log(
  `${parsed} inputs parsed, ${lived} connections lived, ${findings.length} findings, growth ${growthText}`,
);
Deno.exit(findings.length > 0 || grown ? 1 : 0);

/** Runs the garbage collector, where the engine lets itself be asked. */
function collector(): (() => void) | undefined {
  try {
    setFlagsFromString("--expose-gc");
    return runInNewContext("gc") as () => void;
  } catch {
    return undefined;
  }
}
