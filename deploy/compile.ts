/**
 * Compiles gateway, authority, agent and sshm to one executable each, in `dist/` or the folder that is named.
 *
 *   deno run -A deploy/compile.ts [FOLDER]
 *
 * `deno compile` puts the modules behind a base executable, denort, which it downloads once. Where that cannot be had, this
 * says so and does what can be done without it: every module of them is resolved, loaded and type-checked. Exit
 * code 0 then too: nothing of the project is wrong.
 */
import { type InstalledCommand, installedCommands } from "./commands.ts";

const project = new URL("../", import.meta.url).pathname;
const folder = Deno.args[0] ?? `${project}dist`;

/** How Deno says that there is no base executable. */
const NO_BASE = /base binary|denort/i;

async function deno(...args: string[]): Promise<{ success: boolean; said: string }> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: project, stdin: "null" })
    .output();
  return { success, said: new TextDecoder().decode(stderr).trim() };
}

/** @returns false when there is no base executable */
async function compile({ name, entry, permissions }: InstalledCommand): Promise<boolean> {
  const output = `${folder}/${name}`;
  const { success, said } = await deno("compile", "--quiet", "--output", output, ...permissions, entry);
  if (success) {
    console.log(`${output}  ${(Deno.statSync(output).size / 2 ** 20).toFixed(0)} MiB`);
    return true;
  }
  if (NO_BASE.test(said)) return false;
  throw new Error(`${name} does not compile: ${said}`);
}

async function checkGraph(): Promise<void> {
  const entries = installedCommands.map(({ entry }) => entry);
  for (const command of ["cache", "check"]) {
    const { success, said } = await deno(command, ...entries);
    if (!success) throw new Error(said);
  }
  console.log(`Every module of ${entries.join(", ")} is there and type-checks.`);
}

try {
  let base = true;
  for (const command of installedCommands) base &&= await compile(command);
  if (!base) {
    console.log(
      "No executable was made: deno compile needs its base executable (denort), which cannot be downloaded here.",
    );
    await checkGraph();
  }
} catch (error) {
  console.error((error as Error).message);
  Deno.exit(1);
}
