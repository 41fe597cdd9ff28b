/** The command line of `sshm`: its commands, and how a run of them ends. */
import { Command, CommanderError } from "commander";
import { AgentError, type ExitReason as AgentExitReason } from "../agent/exit_codes.ts";
import { loggableText } from "../telemetry/json_line.ts";
import { formatEndings } from "../platform/exit_codes.ts";
import type { Cli } from "./cli.ts";
import { addAskpassCommand, isPrompt } from "./askpass_command.ts";
import { addAuthorityCommands } from "./authority_commands.ts";
import { addCertificateCommand } from "./certificate_command.ts";
import { addCompletionCommand, answerCompletion, COMPLETE } from "./completion.ts";
import { addConnectCommands } from "./connect.ts";
import { exitCodes, type ExitReason, SshmError } from "./exit_codes.ts";
import { addGlobalFlags } from "./flags.ts";
import type { SshmHost } from "./host.ts";
import { note } from "./output.ts";
import { addPolicyCommands } from "./policy_commands.ts";
import { addRemoteCommands } from "./remote_commands.ts";
import { addSshConfigCommand } from "./ssh_config_command.ts";

/**
 * Runs one command. What goes wrong is one sentence on standard error (with `--json` an object with `error` and `message`).
 * @param args without the program's name
 * @param version for `--version`
 * @returns the exit code, one of {@link exitCodes}
 */
export async function runSshm(args: readonly string[], host: SshmHost, version: string): Promise<number> {
  const cli: Cli = { host, ending: "done" };
  const said = { out: "", err: "" };
  let mistake: { reason: ExitReason; message: string } | undefined;
  try {
    const program = buildProgram(cli, said, version);
    if (args[0] === COMPLETE) await answerCompletion(cli, program, args.slice(1));
    else await program.parseAsync(isPrompt(args) ? ["askpass", "--", ...args] : args, { from: "user" });
  } catch (error) {
    mistake = explain(error);
  }
  if (said.out) await host.stdio.write(new TextEncoder().encode(said.out));
  if (!mistake) return exitCodes[cli.ending].code;
  const { reason, message } = mistake;
  if (reason !== "done") {
    const line = args.includes("--json")
      ? JSON.stringify({ error: reason, message })
      : message.split("\n").map((part) => `sshm: ${loggableText(part)}`).join("\n");
    await note(host, line);
  }
  return exitCodes[reason].code;
}

/** All commands. @param said collects what commander itself prints */
export function buildProgram(cli: Cli, said: { out: string; err: string }, version: string): Command {
  const program = new Command("sshm")
    .description("Reach workloads through an ssh-mesh gateway, and ask what a policy decides.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "this text")
    .exitOverride()
    .configureOutput({ writeOut: (text) => said.out += text, writeErr: (text) => said.err += text })
    .allowExcessArguments(false)
    .showSuggestionAfterError()
    .addHelpText("after", epilogue());
  addGlobalFlags(program, (name) => cli.host.environment(name));
  addRemoteCommands(program, cli);
  addConnectCommands(program, cli);
  addSshConfigCommand(program, cli);
  addCertificateCommand(program, cli);
  addAuthorityCommands(program, cli);
  addAskpassCommand(program, cli);
  addPolicyCommands(program, cli);
  addCompletionCommand(program, cli);
  return program;
}

/** Reasons of the code that is shared with the agent, as this program's. */
const AGENT_REASONS: Partial<Record<AgentExitReason, ExitReason>> = {
  usage: "usage",
  files: "files",
  unknownGateway: "unknownGateway",
  hostKey: "hostKey",
  credential: "credential",
};

function explain(error: unknown): { reason: ExitReason; message: string } {
  if (error instanceof SshmError) return error;
  if (error instanceof AgentError) {
    return { reason: AGENT_REASONS[error.reason] ?? "failed", message: error.message };
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { reason: "done", message: "" };
    if (error.code === "commander.help") {
      return { reason: "usage", message: "which command? (--help lists all)" };
    }
    return { reason: "usage", message: inOurWords(error.message) };
  }
  return { reason: "failed", message: error instanceof Error ? error.message : String(error) };
}

function epilogue(): string {
  return `\nEvery command has --help with examples.\n\n${formatEndings(exitCodes)}`;
}

/** What commander says of a mistake, as one sentence about what was typed. */
function inOurWords(message: string): string {
  return message.replace(/^error: /, "")
    .replaceAll("\n", " ")
    .replace(
      /^command-argument value '(.*)' is invalid for argument '(\w+)'\. Allowed choices are (.*)\.$/,
      "$2 is one of $3, not '$1'",
    )
    .replace(/^option '(?:.*, )?(--[\w-]+).*?' argument '.*?' is invalid\. /, "$1: ");
}
