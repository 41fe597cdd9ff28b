/**
 * Installs gateway, authority, agent and sshm for this user: `ssh-mesh-gateway`, `ssh-mesh-ca`, `ssh-mesh-agent` and `sshm`
 * in `$DENO_INSTALL_ROOT/bin`, by default `~/.deno/bin`. They run the modules of this folder: leave it where it is.
 * They are run by the Deno that runs this, whether or not it is in PATH.
 *
 *   deno run -A deploy/install.ts
 */
import { installedCommands } from "./commands.ts";

const project = new URL("../", import.meta.url).pathname;
const root = Deno.env.get("DENO_INSTALL_ROOT") ?? `${Deno.env.get("HOME")}/.deno`;
const bin = `${root}/bin`;

Deno.mkdirSync(bin, { recursive: true });
const deno = keptDeno(Deno.execPath(), `${bin}/ssh-mesh-deno`);
for (const { name, entry, permissions } of installedCommands) {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["install", "--global", "--force", "--quiet", "--config", `${project}deno.json`, "--name", name],
      ...permissions,
      project + entry,
    ],
    cwd: project,
    stdin: "null",
  }).output();
  if (!success) fail(`${name} could not be installed: ${new TextDecoder().decode(stderr).trim()}`);
  runBy(deno, `${bin}/${name}`);
}
console.log(`Installed in ${bin}: ${installedCommands.map(({ name }) => name).join(", ")}`);

const path = Deno.env.get("PATH") ?? "";
if (!path.split(":").includes(bin)) console.log(`Add it to PATH:  export PATH="${bin}:$PATH"`);

/** Path of a Deno that stays: npx may clean its cache at any time. */
function keptDeno(path: string, keptAt: string): string {
  if (!path.includes("/_npx/")) return path;
  // Beside it and then in its place: an earlier one may be running, and cannot be written to.
  const fresh = `${keptAt}.${Deno.pid}`;
  try {
    Deno.linkSync(path, fresh);
  } catch {
    // On another file system, or another user's.
    Deno.copyFileSync(path, fresh);
  }
  Deno.renameSync(fresh, keptAt);
  // Where both were links to one file, renaming did nothing.
  try {
    Deno.removeSync(fresh);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return keptAt;
}

/** Names the executable in what Deno wrote, which leaves it to PATH. */
function runBy(executable: string, file: string): void {
  const script = Deno.readTextFileSync(file);
  const named = script.replace(/^exec deno /m, () => `exec '${executable.replaceAll("'", `'\\''`)}' `);
  if (named === script) fail(`${file} could not be written: Deno's form of it is not known`);
  Deno.writeTextFileSync(file, named);
}

function fail(reason: string): never {
  console.error(reason);
  Deno.exit(1);
}
