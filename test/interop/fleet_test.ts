/** A gateway with many agents, ours and stock ones, and what becomes of their names when it is killed. */
import assert from "node:assert/strict";
import type { Folder } from "../support/folder.ts";
import { type KeyFile, makeKey, toDropbear } from "../support/keygen.ts";
import {
  type GatewayUnderTest,
  MeshCommand,
  meshEnvironment,
  projectLine,
  startAgent,
  startGateway,
} from "../support/mesh.ts";
import { dropbear, openssh, peerTest } from "../support/peers.ts";
import { type Running, start, succeed } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { dbclientLine, jumpConfig, sshLine } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { waitUntil } from "../support/wait.ts";

/** How long agents may take to come back, in milliseconds: the third wait of their backoff is over by then. */
const RETURN = 30_000;

/** `count` of our agents in one process, named `PREFIX0` and so on. */
function startFleet(
  { folder, key }: Site,
  gateway: GatewayUnderTest,
  identity: KeyFile,
  prefix: string,
  count: number,
): MeshCommand {
  const keys = folder.write(`${prefix}-authorized`, key.line + "\n");
  const flags = [
    ...["--gateway", `127.0.0.1:${gateway.port}`, "--gateway-key", gateway.hostKey.fingerprint],
    ...["--identity", identity.path, "--authorized-keys", keys],
  ];
  const line = projectLine("test/support/agent_fleet.ts", [`${count}`, prefix, folder.path, ...flags]);
  return new MeshCommand(start(line, { env: meshEnvironment(folder.path) }));
}

/** A stock client that a shell starts again whenever it ends. */
function keepRegistering(folder: Folder, line: readonly string[], env: Record<string, string>): Running {
  const words = line.map((word) => `'${word}'`).join(" ");
  const script = folder.write(
    `loop-${crypto.randomUUID()}`,
    `while :; do echo try; ${words}; sleep 0.2; done\n`,
  );
  return start(["sh", script], { env });
}

/** Names that the owner's `ls` tells of, in order. */
async function listed(site: Site, gateway: GatewayUnderTest): Promise<string[]> {
  const client = { port: gateway.port, identity: site.key.path, knownHosts: site.knownHosts };
  const { text } = await succeed(sshLine(openssh, client, [], "ls --json"));
  return (JSON.parse(text) as { alias: string }[]).map(({ alias }) => alias).sort();
}

async function waitForNames(
  site: Site,
  gateway: GatewayUnderTest,
  names: readonly string[],
  within: number,
): Promise<void> {
  const wanted = [...names].sort();
  let seen: string[] = [];
  await waitUntil("exactly these names", async () => {
    seen = await listed(site, gateway);
    return seen.length === wanted.length && seen.every((name, index) => name === wanted[index]);
  }, within).catch((cause) => {
    const missing = wanted.filter((name) => !seen.includes(name));
    const stale = seen.filter((name) => !wanted.includes(name));
    throw new Error(`${cause.message}; missing: ${missing}; stale: ${stale}`, { cause });
  });
}

const range = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

peerTest("200 agents register, stay reachable, and all come back after a kill -9 of the gateway", [
  openssh,
  dropbear,
], async (t) => {
  await using stack = new AsyncDisposableStack();
  const site = stack.use(await makeSite());
  const keys = await Promise.all(range("owner", 4).map((name) => makeKey(site.folder, name)));
  let gateway = await startGateway(site.folder, {
    owners: [site.key.line, ...keys.map(({ line }) => line)],
  });
  // Whichever runs at the end.
  stack.defer(() => gateway[Symbol.asyncDispose]());
  site.expect(gateway.port, gateway.hostKey);

  const fleets = ["a", "b", "c"].map((prefix, index) =>
    stack.use(startFleet(site, gateway, keys[index], prefix, 60))
  );
  const client = { port: gateway.port, user: "agent" };
  const opensshAgents = range("stock", 8).map((name) =>
    sshLine(openssh, { ...client, identity: site.key.path, knownHosts: site.knownHosts }, [
      ...["-N", "-R", `${name}:22:127.0.0.1:9`],
    ])
  );
  const dropbearKey = await toDropbear(keys[3]);
  const dropbearAgents = range("bear", 8).map((name) =>
    dbclientLine(dropbear, { ...client, identity: dropbearKey }, ["-N", "-R", `${name}:22:127.0.0.1:9`])
  );
  for (const line of [...opensshAgents, ...dropbearAgents]) {
    stack.use(keepRegistering(site.folder, line, { HOME: site.folder.path }));
  }
  for (const name of range("own", 4)) {
    const authorized = [site.key.line];
    stack.use(await startAgent(site.folder, { name, gateway, identity: keys[3], authorized }));
  }
  const names = [
    ...["a", "b", "c"].flatMap((prefix) => range(prefix, 60)),
    ...range("stock", 8),
    ...range("bear", 8),
    ...range("own", 4),
  ];
  assert.equal(names.length, 200);

  await t.step("ls shows exactly them", () => waitForNames(site, gateway, names, RETURN));

  const config = jumpConfig({
    ...client,
    user: ownUser,
    identity: site.key.path,
    knownHosts: site.knownHosts,
    // The hosts' keys are not the point here, and there are two hundred.
    options: ["NoHostAuthenticationForLocalhost=yes"],
  });
  const configFile = site.folder.write("config", config.replace("Host *\n", "Host *\n  LogLevel ERROR\n"));
  const reach = async (name: string) => {
    const any = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
    // The gateway's own key stays pinned: -o does not reach the jump.
    const { text } = await succeed(openssh.line("ssh", "-F", configFile, ...any, name, "echo in"));
    assert.equal(text, "in\n", name);
  };
  await t.step("agents of each kind are reached", async () => {
    for (const name of ["a0", "b30", "c59", "own3"]) await reach(name);
  });

  await t.step("names go with their process", async () => {
    await fleets[2].kill();
    await waitForNames(site, gateway, names.filter((name) => !name.startsWith("c")), 5_000);
  });

  await t.step("after a kill -9 and a restart all come back, and nobody else", async () => {
    await gateway.kill();
    await fleets[1].kill();
    gateway = await gateway.restart();
    const left = names.filter((name) => !/^[bc]/.test(name) || name.startsWith("bear"));
    await waitForNames(site, gateway, left, RETURN);
    for (const name of ["a7", "own0"]) await reach(name);
  });
});

peerTest("a gateway that is killed ten times while agents register loses neither its state nor them", [
  openssh,
], async () => {
  await using stack = new AsyncDisposableStack();
  const site = stack.use(await makeSite());
  const identity = await makeKey(site.folder, "owner");
  let gateway = await startGateway(site.folder, { owners: [site.key.line, identity.line] });
  stack.defer(() => gateway[Symbol.asyncDispose]());
  site.expect(gateway.port, gateway.hostKey);
  const { fingerprint } = gateway.hostKey;
  stack.use(startFleet(site, gateway, identity, "n", 20));
  for (let round = 0; round < 10; round++) {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 400));
    await gateway.kill();
    gateway = await gateway.restart();
    assert.equal(gateway.hostKey.fingerprint, fingerprint);
  }
  await waitForNames(site, gateway, range("n", 20), RETURN);
  for (const name of ["flows.jsonl", "audit.jsonl"]) {
    const lines = Deno.readTextFileSync(`${gateway.state}/${name}`).split("\n").filter(Boolean);
    // A line is written whole or not at all.
    for (const line of lines) assert.doesNotThrow(() => JSON.parse(line), line);
  }
  for (const { name } of Deno.readDirSync(gateway.state)) {
    assert.equal(Deno.statSync(`${gateway.state}/${name}`).mode! & 0o077, 0, name);
  }
});
