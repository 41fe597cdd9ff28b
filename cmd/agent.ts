/** The agent's command: parse, wire, run, drain. */
import { constants } from "node:os";
import { Agent, type AgentHost, defaultPolicy, serveOne } from "../src/agent/agent.ts";
import type { AgentConfig } from "../src/agent/config.ts";
import { type AgentEvent, type EventLog, formatJson, formatText } from "../src/agent/events.ts";
import { AgentError, exitCodes, type ExitReason } from "../src/agent/exit_codes.ts";
import { parseFlags } from "../src/agent/flags.ts";
import { builtinPrograms } from "../src/agent/sftp_program.ts";
import { accountSource } from "../src/deno/account.ts";
import { chooseCrypto } from "../src/deno/crypto.ts";
import { isExecutable } from "../src/deno/executable.ts";
import { systemAccounts, systemFiles } from "../src/deno/files.ts";
import { type ForegroundChild, startForeground } from "../src/deno/foreground.ts";
import { denoNet } from "../src/deno/net.ts";
import { makePrivateFolder } from "../src/deno/private_folder.ts";
import { denoProcesses } from "../src/deno/process.ts";
import { openStateFolder } from "../src/deno/state.ts";
import { standardStreams } from "../src/deno/stdio.ts";
import { systemClock } from "../src/platform/clock.ts";
import { type ExitStatus, SpawnError } from "../src/platform/process.ts";
import { StateError } from "../src/platform/state.ts";

/** After a signal, how long flows may go on, in milliseconds: service managers wait ten seconds before they kill. */
const DRAIN_MS = 5_000;

async function main(): Promise<number> {
  const parsed = parseFlags({ args: Deno.args, environment: (name) => Deno.env.get(name) });
  if ("help" in parsed) {
    console.log(parsed.help.trimEnd());
    return exitCodes.ended.code;
  }
  const config = parsed;
  const log = eventLog(config);
  const host = await systemHost(config, log);
  if (config.stdio) return await serveStdio(config, host);
  const agent = await Agent.prepare(config, host);
  if (config.check) {
    log({ event: "info", message: "everything is in order" });
    return exitCodes.ended.code;
  }
  return await run(agent, config, log);
}

async function run(agent: Agent, { command }: AgentConfig, log: EventLog): Promise<number> {
  const child = command.length > 0 ? startChild(command) : undefined;
  const signalled = onSignals((name) => {
    // The child first: it has connections to finish, too.
    child?.kill(name);
    const patience = systemClock.after(DRAIN_MS, () => agent.stop());
    agent.drain().finally(patience);
  });
  const running = agent.run();
  try {
    if (!child) {
      await running;
      return exitCodes.ended.code;
    }
    // An agent that cannot go on leaves its child alone: the log says so, and the child decides how long it lives.
    running.catch((error) => log({ event: "error", message: sentence(error) }));
    const status = await child.status;
    agent.stop();
    await running.catch(() => {});
    return codeOf(status);
  } finally {
    signalled();
  }
}

async function serveStdio(config: AgentConfig, host: AgentHost): Promise<number> {
  const policy = await defaultPolicy(config, host, () => []);
  if (config.check) return exitCodes.ended.code;
  const life = new AbortController();
  const signalled = onSignals(() => life.abort(new Error("the agent stops")));
  const served = await serveOne(
    standardStreams(),
    { address: "UNKNOWN", port: 65535 },
    host,
    policy,
    life.signal,
  );
  signalled();
  return served === "authenticated" ? exitCodes.ended.code : exitCodes.failed.code;
}

async function systemHost(config: AgentConfig, log: EventLog): Promise<AgentHost> {
  const [state, account] = await Promise.all([
    openStateFolder(config.state, "agent.lock"),
    accountSource.own(),
  ]);
  const { provider, why } = chooseCrypto();
  log({ event: "info", message: `cryptography: ${provider.name} (${why})` });
  return {
    net: denoNet,
    clock: systemClock,
    crypto: provider,
    random: Math.random,
    files: systemFiles,
    accounts: systemAccounts,
    sessions: { net: denoNet, processes: denoProcesses, isExecutable, makePrivateFolder },
    builtins: builtinPrograms(systemFiles, systemAccounts),
    account,
    state,
    inherited: inheritedEnvironment(),
    ownAddresses,
    log,
  };
}

/** What sessions get of this process's environment: where programs are, and how people here write. */
function inheritedEnvironment(): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const name of ["PATH", "LANG", "LC_ALL", "TZ"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) inherited[name] = value;
  }
  return inherited;
}

function ownAddresses(): readonly string[] {
  try {
    return Deno.networkInterfaces().map(({ address }) => address);
  } catch {
    // Without --allow-sys only loopback is known to be this machine.
    return [];
  }
}

/** Lines go to standard output only where nobody else has it: a child does, and so does a connection on it. */
function eventLog({ log, stdio, command }: AgentConfig): EventLog {
  const toOutput = log === "json" && !stdio && command.length === 0;
  const write = toOutput ? (line: string) => console.log(line) : (line: string) => console.error(line);
  const format = log === "json"
    ? (event: AgentEvent) => formatJson(event, Date.now())
    : (event: AgentEvent) => `agent: ${formatText(event)}`;
  return (event) => write(format(event));
}

function startChild(command: readonly string[]): ForegroundChild {
  try {
    return startForeground(command);
  } catch (cause) {
    if (cause instanceof SpawnError) throw new AgentError("child", cause.message, { cause });
    throw cause;
  }
}

/** Calls `stop` for the first SIGINT or SIGTERM and ends the process at the second. @returns forgets both */
function onSignals(stop: (name: "INT" | "TERM") => void): () => void {
  let signals = 0;
  const handlers = (["INT", "TERM"] as const).map((name) => {
    const handler = () => {
      if (++signals > 1) Deno.exit(exitCodes.cut.code);
      stop(name);
    };
    Deno.addSignalListener(`SIG${name}`, handler);
    return () => Deno.removeSignalListener(`SIG${name}`, handler);
  });
  return () => handlers.forEach((forget) => forget());
}

/** As a shell tells how its command ended. */
function codeOf(status: ExitStatus): number {
  if ("code" in status) return status.code;
  return 128 + ((constants.signals as Record<string, number>)[`SIG${status.signal}`] ?? 0);
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function reasonOf(error: unknown): ExitReason {
  if (error instanceof AgentError) return error.reason;
  return error instanceof StateError ? "state" : "failed";
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(`agent: ${sentence(error)}`);
    Deno.exit(exitCodes[reasonOf(error)].code);
  }
}
