/**
 * Installs gateway, authority, agent and sshm for this user: `ssh-mesh-gateway`, `ssh-mesh-ca`, `ssh-mesh-agent` and `sshm`
 * in `$DENO_INSTALL_ROOT/bin`, by default `~/.deno/bin`. They run the modules of this folder: leave it where it is.
 *
 *   deno run -A deploy/install.ts
 */
import { findExecutable } from "../src/deno/executable.ts";
import { installedCommands } from "./commands.ts";

const project = new URL("../", import.meta.url).pathname;

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
  if (!success) {
    console.error(`${name} could not be installed: ${new TextDecoder().decode(stderr).trim()}`);
    Deno.exit(1);
  }
}
const root = Deno.env.get("DENO_INSTALL_ROOT") ?? `${Deno.env.get("HOME")}/.deno`;
console.log(`Installed in ${root}/bin: ${installedCommands.map(({ name }) => name).join(", ")}`);

const path = Deno.env.get("PATH") ?? "";
if (!path.split(":").includes(`${root}/bin`)) console.log(`Add it to PATH:  export PATH="${root}/bin:$PATH"`);
if (!await findExecutable("deno", path).catch(() => undefined)) {
  console.log("They are run by 'deno', which is not in PATH:  npm install -g deno");
}
