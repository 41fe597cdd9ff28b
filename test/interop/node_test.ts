/** The library runs outside Deno: bundled by esbuild, run by Node. */
import assert from "node:assert/strict";
import { build, stop } from "esbuild";
import { denoCache } from "./clients.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { node, peerTest } from "../support/peers.ts";
import { succeed } from "../support/process.ts";

const project = new URL("../../", import.meta.url);

/** Lays the project's packages out as a `node_modules` folder, for tools that know no other form; returns it. */
async function installPackages(folder: Folder): Promise<string> {
  const { imports } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", project)));
  folder.write("deno.json", JSON.stringify({ nodeModulesDir: "auto", imports }));
  folder.write("deno.lock", Deno.readTextFileSync(new URL("deno.lock", project)));
  await succeed([Deno.execPath(), "install", "--quiet"], {
    cwd: folder.path,
    env: denoCache(),
    within: 60_000,
  });
  return folder.at("node_modules");
}

peerTest("the library, bundled, shakes hands under Node", [node], async () => {
  using folder = temporaryFolder();
  const bundle = folder.at("program.mjs");
  try {
    const { warnings } = await build({
      entryPoints: [new URL("node_program.ts", import.meta.url).pathname],
      outfile: bundle,
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      nodePaths: [await installPackages(folder)],
      logLevel: "silent",
    });
    assert.deepEqual(warnings, []);
  } finally {
    await stop();
  }
  const { text } = await succeed(node.line("node", bundle));
  assert.deepEqual(JSON.parse(text), { identity: "ann", echo: "hello through Node" });
});
