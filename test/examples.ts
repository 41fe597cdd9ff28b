/**
 * Runs the documentation's examples.
 *
 * - Every TypeScript block in a docstring or a Markdown file runs as a test.
 * - Every shell block of a Markdown file whose fence says `sh runs` (```` ```sh runs ````) runs too: the blocks of
 *   one file in order, in one shell that stops at the first command that fails, from the project's folder, with a home folder
 *   of its own that starts empty. What they leave running is ended with them.
 */
import { readSources } from "./architecture/arrows.ts";
import { temporaryFolder } from "./support/folder.ts";
import { run } from "./support/process.ts";

const root = new URL("../", import.meta.url);

/** What a file's shell examples may take in milliseconds: a person follows along in five minutes. */
const SHELL_PATIENCE = 120_000;

/** Runnable shell blocks of a Markdown text, joined into one script; undefined when there are none. */
export function shellExamples(markdown: string): string | undefined {
  const blocks = [...markdown.matchAll(/^```sh runs[^\n]*\n(.*?)^```$/gms)].map(([, block]) => block);
  return blocks.length > 0 ? blocks.join("\n") : undefined;
}

/** Runs a script of shell examples; rejects with its output when it fails. */
export async function runShell(script: string, cwd: string): Promise<void> {
  using home = temporaryFolder();
  const denoDir =
    JSON.parse((await run([Deno.execPath(), "info", "--json"], { env: { HOME: realHome() } })).text).denoDir;
  const env = { HOME: home.path, DENO_DIR: denoDir, npm_config_cache: `${realHome()}/.npm` };
  // The job-control shell puts what a block starts with & into groups; the trap ends them with the script.
  const whole = `set -euo pipefail\ntrap 'jobs -p | xargs -r kill 2>/dev/null || true; wait' EXIT\n${script}`;
  const { code, text, stderr } = await run(["bash", "-c", whole], { cwd, env, within: SHELL_PATIENCE });
  if (code !== 0) throw new Error(`exit ${code}\n${text}${stderr}`);
}

function realHome(): string {
  return Deno.env.get("HOME") ?? "/root";
}

function markdownFiles(): string[] {
  const inRoot = [...Deno.readDirSync(root)].map(({ name }) => name).filter((name) => name.endsWith(".md"));
  return inRoot.sort();
}

if (import.meta.main) {
  const typed = [...readSources(root)].filter(([path, source]) =>
    !path.startsWith("test/") && /^\s*\*? ?```ts/m.test(source)
  );
  const documents = markdownFiles();
  const args = ["test", "-A", "--doc", "--quiet", ...Deno.args, ...typed.map(([path]) => path), ...documents];
  const { success } = new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    stdout: "inherit",
    stderr: "inherit",
  }).outputSync();
  let failed = success ? 0 : 1;
  for (const name of documents) {
    const script = shellExamples(Deno.readTextFileSync(new URL(name, root)));
    if (script === undefined) continue;
    try {
      await runShell(script, root.pathname);
      console.log(`${name}: shell examples ... ok`);
    } catch (error) {
      failed++;
      console.log(`${name}: shell examples ... FAILED\n${(error as Error).message}`);
    }
  }
  Deno.exit(failed ? 1 : 0);
}
