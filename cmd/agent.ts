/** The agent's command: parse, wire, run, drain. */
import { Agent } from "../src/agent/agent.ts";
import type { Peer, ServerPolicy } from "../src/agent/built_in_server.ts";
import type { AgentConfig } from "../src/agent/config.ts";
import { type AgentEvent, type EventLog, formatJson, formatText } from "../src/agent/events.ts";
import { AgentError, exitCodes, type ExitReason } from "../src/agent/exit_codes.ts";
import { parseFlags } from "../src/agent/flags.ts";
import type { AgentHost } from "../src/agent/host.ts";
import { builtInServer, defaultPolicy } from "../src/agent/own_server.ts";
import type { SshdPolicy } from "../src/agent/sshd_policy.ts";
import { builtinPrograms, type ServedFiles } from "../src/agent/sftp_program.ts";
import { accountSource, findAccount } from "../src/deno/account.ts";
import { fileConfigSource } from "../src/deno/config_source.ts";
import { chooseCrypto } from "../src/deno/crypto.ts";
import { isExecutable } from "../src/deno/executable.ts";
import { type ForegroundChild, startForeground } from "../src/deno/foreground.ts";
import { takeFairTurns } from "../src/deno/fair_turn.ts";
import { environmentWithHome } from "../src/deno/home.ts";
import { denoNet } from "../src/deno/net.ts";
import { ownAddresses } from "../src/deno/own_addresses.ts";
import { makePrivateFolder } from "../src/deno/private_folder.ts";
import { denoProcesses } from "../src/deno/process.ts";
import { readableFiles } from "../src/deno/readable_files.ts";
import { errorsGoToThePeer, standardInputEnds } from "../src/deno/socket_ends.ts";
import { openStateFolder } from "../src/deno/state.ts";
import { standardStreams } from "../src/deno/stdio.ts";
import { onHangUp } from "../src/deno/stop_signals.ts";
import { systemClock } from "../src/platform/clock.ts";
import { type ExitStatus, SpawnError } from "../src/platform/process.ts";
import { StateError } from "../src/platform/state.ts";

/** After a signal, how long flows may go on, in milliseconds: service managers wait ten seconds before they kill. */
const DRAIN_MS = 5_000;

/** Others that read or make the host key at the same moment need a few milliseconds. */
const STATE_TRIES = 100;
const STATE_RETRY_MS = 50;

async function main(): Promise<number> {
  takeFairTurns();
  const parsed = parseFlags({ args: Deno.args, environment: environmentWithHome });
  if ("help" in parsed) {
    console.log(parsed.help.trimEnd());
    return exitCodes.ended.code;
  }
  const config = parsed;
  // It is read, and no business of what this process starts.
  if (Deno.env.get("SSHM_JOIN")) Deno.env.delete("SSHM_JOIN");
  const log = eventLog(config);
  const host = await systemHost(log);
  const sshd = config.sshdConfig === undefined ? undefined : await sshdPolicy(config.sshdConfig, host);
  const served = sshd ? { ...host, log: sshd.log } : host;
  if (config.stdio) return await serveStdio(config, served, sshd?.policy);
  if (sshd && config.gateways.length === 0) return await listen(config, served, sshd);
  const agent = await Agent.prepare(
    config,
    host,
    await openStateFolder(config.state, "agent.lock"),
    sshd?.policy,
  );
  if (config.check) {
    log({ event: "info", message: "everything is in order" });
    return exitCodes.ended.code;
  }
  return await run(agent, config, log);
}

async function run(agent: Agent, { command }: AgentConfig, log: EventLog): Promise<number> {
  let child: ForegroundChild | undefined;
  // Before there is a child: from its first moment on, signals are for it.
  const signalled = onSignals((name) => {
    // The child first: it has connections to finish, too.
    child?.kill(name);
    const patience = systemClock.after(DRAIN_MS, () => agent.stop());
    agent.drain().finally(patience);
  }, () => child?.kill("HUP"));
  try {
    if (command.length > 0) child = startChild(command);
    const running = agent.run();
    if (!child) {
      await running;
      return exitCodes.ended.code;
    }
    // An agent that cannot go on leaves its child alone: the log says so, and the child decides how long it lives.
    running.catch((error) => log({ event: "error", message: sentence(error) }));
    const status = await child.status;
    agent.stop();
    await running.catch(() => {});
    return await codeOf(status);
  } finally {
    signalled();
  }
}

/** Loaded where it is asked for: most agents have no such file. */
async function sshdPolicy(path: string, host: AgentHost): Promise<SshdPolicy> {
  const { readSshdPolicy } = await import("../src/agent/sshd_policy.ts");
  return await readSshdPolicy(path, fileConfigSource, host);
}

/** As `sshd -i`. */
async function serveStdio(config: AgentConfig, host: AgentHost, policy?: ServerPolicy): Promise<number> {
  const server = await builtInServer(host, policy ?? await stdioPolicy(config, host));
  if (config.check) return exitCodes.ended.code;
  const life = new AbortController();
  const signalled = onSignals(() => life.abort(new Error("the agent stops")));
  const served = await server.serve(standardStreams(), await peerOfStdio(), { signal: life.signal });
  signalled();
  return served === "authenticated" ? exitCodes.ended.code : exitCodes.failed.code;
}

/** Many may run at once: the state folder is held only until the host key is read. */
async function stdioPolicy(config: AgentConfig, host: AgentHost): Promise<ServerPolicy> {
  for (let tries = 1;; tries++) {
    try {
      const state = await openStateFolder(config.state, "agent-stdio.lock");
      return await defaultPolicy(config, host, state).finally(() => state.close());
    } catch (error) {
      if (!(error instanceof StateError) || error.code !== "in-use" || tries === STATE_TRIES) throw error;
      await systemClock.sleep(STATE_RETRY_MS);
    }
  }
}

/** Nobody knows who is at the other end of a pipe: sshd calls it the same. `tcpserver` and its like do tell. */
async function peerOfStdio(): Promise<Peer> {
  const ends = await standardInputEnds();
  if (ends) return { ...ends.remote, local: ends.local };
  return {
    address: Deno.env.get("TCPREMOTEIP") ?? "UNKNOWN",
    port: Number(Deno.env.get("TCPREMOTEPORT") ?? 65535),
  };
}

/** As `sshd -D`. */
async function listen(config: AgentConfig, host: AgentHost, sshd: SshdPolicy): Promise<number> {
  if (config.check) return exitCodes.ended.code;
  const { SshdListener } = await import("../src/agent/sshd_listener.ts");
  const server = await builtInServer(host, sshd.policy);
  const listener = await SshdListener.listen(sshd.config, server, { ...host, ...await servedFiles() });
  const signalled = onSignals(() => {
    listener.drain();
    const patience = systemClock.after(DRAIN_MS, () => listener.close());
    running.finally(patience);
  }, () => host.log({ event: "warning", message: "SIGHUP does nothing: sshd_config is read at the start" }));
  const running = listener.run(Deno.pid);
  await running.finally(signalled);
  return exitCodes.ended.code;
}

async function systemHost(log: EventLog): Promise<AgentHost> {
  const { provider, why } = await chooseCrypto();
  log({ event: "info", message: `cryptography: ${provider.name} (${why})` });
  return {
    net: denoNet,
    clock: systemClock,
    crypto: provider,
    random: Math.random,
    files: readableFiles,
    sessions: { net: denoNet, processes: denoProcesses, isExecutable, makePrivateFolder },
    builtins: builtinPrograms(servedFiles),
    account: await accountSource.own(),
    findAccount,
    inherited: inheritedEnvironment(),
    environment: () => Deno.env.toObject(),
    ownAddresses,
    log,
  };
}

/** Loaded where they are asked for: they bring Deno's Node layer along. */
async function servedFiles(): Promise<ServedFiles> {
  const { systemAccounts, systemFiles } = await import("../src/deno/files.ts");
  return { files: systemFiles, accounts: systemAccounts };
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

/** Lines go to standard output only where nobody else has it: a child does, and so does a connection on it. */
function eventLog({ log, stdio, command }: AgentConfig): EventLog {
  const toOutput = log === "json" && !stdio && command.length === 0;
  const write = toOutput ? (line: string) => console.log(line) : (line: string) => console.error(line);
  const format = log === "json"
    ? (event: AgentEvent) => formatJson(event, Date.now())
    : (event: AgentEvent) => `agent: ${formatText(event)}`;
  // Standard error of a connection on pipes is somebody's terminal, once for each `ssh`.
  const quiet: readonly AgentEvent["event"][] = stdio && log === "text" ? ["info", "login"] : [];
  // Who is at the other end is nobody to tell; --check tells whoever set this up.
  if (stdio && errorsGoToThePeer()) return () => {};
  return (event) => {
    if (!quiet.includes(event.event)) write(format(event));
  };
}

function startChild(command: readonly string[]): ForegroundChild {
  try {
    return startForeground(command);
  } catch (cause) {
    if (cause instanceof SpawnError) throw new AgentError("child", cause.message, { cause });
    throw cause;
  }
}

/**
 * Calls `stop` for the first SIGINT or SIGTERM and ends the process at the second.
 * @param hangUp for SIGHUP where there is no terminal whose end it would be; by default that is the process's
 * @returns forgets them
 */
function onSignals(stop: (name: "HUP" | "INT" | "TERM") => void, hangUp?: () => void): () => void {
  let signals = 0;
  const handlers = (["INT", "TERM"] as const).map((name) => {
    const handler = () => {
      if (++signals > 1) Deno.exit(exitCodes.cut.code);
      stop(name);
    };
    Deno.addSignalListener(`SIG${name}`, handler);
    return () => Deno.removeSignalListener(`SIG${name}`, handler);
  });
  if (hangUp) handlers.push(onHangUp(() => signals++ === 0 && stop("HUP"), hangUp));
  return () => handlers.forEach((forget) => forget());
}

/** As a shell tells how its command ended. */
async function codeOf(status: ExitStatus): Promise<number> {
  if ("code" in status) return status.code;
  const { signalNumber } = await import("../src/deno/signals.ts");
  return 128 + (signalNumber(status.signal) ?? 0);
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
    if (!Deno.args.includes("--stdio") || !errorsGoToThePeer()) console.error(`agent: ${sentence(error)}`);
    Deno.exit(exitCodes[reasonOf(error)].code);
  }
}
