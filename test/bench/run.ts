/**
 * Our gateway beside sshd in one run on one machine, against the targets of this project.
 *
 *   run.ts [--quick] [--what bulk,relay,conns,idle,rtt] [--rounds N]
 *
 * `sshload.py` makes the load with the stock client, the same for sshd and the gateway, in turn, in as many rounds as asked:
 * a virtual machine's speed changes by a quarter from minute to minute, so a figure is the median of its rounds and a multiple
 * of sshd is taken within each. The portable crypto provider is measured once, for the table. Prints that table; exits with 1
 * when a target is missed (never with --quick, whose figures are noise).
 */
import { sharedFolder } from "../support/folder.ts";
import { makeKey } from "../support/keygen.ts";
import { type GatewayUnderTest, hasCommand, startAgent, startGateway } from "../support/mesh.ts";
import { iperf, openssh } from "../support/peers.ts";
import { succeed } from "../support/process.ts";
import { ownUser, startSshd } from "../support/stock_server.ts";
import { type Figures, judge, medians, type Target } from "./figures.ts";

const TARGETS: readonly Target[] = [
  ...["up", "down"].flatMap((way): Target[] => [
    { figure: `bulk chacha20-poly1305 ${way} MB/s`, least: 1, timesPeer: true },
    { figure: `bulk aes256-gcm ${way} MB/s`, least: 0.8, timesPeer: true },
    { figure: `relay chacha20-poly1305 ${way} MB/s`, least: 1.3, timesPeer: true },
    { figure: `relay chacha20-poly1305 ${way} CPU s/GB`, most: 0.6, timesPeer: true },
  ]),
  { figure: "CPU ms/connection", most: 0.25, timesPeer: true },
  { figure: "idle KB/connection", most: 45, timesPeer: false },
  { figure: "rtt p99 ms", most: 1.5, timesPeer: true },
  { figure: "rtt loaded p99 ms", most: 1.5, timesPeer: true },
  { figure: "apart: rtt p99 ms", most: 1.5, timesPeer: true },
  { figure: "apart: rtt loaded p99 ms", most: 1.5, timesPeer: true },
  { figure: "agent s to registered", most: 0.4, timesPeer: false },
  { figure: "agent RSS MB", most: 70, timesPeer: false },
];

/** What the load runs through: sshd or a gateway. */
interface Server {
  readonly label: string;
  readonly port: number;
  readonly pid: number;
  readonly args: readonly string[];
}

const quick = Deno.args.includes("--quick");
const kinds = option("--what", "bulk,relay,conns,idle,rtt").split(",");
const rounds = Number(option("--rounds", quick ? "1" : "5"));
const effort = quick ? ["--secs", "1", "--conns", "8", "--idle", "8"] : ["--secs", "3"];
const CPUS = navigator.hardwareConcurrency;

function option(name: string, otherwise: string): string {
  const at = Deno.args.indexOf(name);
  return at < 0 ? otherwise : Deno.args[at + 1];
}

/** One run of sshload.py against one server; `prefix` is for a command to run it under. */
async function load(server: Server, kind: string, prefix: readonly string[] = []): Promise<Figures> {
  const script = new URL("sshload.py", import.meta.url).pathname;
  const line = [
    "python3",
    script,
    "--json",
    "--what",
    kind,
    "--port",
    `${server.port}`,
    "--pid",
    `${server.pid}`,
  ];
  const { text } = await succeed([...prefix, ...line, ...effort, ...server.args], { within: 600_000 });
  const { label: _, ...figures } = JSON.parse(text);
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => figureOf(name, value)));
}

/** Connections are counted as "done/asked": the figure is how many were not. */
function figureOf(name: string, value: unknown): [string, number] {
  if (typeof value === "number") return [name, value];
  const [done, asked] = String(value).split("/").map(Number);
  return [name.replace(/ (ok|alive)$/, " lost"), asked - done];
}

/**
 * Round trips with the server on a core of its own. A gateway is not on the machine of its clients; where they share all cores,
 * the tail of a round trip is the time that the scheduler lets a process wait for a client's turn to end.
 */
async function loadApart(server: Server): Promise<Figures> {
  const pin = (cpus: string) => succeed(["taskset", "-a", "-p", "-c", cpus, `${server.pid}`]);
  await pin(`${CPUS - 1}`);
  try {
    const figures = await load(server, "rtt", ["taskset", "-c", `0-${CPUS - 2}`]);
    return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`apart: ${name}`, value]));
  } finally {
    await pin(`0-${CPUS - 1}`);
  }
}

/** All kinds against all servers in turn. */
async function* measured(servers: readonly Server[]): AsyncGenerator<Map<Server, Figures>> {
  for (const kind of kinds) {
    for (let round = 1; round <= rounds; round++) {
      const figures = new Map<Server, Figures>();
      for (const server of servers) {
        console.error(`${kind}, round ${round}: ${server.label}`);
        const apart = kind === "rtt" && CPUS > 1 ? await loadApart(server) : {};
        figures.set(server, { ...await load(server, kind), ...apart });
      }
      yield figures;
    }
  }
}

/** Start to registered, and memory then, of one agent. */
async function measureAgent(start: () => ReturnType<typeof startAgent>): Promise<Figures> {
  const times: number[] = [];
  let rss = 0;
  // The first one compiles its modules; people restart agents, and images carry them compiled.
  for (let i = 0; i < 4; i++) {
    const began = performance.now();
    await using agent = await start();
    times.push((performance.now() - began) / 1000);
    const status = Deno.readTextFileSync(`/proc/${agent.process.pid}/status`);
    rss = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
  }
  return { "agent s to registered": Math.min(...times), "agent RSS MB": Math.round(rss) };
}

for (const peer of [openssh, iperf]) {
  if (peer.missing) throw new Error(`${peer.name}: ${peer.missing}`);
}
using folder = sharedFolder();
const key = await makeKey(folder, "user");
const hostKey = await makeKey(folder, "host");
const dialling = ["--allow-dial", "127.0.0.0/8:1-65535"];

function serverOf(label: string, gateway: GatewayUnderTest): Server {
  const args = ["--key", key.path, "--user", ownUser, "--relay-as", "name"];
  return { label, port: gateway.port, pid: gateway.process.pid, args };
}

const ours: Figures[] = [];
const peers: Figures[] = [];
{
  await using sshd = await startSshd(openssh, folder, { hostKeys: [hostKey], authorized: [key.line] });
  const args = ["--key", key.path, "--user", sshd.user, "--relay-as", "port", "--forward", "0"];
  const peer: Server = { label: "sshd", port: sshd.port, pid: sshd.process.pid, args };
  await using gateway = await startGateway(folder, { owners: [key.line], args: dialling });
  const own = serverOf("gateway", gateway);
  for await (const figures of measured([peer, own])) {
    peers.push(figures.get(peer)!);
    ours.push(figures.get(own)!);
  }
  if (hasCommand("agent")) {
    const start = () => startAgent(folder, { name: "bench", gateway, identity: key, authorized: [key.line] });
    ours.push(await measureAgent(start));
    peers.push({});
  }
}
const portable: Figures[] = [];
if (kinds.includes("bulk")) {
  await using gateway = await startGateway(folder, {
    name: "portable",
    owners: [key.line],
    args: dialling,
    permissions: ["--deny-ffi"],
  });
  portable.push(await load(serverOf("portable", gateway), "bulk"));
}

const columns = new Map([["sshd", peers], ["gateway", ours], ["gateway, portable", portable]]);
const names = Object.keys(medians([...columns.values()].flat()));
const width = Math.max(...names.map((name) => name.length));
const shown = (value?: number) => value === undefined ? "" : String(Math.round(value * 1000) / 1000);
const row = (name: string, cells: readonly string[], last: string) =>
  console.log([name.padEnd(width), ...cells.map((cell) => cell.padStart(18)), `  ${last}`].join(""));

row("medians", [...columns.keys()], "gateway, median of the rounds [range] (target)");
let missed = 0;
for (const name of names) {
  const verdict = TARGETS.filter(({ figure }) => figure === name)
    .map((target) => judge(target, { ours, peer: peers })).at(0);
  if (verdict?.met === false) missed++;
  row(name, [...columns.values()].map((column) => shown(medians(column)[name])), verdict?.text ?? "");
}
console.log(missed === 0 ? "every target measured is met" : `${missed} targets missed`);
Deno.exit(missed > 0 && !quick ? 1 : 0);
