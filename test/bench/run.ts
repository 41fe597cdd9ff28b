/**
 * Our gateway beside sshd in one run on one machine, against the targets of this project.
 *
 *   run.ts [--quick] [--what bulk,relay,conns,idle,rtt]
 *
 * `sshload.py` makes the load with the stock client: the same for sshd, the gateway with libcrypto, and the gateway with the
 * portable provider. Prints one table; exits with 1 when a target is missed (never with --quick, whose figures are noise).
 */
import { sharedFolder } from "../support/folder.ts";
import { makeKey } from "../support/keygen.ts";
import { hasCommand, startAgent, startGateway } from "../support/mesh.ts";
import { iperf, openssh } from "../support/peers.ts";
import { succeed } from "../support/process.ts";
import { ownUser, startSshd } from "../support/stock_server.ts";

type Figures = Readonly<Record<string, number>>;

/** One target: a figure of ours, at least or at most so much, times sshd's or absolute. */
interface Target {
  readonly figure: string;
  readonly least?: number;
  readonly most?: number;
  readonly timesSshd: boolean;
}

const TARGETS: readonly Target[] = [
  ...["up", "down"].flatMap((way): Target[] => [
    { figure: `bulk chacha20-poly1305 ${way} MB/s`, least: 1, timesSshd: true },
    { figure: `bulk aes256-gcm ${way} MB/s`, least: 0.8, timesSshd: true },
    { figure: `relay chacha20-poly1305 ${way} MB/s`, least: 1.3, timesSshd: true },
    { figure: `relay chacha20-poly1305 ${way} CPU s/GB`, most: 0.6, timesSshd: true },
  ]),
  { figure: "CPU ms/connection", most: 0.25, timesSshd: true },
  { figure: "idle KB/connection", most: 45, timesSshd: false },
  { figure: "rtt p99 ms", most: 1.5, timesSshd: true },
  { figure: "rtt loaded p99 ms", most: 1.5, timesSshd: true },
  { figure: "agent s to registered", most: 0.4, timesSshd: false },
  { figure: "agent RSS MB", most: 70, timesSshd: false },
];

const quick = Deno.args.includes("--quick");
const what = Deno.args.includes("--what")
  ? Deno.args[Deno.args.indexOf("--what") + 1]
  : "bulk,relay,conns,idle,rtt";
const effort = quick ? ["--secs", "1", "--conns", "8", "--idle", "8"] : [];

/** sshload.py against one server. */
async function load(
  label: string,
  server: { port: number; pid: number },
  args: readonly string[],
): Promise<Figures> {
  console.error(`measuring ${label}`);
  const script = new URL("sshload.py", import.meta.url).pathname;
  const fixed = [
    "--port",
    String(server.port),
    "--pid",
    String(server.pid),
    "--label",
    label,
    "--what",
    what,
    "--json",
  ];
  const { text } = await succeed(["python3", script, ...fixed, ...effort, ...args], { within: 600_000 });
  return JSON.parse(text);
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

function verdict({ figure, least, most, timesSshd }: Target, ours: Figures, sshd: Figures) {
  const value = ours[figure];
  if (value === undefined || (timesSshd && !sshd[figure])) return undefined;
  const measured = timesSshd ? value / sshd[figure] : value;
  const met = least !== undefined ? measured >= least : measured <= most!;
  const sign = least !== undefined ? "≥" : "≤";
  const unit = timesSshd ? " × sshd" : "";
  return { met, text: `${measured.toFixed(2)} (${sign} ${least ?? most}${unit})${met ? "" : " MISSED"}` };
}

function shown(figure: number | undefined): string {
  return typeof figure === "number" ? String(Math.round(figure * 1000) / 1000) : figure ?? "";
}

for (const peer of [openssh, iperf]) {
  if (peer.missing) throw new Error(`${peer.name}: ${peer.missing}`);
}
using folder = sharedFolder();
const key = await makeKey(folder, "user");
const hostKey = await makeKey(folder, "host");
const common = ["--key", key.path];
const columns = new Map<string, Figures>();

{
  await using sshd = await startSshd(openssh, folder, { hostKeys: [hostKey], authorized: [key.line] });
  const args = [...common, "--user", sshd.user, "--relay-as", "port", "--forward", "0"];
  columns.set("sshd", await load("sshd", { port: sshd.port, pid: sshd.process.pid }, args));
}
const gatewayArgs = ["--allow-dial", "127.0.0.0/8:1-65535"];
for (const [label, permissions] of [["gateway", []], ["gateway, portable", ["--deny-ffi"]]] as const) {
  await using gateway = await startGateway(folder, {
    name: label.replace(", ", "-"),
    owners: [key.line],
    args: gatewayArgs,
    permissions,
  });
  const args = [...common, "--user", ownUser, "--relay-as", "name"];
  const figures = await load(label, { port: gateway.port, pid: gateway.process.pid }, args);
  const agent = hasCommand("agent") && permissions.length === 0
    ? await measureAgent(() =>
      startAgent(folder, { name: "bench", gateway, identity: key, authorized: [key.line] })
    )
    : {};
  columns.set(label, { ...figures, ...agent });
}

const sshd = columns.get("sshd")!;
const names = [...new Set([...columns.values()].flatMap((figures) => Object.keys(figures)))].filter((name) =>
  name !== "label"
);
const width = Math.max(...names.map((name) => name.length));
console.log(
  [
    "".padEnd(width),
    ...[...columns.keys()].map((label) => label.padStart(18)),
    "  gateway against its target",
  ].join(""),
);
let missed = 0;
for (const name of names) {
  const cells = [...columns.values()].map((figures) => shown(figures[name]).padStart(18));
  const target = TARGETS.find(({ figure }) => figure === name);
  const judged = target && verdict(target, columns.get("gateway")!, sshd);
  if (judged && !judged.met) missed++;
  console.log([name.padEnd(width), ...cells, judged ? `  ${judged.text}` : ""].join(""));
}
console.log(missed === 0 ? "every target measured is met" : `${missed} targets missed`);
Deno.exit(missed > 0 && !quick ? 1 : 0);
