/**
 * What neither `Deno.Command` nor node-pty can do before `exec`: choose `argv[0]`, set terminal modes, learn the
 * terminal's name. A shell does it in the child's own process and then replaces itself by the command.
 */
import type { Command, Terminal } from "../platform/process.ts";
import { findExecutable, isExecutable } from "./executable.ts";
import { sttyArguments } from "./stty.ts";

/** A file and its arguments, ready for `exec`. */
export interface Launch {
  readonly file: string;
  readonly args: string[];
}

/** Shells whose `exec` knows `-a NAME`, with the flags that make them read no start-up file for `-c`. */
const EXEC_A: Readonly<Record<string, readonly string[]>> = {
  bash: ["--norc", "--noprofile"],
  zsh: ["-f"],
  ksh: [],
  mksh: [],
};

const PLAIN_SHELL = "/bin/sh";

/**
 * Resolves `command` to what is executed. Where no shell is installed the command is executed as it is: terminal
 * modes then stay at the system's, and a login shell gets `-l` in place of its dash.
 * @throws {SpawnError} when the command's file cannot be executed
 */
export async function resolveLaunch(command: Command, terminal?: Terminal): Promise<Launch> {
  const file = await findExecutable(command.file, command.env.PATH);
  const wantsName = command.argv0 !== undefined && command.argv0 !== command.file;
  const modes = terminal?.modes ? sttyArguments(terminal.modes) : [];
  const variable = terminal?.deviceVariable;
  if (!wantsName && modes.length === 0 && variable === undefined) return { file, args: [...command.args] };

  const login = wantsName && command.argv0!.startsWith("-");
  const namer = wantsName ? await shellThatNames(file) : undefined;
  const shell = namer ?? (await isExecutable(PLAIN_SHELL) ? PLAIN_SHELL : undefined);
  const args = login && namer === undefined ? ["-l", ...command.args] : [...command.args];
  if (shell === undefined) return { file, args };
  if (namer === undefined && modes.length === 0 && variable === undefined) return { file, args };

  const script: string[] = [];
  if (variable !== undefined) script.push(`${variable}=$(tty) && export ${variable}`);
  // A terminal that refuses a mode is still a terminal.
  if (modes.length > 0) script.push(`stty ${modes.map(quote).join(" ")} 2>/dev/null`);
  script.push(namer === undefined ? 'exec "$@"' : `exec -a ${quote(command.argv0!)} "$@"`);
  const flags = EXEC_A[baseName(shell)] ?? [];
  return { file: shell, args: [...flags, "-c", script.join("\n"), "sh", file, ...args] };
}

/** The command's own shell if it can, else bash if it is there. */
async function shellThatNames(file: string): Promise<string | undefined> {
  if (baseName(file) in EXEC_A) return file;
  for (const candidate of ["/bin/bash", "/usr/bin/bash"]) if (await isExecutable(candidate)) return candidate;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** `text` as one word of a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
