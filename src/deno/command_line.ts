/** How a command of this project is typed on this machine, from any folder. */
import { findExecutable } from "./executable.ts";

/**
 * `name` where that is installed in PATH, else the Deno that runs this with the command's module.
 * @param module its `file:` URL
 */
export async function commandLine(name: string, module: string): Promise<string> {
  const path = Deno.env.get("PATH");
  const isInPath = (file: string) => findExecutable(file, path).then(() => true, () => false);
  if (Deno.build.standalone || await isInPath(name)) return name;
  // npx has put its own copy of Deno into PATH, for as long as this runs.
  const byNpx = Deno.env.get("npm_command") === "exec";
  const deno = byNpx
    ? `npx -y deno@${Deno.version.deno}`
    : shellWord(await isInPath("deno") ? "deno" : Deno.execPath());
  return `${deno} run -A ${shellWord(decodeURIComponent(new URL(module).pathname))}`;
}

function shellWord(text: string): string {
  return /^[\w./:@+,%=~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
