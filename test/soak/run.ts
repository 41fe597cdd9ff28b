/**
 * A mesh under load for as long as one likes: stock clients, our agents, strangers, nodes that die. What must hold at the end:
 * every answer was right, every name is registered and no other, the gateway holds no more connections, files and memory
 * than when it had warmed up, and every record is whole.
 *
 *   run.ts [--minutes N] [--workers N] [--seed N]
 *
 * Exits with 1 when anything of it does not hold. A seed repeats what is tried, not when it happens.
 */
import { parseArgs } from "node:util";
import { Random } from "../fuzz/random.ts";
import { makeKey } from "../support/keygen.ts";
import { type MeshCommand, startAgent, startGateway } from "../support/mesh.ts";
import { openssh } from "../support/peers.ts";
import { succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { jumpConfig, sshLine } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { waitUntil } from "../support/wait.ts";
import { choose, type Mesh } from "./load.ts";

/** What may stay behind of minutes of load: caches, pools, compiled code, a heap that was not collected. */
const ALLOWED_GROWTH_MB = 48;
/** Files that a process may hold more than when it was idle: a log that is being rotated, a look at the accounts. */
const ALLOWED_FILES = 4;
/** Part of the time after which a process counts as warm. */
const WARM = 0.3;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "10" },
    workers: { type: "string", default: "4" },
    seed: { type: "string" },
  },
});
const minutes = Number(values.minutes);
const workers = Number(values.workers);
const seed = values.seed === undefined ? crypto.getRandomValues(new Uint32Array(1))[0] : Number(values.seed);
if (!(minutes > 0) || !(workers > 0) || !Number.isInteger(seed)) {
  console.error("--minutes and --workers take a number above 0, --seed a whole one");
  Deno.exit(2);
}
if (openssh.missing) throw new Error(`${openssh.name}: ${openssh.missing}`);

/** Resident memory in MB and open files of a process. */
function usage({ process: { pid } }: MeshCommand): { memory: number; files: number } {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return {
    memory: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024,
    files: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
  };
}

const faults: string[] = [];
function fault(text: string): void {
  faults.push(text);
  console.log(`FAULT ${text}`);
}

await using stack = new AsyncDisposableStack();
const site = stack.use(await makeSite());
const identity = await makeKey(site.folder, "agent");
const gateway = stack.use(
  await startGateway(site.folder, {
    owners: [site.key.line, identity.line],
    args: ["--penalty-exempt", "127.0.0.0/8"],
  }),
);
site.expect(gateway.port, gateway.hostKey);

const startNode = (name: string) =>
  startAgent(site.folder, { name, gateway, identity, authorized: [site.key.line] });
const steady = ["oak", "elm"];
const agents = new Map<string, MeshCommand>();
for (const name of [...steady, "fly"]) agents.set(name, await startNode(name));
stack.defer(async () => {
  for (const agent of agents.values()) await agent[Symbol.asyncDispose]();
});

const client = { port: gateway.port, user: ownUser, identity: site.key.path, knownHosts: site.knownHosts };
const config = site.folder.write(
  "config",
  // The nodes' own keys are not the point here; the gateway's stays pinned.
  jumpConfig(client).replace(
    "Host * !gateway\n",
    "Host * !gateway\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n",
  ),
);
let dying: Promise<void> | undefined;
const mesh: Mesh = {
  config,
  port: gateway.port,
  path: site.folder.path,
  names: steady,
  disturb: () =>
    dying ??= (async () => {
      await agents.get("fly")!.kill();
      agents.set("fly", await startNode("fly"));
    })().finally(() => dying = undefined),
};

const began = Date.now();
const end = began + minutes * 60_000;
const counts = new Map<string, number>();
console.log(`seed ${seed}, ${minutes} min, ${workers} workers`);

async function work(random: Random): Promise<void> {
  while (Date.now() < end) {
    const happening = choose(random);
    counts.set(happening.name, (counts.get(happening.name) ?? 0) + 1);
    await happening.happen(mesh, random).catch((error) => fault(`${happening.name}: ${error.message}`));
  }
}

const idle = { gateway: usage(gateway), oak: usage(agents.get("oak")!) };
const warm = new Map<string, number>();
const watched = () => [["gateway", gateway], ["oak", agents.get("oak")!]] as const;
const watching = setInterval(() => {
  for (const [name, process] of watched()) {
    const { memory, files } = usage(process);
    console.log(
      `${((Date.now() - began) / 60_000).toFixed(1)} min  ${name}: ${memory.toFixed(0)} MB, ${files} files`,
    );
    if (Date.now() - began < minutes * 60_000 * WARM) warm.set(name, Math.max(memory, warm.get(name) ?? 0));
  }
}, Math.min(30_000, minutes * 60_000 / 20));

const random = new Random(seed);
await Promise.all(Array.from({ length: workers }, () => work(random.fork())));
clearInterval(watching);
await dying;

// All is quiet: what is still there stays.
interface Status {
  readonly flows: number;
}
const ask = async <T>(words: string): Promise<T> =>
  JSON.parse((await succeed(sshLine(openssh, client, [], words))).text);
await waitUntil("an end of all flows", async () => (await ask<Status>("status --json")).flows === 0)
  .catch(async () => fault(`flows that nobody has any more: ${JSON.stringify(await ask("status --json"))}`));
const names = (await ask<{ alias: string }[]>("ls --json")).map(({ alias }) => alias).sort();
if (names.join() !== [...agents.keys()].sort().join()) fault(`names: ${names}`);
for (const [name, process] of watched()) {
  await waitUntil(`files of ${name}`, () => usage(process).files <= idle[name].files + ALLOWED_FILES)
    .catch(() => fault(`${name} holds ${usage(process).files} files, ${idle[name].files} when it was idle`));
  const growth = usage(process).memory - (warm.get(name) ?? Infinity);
  if (growth > ALLOWED_GROWTH_MB) fault(`${name} has grown by ${growth.toFixed(0)} MB since it was warm`);
}
let records = 0;
for (const { name } of Deno.readDirSync(gateway.state)) {
  if (!name.includes(".jsonl")) continue;
  for (const line of Deno.readTextFileSync(`${gateway.state}/${name}`).split("\n").filter(Boolean)) {
    records++;
    const { end } = JSON.parse(line);
    if (end === "abandoned") fault(`a flow that nobody ended: ${line}`);
  }
}
for (const [name, count] of counts) console.log(`${String(count).padStart(6)}  ${name}`);
console.log(`${records} records; ${faults.length} faults`);
if (faults.length > 0) Deno.exitCode = 1;
