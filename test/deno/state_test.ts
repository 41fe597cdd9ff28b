/** The state folder: what is in it is whole, whenever its writer dies. */
import assert from "node:assert/strict";
import { openStateFolder } from "../../src/deno/state.ts";
import { temporaryFolder } from "../support/folder.ts";

/** Writes `key` over and over, as large as it gets, in turn of one letter and another; says so after each. */
const WRITER = (state: string, path: string) => `
import { openStateFolder } from ${JSON.stringify(state)};
const folder = await openStateFolder(${JSON.stringify(path)}, "lock");
for (let i = 0; ; i++) {
  await folder.write("key", new Uint8Array(16 * 1024 * 1024).fill(i % 2 === 0 ? 97 : 98));
  if (i === 1) console.log("begun");
}
`;

Deno.test("a writer that is killed at any moment leaves the old content or the new one, whole and private", async () => {
  using folder = temporaryFolder();
  const path = folder.at("state");
  const program = folder.write("writer.ts", WRITER(import.meta.resolve("../../src/deno/state.ts"), path));
  for (let kill = 0; kill < 6; kill++) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program],
      stdout: "piped",
    }).spawn();
    const said = child.stdout.getReader();
    // Also before the first one is through.
    if (kill > 0) await said.read();
    await new Promise((resolve) => setTimeout(resolve, kill * 7));
    child.kill("SIGKILL");
    await said.cancel();
    await child.status;
    if (kill === 0) continue;
    const content = Deno.readFileSync(`${path}/key`);
    assert.equal(content.length, 16 * 1024 * 1024);
    assert.equal(content.indexOf(content[0] === 97 ? 98 : 97), -1);
    assert.equal(Deno.statSync(`${path}/key`).mode! & 0o777, 0o600);
  }
});

Deno.test("whoever looks while a file is written finds all of the old content or all of the new", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  using _ = { [Symbol.dispose]: () => state.close() };
  const contents = [97, 98].map((letter) => new Uint8Array(8 * 1024 * 1024).fill(letter));
  await state.write("key", contents[0]);
  for (let i = 1; i < 6; i++) {
    let written = false;
    const writing = state.write("key", contents[i % 2]).then(() => written = true);
    while (!written) {
      const seen = await Deno.readFile(`${state.path}/key`);
      assert.equal(seen.length, contents[0].length);
      assert.equal(seen[0], seen.at(-1));
    }
    await writing;
  }
});
