/**
 * Type-checks the core (mod.ts and every room but src/deno) against the web platform's types alone: a use of `Deno`,
 * `process` or `Buffer` is an error here. What this cannot see, imports of `node:`, the import graph's test sees.
 */
import { readSources } from "./architecture/arrows.ts";

const root = new URL("../", import.meta.url);

/** The project's configuration with nothing but the web's types. */
function coreConfig(): Record<string, unknown> {
  const { imports, compilerOptions, nodeModulesDir } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", root)),
  );
  const lib = ["dom", "dom.iterable", "dom.asynciterable", "esnext"];
  return { imports, nodeModulesDir, compilerOptions: { ...compilerOptions, lib, types: [] } };
}

/** Checks `files` (paths from the root); resolves to whether they pass. */
export function checkCore(files: readonly string[], output: "inherit" | "null" = "inherit"): boolean {
  const folder = Deno.makeTempDirSync({ prefix: "ssh-mesh-core-" });
  try {
    const config = `${folder}/deno.json`;
    Deno.writeTextFileSync(config, JSON.stringify(coreConfig()));
    const lock = new URL("deno.lock", root).pathname;
    const args = ["check", "--quiet", "--config", config, "--lock", lock, "--frozen", ...files];
    return new Deno.Command(Deno.execPath(), { args, cwd: root, stdout: output, stderr: output })
      .outputSync().success;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Every file of the core. */
export function coreFiles(): string[] {
  return [...readSources(root).keys()].filter((path) => path === "mod.ts" || /^src\/(?!deno\/)/.test(path));
}

if (import.meta.main) Deno.exit(checkCore(coreFiles()) ? 0 : 1);
