import assert from "node:assert/strict";
import { temporaryFolder } from "../support/folder.ts";
import { checkCore, coreFiles } from "../core_types.ts";

const EXAMPLES: [source: string, passes: boolean][] = [
  ["export const key: CryptoKey | undefined = undefined; setTimeout(() => {}, 0);", true],
  ["export const bytes = new TextEncoder().encode(new URL('x:').href);", true],
  ["export const args = Deno.args;", false],
  ["export const pid = process.pid;", false],
  ["export const bytes = Buffer.from('x');", false],
];

for (const [source, passes] of EXAMPLES) {
  Deno.test(`checked against the web's types alone, '${source}' ${passes ? "passes" : "fails"}`, () => {
    using folder = temporaryFolder();
    assert.equal(checkCore([folder.write("example.ts", source)], "null"), passes);
  });
}

Deno.test("the core is everything but the adapters, the commands and the tests", () => {
  const files = coreFiles();
  assert.ok(files.includes("mod.ts") && files.includes("src/streams/duplex.ts"));
  assert.deepEqual(files.filter((path) => /^(src\/deno|cmd|test)\//.test(path)), []);
});
