/**
 * Many of our agents in one process, each with a state folder, a connection and a name of its own: `PREFIX0`, `PREFIX1`, …
 * Every event is a line of JSON with its agent's name.
 *
 * usage: agent_fleet.ts COUNT PREFIX FOLDER FLAGS OF AN AGENT…
 */
import { Agent } from "../../src/agent/agent.ts";
import type { AgentHost } from "../../src/agent/host.ts";
import { formatJson } from "../../src/agent/events.ts";
import { parseFlags } from "../../src/agent/flags.ts";
import { builtinPrograms } from "../../src/agent/sftp_program.ts";
import { accountSource, findAccount } from "../../src/deno/account.ts";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { isExecutable } from "../../src/deno/executable.ts";
import { systemAccounts, systemFiles } from "../../src/deno/files.ts";
import { denoNet } from "../../src/deno/net.ts";
import { makePrivateFolder } from "../../src/deno/private_folder.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import { openStateFolder } from "../../src/deno/state.ts";
import { systemClock } from "../../src/platform/clock.ts";

const [count, prefix, folder, ...flags] = Deno.args;

const shared: Omit<AgentHost, "log"> = {
  net: denoNet,
  clock: systemClock,
  crypto: (await chooseCrypto()).provider,
  random: Math.random,
  files: systemFiles,
  sessions: { net: denoNet, processes: denoProcesses, isExecutable, makePrivateFolder },
  builtins: builtinPrograms(() => Promise.resolve({ files: systemFiles, accounts: systemAccounts })),
  account: await accountSource.own(),
  findAccount,
  inherited: { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin" },
  environment: () => ({}),
  ownAddresses: () => [],
};

async function runAgent(name: string): Promise<void> {
  const args = [...flags, "--name", name, "--state", `${folder}/${name}`];
  const config = parseFlags({ args, environment: () => undefined });
  if ("help" in config) throw new TypeError("these are no flags of an agent that runs");
  const host: AgentHost = {
    ...shared,
    log: (event) =>
      console.log(JSON.stringify({ ...JSON.parse(formatJson(event, Date.now())), agent: name })),
  };
  const agent = await Agent.prepare(config, host, await openStateFolder(config.state, "agent.lock"));
  await agent.run();
}

await Promise.all(Array.from({ length: Number(count) }, (_, index) => runAgent(`${prefix}${index}`)));
