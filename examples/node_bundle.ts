/**
 * Makes one file of a program that uses the library, for Node 20 and later.
 *
 *   deno run -A examples/node_bundle.ts PROGRAM.ts BUNDLE.mjs
 */
import { build, stop } from "esbuild";

const [entry, bundle] = Deno.args;
const project = new URL("../", import.meta.url);

// Deno keeps packages in a cache of its own; esbuild looks for them in a node_modules folder.
const folder = await Deno.makeTempDir();
try {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", project)));
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ nodeModulesDir: "auto", imports }));
  await Deno.copyFile(new URL("deno.lock", project), `${folder}/deno.lock`);
  const install = new Deno.Command(Deno.execPath(), { args: ["install", "--quiet"], cwd: folder });
  const { success, stderr } = await install.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));

  await build({
    entryPoints: [entry],
    outfile: bundle,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    nodePaths: [`${folder}/node_modules`],
    // Some packages are CommonJS and ask for Node's modules at run time.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
} finally {
  await stop();
  await Deno.remove(folder, { recursive: true });
}
