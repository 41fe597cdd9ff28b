import assert from "node:assert/strict";
import { run } from "../support/process.ts";

const home = new URL("../../src/deno/home.ts", import.meta.url).href;
const script = `import { environmentWithHome } from ${JSON.stringify(home)};
console.log(environmentWithHome("HOME"));`;

async function homeWith(env: Record<string, string>): Promise<string> {
  const { text } = await run([Deno.execPath(), "eval", script], { env });
  return text.trim();
}

Deno.test("home is what HOME says, and without it what the account says", async () => {
  assert.equal(await homeWith({ HOME: "/somewhere" }), "/somewhere");
  const entry = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"))
    .find(([, , uid]) => uid === `${Deno.uid()}`);
  assert.equal(await homeWith({ HOME: "" }), entry?.[5] ?? "undefined");
});
