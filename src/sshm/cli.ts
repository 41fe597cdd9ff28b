/** What commands are built with. */
import type { Command } from "commander";
import type { ExitReason } from "./exit_codes.ts";
import { type GlobalFlags, globalFlags } from "./flags.ts";
import type { SshmHost } from "./host.ts";

/** One run of the program. */
export interface Cli {
  readonly host: SshmHost;
  /** How it ends, unless a command throws. */
  ending: ExitReason;
}

/** Does what a command is for; what it resolves to is how the program ends, `done` by default. */
export type Action<Flags> = (
  flags: Flags & GlobalFlags,
  args: readonly string[],
) => Promise<ExitReason | void>;

/** Gives `command` its action. */
export function run<Flags>(cli: Cli, command: Command, action: Action<Flags>): Command {
  return command.action(async () => {
    const values = command.optsWithGlobals<Flags & Partial<GlobalFlags>>();
    cli.ending = await action({ ...values, ...globalFlags(values) }, command.args) ?? "done";
  });
}

/** Shows examples below the help of `command`: what to type, and what it is for. */
export function addExamples(
  command: Command,
  examples: readonly (readonly [line: string, why: string])[],
): Command {
  const text = examples.map(([line, why]) => `  $ ${line}\n      ${why}`).join("\n");
  return command.addHelpText("after", `\nExamples:\n${text}`);
}
