/** What the built-in SSH server runs in a session: shells, commands, subsystems, as the agent's own user. */
import { encodeText } from "../bytes/bytes.ts";
import {
  type Command,
  type ExitStatus,
  type Processes,
  SpawnError,
  type Terminal,
} from "../platform/process.ts";
import type { Connection } from "../ssh/connection/types.ts";
import type { Program, Service } from "../ssh/session/program.ts";
import type { SessionHandlers, SessionSettings, StartRequest } from "../ssh/session/server.ts";
import { type AgentSocket, type AgentSocketHost, openAgentSocket } from "./agent_socket.ts";
import { acceptsVariable, type SessionEndpoints, sessionEnvironment } from "./environment.ts";
import type { Account } from "./login.ts";
import { splitArguments } from "./sshd_config/lexer.ts";

/** What one login may do in its sessions. {@link SshdConfig} has these members, so that it fits as it is. */
export interface SessionPolicy {
  readonly permitTTY: boolean;
  readonly allowAgentForwarding: boolean;
  /** Nothing is forwarded, whatever else says so. */
  readonly disableForwarding?: boolean;
  /** Patterns of variables that the client may set. */
  readonly acceptEnv: readonly string[];
  /** Variables of the line that let the key in. */
  readonly keyEnv?: ReadonlyMap<string, string>;
  readonly setEnv?: ReadonlyMap<string, string>;
  /** Runs whatever was asked for; the client's wish is in `SSH_ORIGINAL_COMMAND`. */
  readonly forceCommand: string | null;
  /** Name to command; a command may be the name of a built-in program, with arguments. */
  readonly subsystems: ReadonlyMap<string, string>;
}

/** The policy of an agent without an sshd_config. */
export const defaultSessionPolicy: SessionPolicy = {
  permitTTY: true,
  allowAgentForwarding: true,
  acceptEnv: ["LANG", "LC_*", "COLORTERM", "NO_COLOR"],
  forceCommand: null,
  subsystems: new Map([["sftp", "internal-sftp"]]),
};

/** Programs inside this process by the name that a configuration calls them: `internal-sftp`. */
export type BuiltinPrograms = Readonly<
  Record<string, (args: readonly string[], account: Account) => Service>
>;

/** What sessions need of the system. */
export interface SessionHost extends AgentSocketHost {
  readonly processes: Processes;
  /** Whether a file is there and may be executed. */
  isExecutable(path: string): Promise<boolean>;
}

export interface SessionOwner {
  readonly host: SessionHost;
  readonly account: Account;
  readonly policy: SessionPolicy;
  readonly builtins: BuiltinPrograms;
  /** The connection that the sessions are on: agent channels are opened there. */
  readonly connection: Connection;
  readonly endpoints?: SessionEndpoints;
  /** What sessions inherit of the agent's environment. */
  readonly inherited?: Readonly<Record<string, string>>;
  /** Tells the log of what went wrong; clients learn FAILURE. */
  readonly onError?: (error: unknown) => void;
}

/** What the shell says of a command that it does not find. */
const NOT_FOUND = 127;

/** Where a configuration of OpenSSH expects its SFTP server; where that is not installed the built-in one serves. */
const SFTP_SERVER = /(?:^|\/)sftp-server$/;
const INTERNAL_SFTP = "internal-sftp";

/** The handlers of one session channel. */
export function sessionHandlers(owner: SessionOwner): SessionHandlers {
  const { policy, onError } = owner;
  return {
    acceptEnv: (name) => acceptsVariable(name, policy.acceptEnv),
    acceptPty: () => policy.permitTTY,
    acceptAgentForwarding: () => policy.allowAgentForwarding && !policy.disableForwarding,
    start: (request, settings) => start(owner, request, settings),
    onError,
  };
}

/** What is to run: the login shell, or a command line for the shell. */
type Wish = { readonly shell: true } | { readonly line: string };

async function start(
  owner: SessionOwner,
  request: StartRequest,
  settings: SessionSettings,
): Promise<Program | Service | undefined> {
  const wish = wishOf(request, owner.policy);
  if (wish === undefined) return undefined;
  const { forceCommand } = owner.policy;
  const line = forceCommand ?? ("line" in wish ? wish.line : undefined);
  // A terminal or a program that expects a command's output would not know what to make of SFTP.
  if (forceCommand !== null && isInternalSftp(forceCommand) && request.type !== "subsystem") {
    return explanation("This service allows sftp connections only.", 1);
  }
  const builtin = line === undefined ? undefined : await builtinFor(owner, line);
  if (builtin) return builtin;

  const original = forceCommand !== null && "line" in wish ? wish.line : undefined;
  const agent = settings.agentForwarding ? await agentSocket(owner) : undefined;
  try {
    const program = await spawn(owner, line, settings, original, agent?.path);
    return closingWith(program, agent);
  } catch (error) {
    await agent?.close();
    if (!(error instanceof SpawnError)) throw error;
    owner.onError?.(error);
    return explanation(error.message, NOT_FOUND);
  }
}

/** Undefined for a subsystem that there is none of. */
function wishOf(request: StartRequest, policy: SessionPolicy): Wish | undefined {
  if (request.type === "shell") return { shell: true };
  if (request.type === "exec") return { line: request.command };
  const line = policy.subsystems.get(request.name);
  return line === undefined ? undefined : { line };
}

async function builtinFor(
  { builtins, account, host }: SessionOwner,
  line: string,
): Promise<Service | undefined> {
  const words = wordsOf(line);
  if (words === undefined) return undefined;
  const [name, ...args] = words;
  if (Object.hasOwn(builtins, name)) return builtins[name](args, account);
  if (SFTP_SERVER.test(name) && Object.hasOwn(builtins, INTERNAL_SFTP) && !await host.isExecutable(name)) {
    return builtins[INTERNAL_SFTP](args, account);
  }
}

/** The socket, or none: without it the session still runs, as with OpenSSH. */
async function agentSocket({ connection, host, onError }: SessionOwner): Promise<AgentSocket | undefined> {
  try {
    return await openAgentSocket(connection, host);
  } catch (error) {
    onError?.(error);
  }
}

/** Starts `line`, or the login shell. @throws {SpawnError} with a sentence for the client */
async function spawn(
  owner: SessionOwner,
  line: string | undefined,
  { env, pty }: SessionSettings,
  originalCommand: string | undefined,
  agentSocket: string | undefined,
): Promise<Program> {
  const { account, host: { processes }, policy, inherited, endpoints } = owner;
  const environment = sessionEnvironment({
    account,
    inherited,
    client: env,
    keyLine: policy.keyEnv,
    setEnv: policy.setEnv,
    endpoints,
    originalCommand,
    agentSocket,
  });
  const command = await commandFor(owner, line, environment);
  if (pty === undefined) {
    return piped(await inHome(command, account, (command) => processes.spawn(command)), policy);
  }
  const { term, columns, rows, modes } = pty;
  const terminal: Terminal = { term, columns, rows, modes, deviceVariable: "SSH_TTY" };
  const child = await inHome(command, account, (command) => processes.spawnOnTerminal(command, terminal));
  return {
    stdin: child.input,
    stdout: child.output,
    status: child.status,
    resize: (size) => child.resize(size),
    signal: signalUnlessForced(child, policy),
    close: () => child.close(),
  };
}

function piped(child: Awaited<ReturnType<Processes["spawn"]>>, policy: SessionPolicy): Program {
  const { stdin, stdout, stderr, status } = child;
  return { stdin, stdout, stderr, status, signal: signalUnlessForced(child, policy) };
}

/** What a forced command does is not the client's to stop, as OpenSSH has it. */
function signalUnlessForced(child: { kill(signal: string): void }, { forceCommand }: SessionPolicy) {
  return forceCommand === null ? (name: string) => child.kill(name) : undefined;
}

/** Starts in the home directory, or in `/` where that cannot be entered. */
async function inHome<T>(
  command: Command,
  { home }: Account,
  spawn: (command: Command) => Promise<T>,
): Promise<T> {
  try {
    return await spawn({ ...command, cwd: home });
  } catch (error) {
    if (!(error instanceof SpawnError) || error.code !== "no-folder") throw error;
    return await spawn({ ...command, cwd: "/" });
  }
}

async function commandFor(
  { account, host }: SessionOwner,
  line: string | undefined,
  env: Record<string, string>,
): Promise<Command> {
  const { shell } = account;
  if (await host.isExecutable(shell)) {
    return line === undefined
      ? { file: shell, args: [], env, argv0: `-${shell.slice(shell.lastIndexOf("/") + 1)}` }
      : { file: shell, args: ["-c", line], env };
  }
  // A container may have no shell: a command without anything for a shell to do is run as it is.
  const words = line === undefined ? undefined : wordsOf(line);
  if (words === undefined) throw new SpawnError("not-found", missingShell(shell, line));
  const [file, ...args] = words;
  return { file, args, env };
}

function missingShell(shell: string, line: string | undefined): string {
  const without = line === undefined
    ? "give a command to run"
    : "only plain commands run here, without pipes, variables, patterns and the like";
  return `there is no shell here (${shell}): ${without}`;
}

/** Quoted text in which a shell would find nothing to do. */
const INERT_QUOTES = /'[^']*'|"[^"$`\\]*"/g;

/** What a shell would act on, quotes that were not inert among it. */
const SHELL_SYNTAX = /[|&;<>()$`*?[\]{}~!\n#'"\\]|^\s*\w+=/;

/** The words of a command line that needs no shell; undefined when it needs one. */
function wordsOf(line: string): string[] | undefined {
  if (SHELL_SYNTAX.test(line.replaceAll(INERT_QUOTES, ""))) return undefined;
  const words = splitArguments(line);
  return words.length > 0 ? words : undefined;
}

function isInternalSftp(line: string): boolean {
  return wordsOf(line)?.[0] === INTERNAL_SFTP;
}

/** A program that says why there is none. */
function explanation(message: string, code: number): Service {
  return {
    async serve(channel): Promise<ExitStatus> {
      await channel.stderr.write(encodeText(`${message}\r\n`));
      return { code };
    },
  };
}

/** `program`, whose end is also the agent socket's. */
function closingWith(program: Program, agent: AgentSocket | undefined): Program {
  if (agent === undefined) return program;
  return {
    ...program,
    close() {
      program.close?.();
      agent.close();
    },
  };
}
