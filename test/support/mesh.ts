/** Our own gateway and agent, run as the commands that people run. */
import type { Folder } from "./folder.ts";
import type { KeyFile } from "./keygen.ts";
import { type Running, start } from "./process.ts";

const root = new URL("../../", import.meta.url);

/** A line of `--log json`. */
export type LogLine = { readonly event: string } & Readonly<Record<string, unknown>>;

/** A command of ours that runs beside the test and logs JSON. `await using` drains and ends it. */
export class MeshCommand implements AsyncDisposable {
  constructor(readonly process: Running) {}

  /** Everything that it logged so far. */
  get log(): LogLine[] {
    return this.process.stdout.all.map(parseLine).filter((line) => line !== undefined);
  }

  /** The first line with this event (and members), waiting for it. */
  event(name: string, members: Record<string, unknown> = {}, options?: { from?: number; within?: number }) {
    const fits = (line: LogLine) =>
      line.event === name && Object.entries(members).every(([key, value]) => line[key] === value);
    return this.process.stdout.find(`event '${name}' ${JSON.stringify(members)}`, (text) => {
      const line = parseLine(text);
      return line && fits(line) ? line : undefined;
    }, options).catch((cause) => {
      throw new Error(`${cause.message}\n${this.process.stderr}`, { cause });
    });
  }

  /** Ends it at once, as a crash does. */
  kill(): Promise<Deno.CommandStatus> {
    return this.process.stop("SIGKILL");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

function parseLine(text: string): LogLine | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The command line of one of our commands. @param permissions for Deno; `--deny-ffi` means without libcrypto */
export function meshLine(
  command: "gateway" | "agent" | "sshm",
  args: readonly string[],
  permissions: readonly string[] = [],
): string[] {
  return projectLine(`cmd/${command}.ts`, args, permissions);
}

/** The command line of any program of the project. @param path from the project's folder */
export function projectLine(
  path: string,
  args: readonly string[],
  permissions: readonly string[] = [],
): string[] {
  const [config, program] = ["deno.json", path].map((name) => new URL(name, root).pathname);
  return [Deno.execPath(), "run", "-A", ...permissions, "--config", config, program, ...args];
}

function entry(command: string): string {
  return new URL(`cmd/${command}.ts`, root).pathname;
}

/** Whether this tree has the command. */
export function hasCommand(command: "gateway" | "agent" | "sshm"): boolean {
  try {
    return Deno.statSync(entry(command)).isFile;
  } catch {
    return false;
  }
}

/** Environment with a home of the test's own, and this Deno's packages. */
export function meshEnvironment(home: string): Record<string, string> {
  const own = Deno.env.get("HOME") ?? "/root";
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${own}/.cache`;
  return { HOME: home, DENO_DIR: Deno.env.get("DENO_DIR") ?? `${cache}/deno`, DENO_NO_UPDATE_CHECK: "1" };
}

/** The public half of a host key. */
export type HostKey = Pick<KeyFile, "bare" | "line" | "fingerprint">;

export interface GatewayUnderTest extends MeshCommand {
  readonly port: number;
  /** Address of metrics and health, `HOST:PORT`. */
  readonly admin: string;
  readonly state: string;
  readonly hostKey: HostKey;
  /** Starts it again on the same port and state; the first one must have ended. */
  restart(): Promise<GatewayUnderTest>;
}

/**
 * Starts a gateway on a free port of 127.0.0.1 and waits for its ready line.
 * @param options.owners authorized_keys lines
 */
export async function startGateway(
  folder: Folder,
  { name = "gateway", owners = [], args = [], port = 0, permissions = [] }: {
    /** Of the state folder; two gateways in one test need two. */
    name?: string;
    owners?: readonly string[];
    args?: readonly string[];
    port?: number;
    /** For Deno, such as `--deny-ffi`. */
    permissions?: readonly string[];
  },
): Promise<GatewayUnderTest> {
  const home = folder.at(`${name}-home`);
  Deno.mkdirSync(home, { recursive: true, mode: 0o700 });
  const state = `${home}/state`;
  const keys = folder.write(`${name}-owners`, owners.map((line) => line + "\n").join(""));
  const fixed = [
    "--listen",
    `127.0.0.1:${port}`,
    "--admin",
    "127.0.0.1:0",
    "--state",
    state,
    "--log",
    "json",
  ];
  const line = meshLine("gateway", [...fixed, "--authorized-keys", keys, ...args], permissions);
  const command = new MeshCommand(start(line, { env: meshEnvironment(home) }));
  try {
    const ready = await command.event("ready");
    const real = Number(String(ready.listen).split(":").at(-1));
    return Object.assign(command, {
      port: real,
      admin: String(ready.admin),
      state,
      hostKey: hostKeyOf(ready),
      restart: () => startGateway(folder, { name, owners, args, permissions, port: real }),
    });
  } catch (error) {
    await command.kill();
    throw error;
  }
}

/** The host key as the ready line tells it. Its private half is the gateway's own. */
function hostKeyOf(ready: LogLine): HostKey {
  const bare = String(ready.known_hosts).split(" ").slice(1, 3).join(" ");
  return { bare, line: bare, fingerprint: String(ready.fingerprint) };
}

/** Starts an agent with a key of its own in `folder` and waits until it is registered. */
export async function startAgent(
  folder: Folder,
  { name, gateway, identity, home = `${name}-home`, authorized = [], args = [], env = {} }: {
    name: string;
    gateway: Pick<GatewayUnderTest, "port" | "hostKey">;
    /** Must be an owner of the gateway, or have a rule. */
    identity: KeyFile;
    /** Its folder in `folder`; two agents of one name need two. */
    home?: string;
    /** Who may log in on the built-in server. */
    authorized?: readonly string[];
    args?: readonly string[];
    env?: Readonly<Record<string, string>>;
  },
): Promise<MeshCommand> {
  const path = folder.at(home);
  Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  const keys = folder.write(`${name}-authorized`, authorized.map((line) => line + "\n").join(""));
  const line = meshLine("agent", [
    ...["--gateway", `127.0.0.1:${gateway.port}`, "--gateway-key", gateway.hostKey.fingerprint],
    ...["--name", name, "--identity", identity.path, "--authorized-keys", keys],
    ...["--state", `${path}/state`, "--log", "json", ...args],
  ]);
  const command = new MeshCommand(start(line, { env: { ...meshEnvironment(path), ...env } }));
  try {
    await command.event("ready");
    return command;
  } catch (error) {
    await command.kill();
    throw error;
  }
}
