import assert from "node:assert/strict";
import { describeFinding, fuzz } from "./fuzz.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

Deno.test("a seed repeats its mutations, another one makes others", () => {
  const input = new Uint8Array(200);
  const run = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 20 }, () => mutate(input, random));
  };
  assert.deepEqual(run(7), run(7));
  assert.notDeepEqual(run(7), run(8));
});

Deno.test("five seconds of fuzzing find nothing", async () => {
  const { parsed, lived, findings } = await fuzz({ seed: 2026, seconds: 5 });
  assert.equal(findings.map(describeFinding).join("\n"), "");
  assert.ok(parsed > 0 && lived > 0);
});
