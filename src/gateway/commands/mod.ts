/** The session channel of the gateway: commands, and never a shell. */
import { type Bytes, concat, encodeText } from "../../bytes/bytes.ts";
import { printable } from "../../bytes/printable.ts";
import type { Service } from "../../ssh/session/program.ts";
import type { SessionHandlers, SessionSettings } from "../../ssh/session/server.ts";
import { CaError } from "../../ca/types.ts";
import type { Channel } from "../../ssh/connection/types.ts";
import { ca, krl } from "./ca.ts";
import { cert } from "./cert.ts";
import {
  CA_EXITS,
  type Command,
  type CommandContext,
  CommandError,
  EXIT,
  MAX_INPUT,
  type Output,
} from "./command.ts";
import { helpOf } from "./help.ts";
import { join } from "./join.ts";
import { knownHosts } from "./known_hosts.ts";
import { ls } from "./ls.ts";
import { revoke, revoked } from "./revoke.ts";
import { status } from "./status.ts";
import { token } from "./token.ts";
import { whoami } from "./whoami.ts";

/** By name. Adding a command is adding a row. */
export const commands: Readonly<Record<string, Command>> = (() => {
  const table: Record<string, Command> = {
    whoami,
    "known-hosts": knownHosts,
    cert,
    ca,
    krl,
    ls,
    status,
    token,
    revoke,
    revoked,
    join,
  };
  table.help = helpOf(table);
  return table;
})();

/** Bytes that a user at a terminal sends to leave: Ctrl-C and Ctrl-D. */
const LEAVING: ReadonlySet<number> = new Set([3, 4]);

/** What a command may look at, but for what the client sends to it. */
export type CommandSurroundings = Omit<CommandContext, "input">;

/** Serves sessions of one client. @param context made anew for each command: things change */
export function commandSession(context: () => CommandSurroundings): SessionHandlers {
  return {
    // A terminal is granted so that clients do not complain; there is nothing that would use it.
    acceptPty: () => true,
    acceptEnv: () => false,
    start(request, settings) {
      const { forceCommand } = context().client.login.restrictions;
      if (forceCommand !== undefined) return Promise.resolve(commandService(context, forceCommand, settings));
      switch (request.type) {
        case "exec":
          return Promise.resolve(commandService(context, request.command, settings));
        case "shell":
          return Promise.resolve(noShell(context, settings));
        case "subsystem":
          return Promise.resolve(undefined);
      }
    },
  };
}

function commandService(
  context: () => CommandSurroundings,
  line: string,
  settings: SessionSettings,
): Service {
  return {
    async serve(channel) {
      const output = await runCommand({ ...context(), input: () => readInput(channel) }, line);
      await write(channel, output, settings);
      return { code: output.exit ?? 0 };
    },
  };
}

/** Runs a command line: words between white space, no quotes. */
async function runCommand(context: CommandContext, line: string): Promise<Output> {
  const [name = "help", ...args] = line.split(/\s+/).filter((word) => word !== "");
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const output = await outcomeOf(context, name, () => command?.run(context, args));
  const { client, parts: { audit } } = context;
  const details = { command: line, rule: output.rule ?? "self-service", exit: output.exit ?? 0 };
  audit.record("command.run", details, {
    ...client.auditContext,
    unprivileged: output.rule === undefined,
  });
  return output;
}

async function outcomeOf(
  { client }: CommandContext,
  name: string,
  run: () => Output | Promise<Output> | undefined,
): Promise<Output> {
  if (client.identity.kind === "join" && name !== "join") {
    return { err: ["a join token is for join < key.pub alone"], exit: EXIT.refused, rule: "join token" };
  }
  try {
    return await run() ??
      { err: [`there is no command '${printable(name, 40)}' here; try help`], exit: EXIT.unknown };
  } catch (error) {
    if (error instanceof CaError) return { err: [error.message], exit: CA_EXITS[error.code] };
    if (!(error instanceof CommandError)) throw error;
    return { err: [error.message], exit: error.exit, rule: error.rule };
  }
}

/** @throws {CommandError} */
async function readInput(channel: Channel): Promise<Bytes> {
  const buffer = new Uint8Array(MAX_INPUT);
  const pieces: Bytes[] = [];
  let size = 0;
  for (let count = await channel.read(buffer); count !== null; count = await channel.read(buffer)) {
    size += count;
    if (size > MAX_INPUT) throw new CommandError(EXIT.data, `that is more than ${MAX_INPUT} bytes`);
    pieces.push(buffer.slice(0, count));
  }
  return concat(...pieces);
}

/**
 * Somebody asked for a shell. Who serves nothing gets the help; who does (`ssh -R NAME:22:…` without `-N`) is told what,
 * and stays connected until they leave.
 */
function noShell(context: () => CommandSurroundings, settings: SessionSettings): Service {
  return {
    async serve(channel) {
      const { served } = context();
      if (served.length === 0) {
        const input = () => readInput(channel);
        await write(channel, await runCommand({ ...context(), input }, "help"), settings);
        return { code: 0 };
      }
      const out = ["You serve, as long as this connection lasts:", ...served.map((what) => `  ${what}`)];
      await write(channel, { out }, settings);
      const buffer = new Uint8Array(256);
      for (let count = await channel.read(buffer); count !== null; count = await channel.read(buffer)) {
        if (buffer.subarray(0, count).some((byte) => LEAVING.has(byte))) break;
      }
      return { code: 0 };
    },
  };
}

async function write(
  channel: Parameters<Service["serve"]>[0],
  { out = [], bytes, err = [] }: Output,
  { pty }: SessionSettings,
): Promise<void> {
  // A client with a terminal has put its own into raw mode.
  const end = pty ? "\r\n" : "\n";
  // Others' names are in it, as their authorities wrote them.
  const text = (lines: readonly string[]) =>
    encodeText(lines.map((line) => printable(line, Infinity) + end).join(""));
  if (bytes) await channel.write(bytes);
  if (out.length > 0) await channel.write(text(out));
  if (err.length > 0) await channel.stderr.write(text(err));
}
