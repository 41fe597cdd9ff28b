/**
 * The whole of ssh-mesh on this machine: a gateway, an agent that registers at it, and stock `ssh` that reaches the agent by
 * name through the gateway. Says what it does at each step, with the commands to type; ends by itself; leaves nothing behind.
 *
 *   deno task demo
 */
import { formatPrivateKey, formatPublicKey, generatePrivateKey } from "../mod.ts";
import { findExecutable } from "../src/deno/executable.ts";

/** What a step may take, in milliseconds, before the demo gives up. */
const PATIENCE_MS = 30_000;

const project = new URL("../", import.meta.url).pathname;
const NAME = "demo";

/** A program that runs beside the demo. */
class Service {
  readonly #child: Deno.ChildProcess;
  readonly #said: string[] = [];
  readonly #reading: Promise<void>;

  constructor(command: string, args: readonly string[]) {
    show("deno", ["run", "-A", `cmd/${command}.ts`, ...args]);
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `cmd/${command}.ts`, ...args, "--log", "json"],
      cwd: project,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = this.#listen(this.#child.stderr, () => {});
  }

  /** The line of its log that says it is ready. */
  async ready(): Promise<Record<string, string>> {
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, string>>();
    const timer = setTimeout(() => reject(this.#failure("did not get ready")), PATIENCE_MS);
    this.#listen(this.#child.stdout, (line) => {
      if (line.includes('"event":"ready"')) resolve(JSON.parse(line));
    }).then(() => reject(this.#failure("ended")));
    return await promise.finally(() => clearTimeout(timer));
  }

  async stop(): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
      this.#child.kill("SIGTERM"); // the first one drains, the second one ends
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#reading;
  }

  async #listen(
    output: ReadableStream<Uint8Array<ArrayBuffer>>,
    take: (line: string) => void,
  ): Promise<void> {
    let rest = "";
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.#said.push(...lines);
      lines.forEach(take);
    }
  }

  #failure(what: string): Error {
    return new Error([`it ${what}; it said:`, ...this.#said.slice(-10)].join("\n"));
  }
}

/** Shows a command as one would type it. */
function show(file: string, args: readonly string[]): void {
  const words = args.map((word) => /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word}'`);
  console.log(`  $ ${[file, ...words].join(" ")}`);
}

/** Runs a command to its end, showing it and what it prints. @throws when it fails */
async function type(file: string, shown: string, args: readonly string[]): Promise<void> {
  show(shown, args);
  const { success, stdout, stderr } = await new Deno.Command(file, {
    args: [...args],
    cwd: project,
    stdin: "null",
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).output();
  const text = new TextDecoder().decode(stdout).trimEnd();
  for (const line of text.split("\n")) console.log(`  ${line}`);
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

async function demo(ssh: string, folder: string, services: Service[]): Promise<void> {
  const key = await generatePrivateKey("ssh-ed25519", { comment: "demo" });
  const id = `${folder}/id`;
  await Deno.writeTextFile(id, formatPrivateKey(key), { mode: 0o600 });
  await Deno.writeTextFile(`${id}.pub`, `${formatPublicKey(key.publicKey, "demo")}\n`);

  console.log(`\n1. A gateway. Its owner is the key ${id}, made for this demo.`);
  const owners = ["--authorized-keys", `${id}.pub`];
  const gateway = new Service("gateway", [
    ...["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", `${folder}/gateway`],
    ...owners,
  ]);
  services.push(gateway);
  const { listen, fingerprint, known_hosts } = await gateway.ready();
  console.log(`  It listens on ${listen}; its host key is ${fingerprint}.`);

  console.log("\n2. ssh is told which key to use and which host key to believe, in a file of its own.");
  const config = `${folder}/ssh_config`;
  await Deno.writeTextFile(`${folder}/known_hosts`, `${known_hosts}\n`);
  await Deno.writeTextFile(
    config,
    [
      `Host ${NAME}`,
      "  StrictHostKeyChecking accept-new",
      "Host *",
      `  IdentityFile ${id}`,
      "  IdentitiesOnly yes",
      "  IdentityAgent none",
      "  BatchMode yes",
      `  UserKnownHostsFile ${folder}/known_hosts`,
      "  StrictHostKeyChecking yes",
      "  LogLevel ERROR",
      "",
    ].join("\n"),
  );
  const [host, port] = listen.split(":");
  await type(ssh, "ssh", ["-F", config, "-p", port, host, "whoami"]);

  console.log(
    `\n3. An agent dials the gateway and registers this machine as '${NAME}'. Nobody could dial the agent.`,
  );
  const agent = new Service("agent", [
    ...["--gateway", listen, "--gateway-key", fingerprint, "--name", NAME, "--identity", id],
    ...["--state", `${folder}/agent`],
    ...owners,
  ]);
  services.push(agent);
  await agent.ready();
  const sshm = ["--gateway", listen, "--gateway-key", fingerprint, "--identity", id, "node", "ls"];
  await type(Deno.execPath(), "deno", ["run", "-A", "cmd/sshm.ts", ...sshm]);

  console.log("\n4. Stock ssh reaches it by name, through the gateway.");
  await type(ssh, "ssh", ["-F", config, "-J", listen, NAME, "echo Hello from $(uname -n), as $(id -un)"]);

  console.log("\n5. The gateway has one record of that flow:");
  const flows = `${folder}/gateway/flows.jsonl`;
  show("cat", [flows]);
  console.log(`  ${await firstLine(flows)}`);
}

/** Waits for it: a record is written a moment after its flow has ended. */
async function firstLine(path: string): Promise<string> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
    const text = await Deno.readTextFile(path);
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`there is no record in ${path}`);
}

if (import.meta.main) {
  const ssh = await findExecutable("ssh", Deno.env.get("PATH")).catch(() => undefined);
  if (ssh === undefined) {
    console.error(
      "The demo needs OpenSSH's client, and there is no 'ssh' in PATH (Debian: apt install openssh-client)",
    );
    Deno.exit(1);
  }
  const folder = await Deno.makeTempDir({ prefix: "ssh-mesh-demo-" });
  const services: Service[] = [];
  const cleanUp = async () => {
    for (const service of services.reverse()) await service.stop();
    await Deno.remove(folder, { recursive: true });
  };
  let interrupted = false;
  let failed = false;
  Deno.addSignalListener("SIGINT", () => {
    interrupted = true;
    cleanUp().finally(() => Deno.exit(130));
  });
  try {
    await demo(ssh, folder, services);
    console.log("\nThat was all: agent and gateway end, and their folder is removed.");
  } catch (error) {
    // What it was doing fails because it was told to end: nothing to tell, and the listener ends it.
    if (interrupted) await new Promise(() => {});
    failed = true;
    console.error(`\nThe demo has failed: ${error instanceof Error ? error.message : error}`);
  }
  await cleanUp();
  Deno.exit(failed ? 1 : 0);
}
