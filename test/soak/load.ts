/** What users, strangers and bad luck do to a mesh, as a table of things that happen by chance. */
import type { Random } from "../fuzz/random.ts";
import { openssh } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { close, patternHash, sha256, writePattern } from "../support/tcp.ts";

/** The mesh as its users see it. */
export interface Mesh {
  /** For `ssh -F`: every name but `gateway` is reached through it. */
  readonly config: string;
  /** Port of the gateway. */
  readonly port: number;
  /** Folder for files. */
  readonly path: string;
  /** Names that are registered, or soon will be. */
  readonly names: readonly string[];
  /** Kills something that comes back by itself; resolves when it is back. */
  disturb(random: Random): Promise<void>;
}

/** One kind of event. Throws when what came back is not what it should be. */
export interface Happening {
  readonly name: string;
  /** How often, beside the others. */
  readonly weight: number;
  happen(mesh: Mesh, random: Random): Promise<void>;
}

/** Milliseconds for anything a user does. */
const WITHIN = 60_000;

export const HAPPENINGS: readonly Happening[] = [
  { name: "a command through the jump", weight: 30, happen: command },
  { name: "megabytes up and down a session", weight: 10, happen: transfer },
  { name: "scp up and down", weight: 5, happen: copy },
  { name: "a session that is cut", weight: 10, happen: cutSession },
  { name: "a stranger's noise", weight: 10, happen: noise },
  { name: "a login that stalls", weight: 3, happen: stall },
  { name: "a node that dies", weight: 1, happen: (mesh, random) => mesh.disturb(random) },
];

/** One of them by weight. */
export function choose(random: Random): Happening {
  let at = random.below(HAPPENINGS.reduce((sum, { weight }) => sum + weight, 0));
  return HAPPENINGS.find(({ weight }) => (at -= weight) < 0)!;
}

/** Any node, or the one that always lives. */
const anyName = ({ names }: Mesh, random: Random) => random.pick(names);

const sshTo = ({ config }: Mesh, name: string, ...words: string[]) =>
  openssh.line("ssh", "-F", config, name, ...words);

async function succeeded(line: readonly string[], stdin?: Uint8Array<ArrayBuffer>) {
  const finished = await run(line, { stdin, within: WITHIN });
  if (finished.code !== 0) {
    throw new Error(`${line.slice(-2).join(" ")}: exit ${finished.code}\n${finished.stderr}`);
  }
  return finished;
}

function expect(seen: string, wanted: string): void {
  if (seen !== wanted) throw new Error(`${seen.slice(0, 100)} instead of ${wanted.slice(0, 100)}`);
}

async function command(mesh: Mesh, random: Random): Promise<void> {
  const code = random.below(100);
  const line = sshTo(mesh, anyName(mesh, random), `echo out; echo err >&2; exit ${code}`);
  const finished = await run(line, { within: WITHIN });
  expect(`${finished.code} ${finished.text}`, `${code} out\n`);
}

async function transfer(mesh: Mesh, random: Random): Promise<void> {
  const bytes = random.bytes(65_536);
  const all = new Uint8Array(bytes.length * (1 + random.below(200)));
  for (let at = 0; at < all.length; at += bytes.length) {
    bytes[0]++;
    all.set(bytes, at);
  }
  const { stdout } = await succeeded(sshTo(mesh, anyName(mesh, random), "cat"), all);
  expect(sha256(stdout), sha256(all));
}

async function copy(mesh: Mesh, random: Random): Promise<void> {
  const file = `${mesh.path}/copy-${random.below(2 ** 31)}`;
  const size = random.below(20_000_000);
  const name = anyName(mesh, random);
  writePattern(file, size);
  try {
    const scp = (from: string, to: string) =>
      succeeded(openssh.line("scp", "-q", "-F", mesh.config, from, to));
    await scp(file, `${name}:${file}.there`);
    await scp(`${name}:${file}.there`, `${file}.back`);
    expect(sha256(await Deno.readFile(`${file}.back`)), patternHash(size));
  } finally {
    for (const end of ["", ".there", ".back"]) await Deno.remove(file + end).catch(() => {});
  }
}

async function cutSession(mesh: Mesh, random: Random): Promise<void> {
  // As with sshd, a command without a terminal outlives its session until it reads or writes: not for long here.
  const endless = random.pick(["sleep 10", "cat /dev/zero"]);
  const client = start([
    "sh",
    "-c",
    `exec "$@" > /dev/null`,
    "sh",
    ...sshTo(mesh, anyName(mesh, random), endless),
  ]);
  await new Promise((resolve) => setTimeout(resolve, random.below(3000)));
  await client.stop("SIGKILL");
}

/** Bytes that are no SSH, or begin as SSH does. */
async function noise(mesh: Mesh, random: Random): Promise<void> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: mesh.port });
  try {
    const begin = random.pick(["", "SSH-2.0-soak\r\n", "GET / HTTP/1.1\r\n", "\x16\x03\x01"]);
    await connection.write(new TextEncoder().encode(begin));
    await connection.write(random.bytes(1 + random.below(5000)));
    await new Promise((resolve) => setTimeout(resolve, random.below(500)));
  } catch (error) {
    // The gateway may have hung up first.
    if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) {
      throw error;
    }
  } finally {
    close(connection);
  }
}

async function stall(mesh: Mesh, random: Random): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: mesh.port });
  await connection.write(new TextEncoder().encode("SSH-2.0-stalled\r\n"));
  await new Promise((resolve) => setTimeout(resolve, random.below(5000)));
}
