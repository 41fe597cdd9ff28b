/** `sshm whoami`, `known-hosts`, `node ls`, `status`: commands that the gateway itself runs (`ssh GATEWAY COMMAND`). */
import type { Command } from "commander";
import { formatGateway } from "../agent/gateway_address.ts";
import { type Bytes, decodeText, encodeText } from "../bytes/bytes.ts";
import { printable, printableLines } from "../bytes/printable.ts";
import type { PipeReader } from "../platform/process.ts";
import type { ClientConnection } from "../ssh/client.ts";
import { openSession } from "../ssh/session/client.ts";
import { addExamples, type Cli, run } from "./cli.ts";
import type { KeyUse } from "./credentials.ts";
import { SshmError } from "./exit_codes.ts";
import type { GlobalFlags } from "./flags.ts";
import { explained, openGateway, requireGateway } from "./gateway.ts";
import { print, printJson } from "./output.ts";
import { readAll } from "./read_all.ts";

/** Largest answer of a gateway, in bytes: thousands of nodes. */
const MAX_ANSWER = 16 * 1024 * 1024;

/** One command of the gateway's, that takes no arguments. */
interface RemoteCommand {
  /** Words of `sshm`. */
  readonly name: string;
  /** What the gateway calls it. */
  readonly remote: string;
  readonly summary: string;
  /** Makes JSON of an answer in lines. Without it the gateway answers in JSON itself. */
  readonly toJson?: (lines: readonly string[]) => unknown;
  readonly example: string;
}

const COMMANDS: readonly RemoteCommand[] = [
  {
    name: "whoami",
    remote: "whoami",
    summary: "who you are at the gateway, and by which credential",
    example: "sshm --gateway gw.mycorp.com:15022 whoami",
  },
  {
    name: "known-hosts",
    remote: "known-hosts",
    summary: "the gateway's host keys and host authorities, as lines for known_hosts",
    toJson: (lines) => ({ lines }),
    example: "sshm --gateway gw.mycorp.com:15022 known-hosts >> ~/.ssh/known_hosts",
  },
  {
    name: "revoked",
    remote: "revoked",
    summary: "what counts no more: certificates, keys and identities",
    example: "sshm --gateway gw.mycorp.com:15022 revoked --json",
  },
  {
    name: "status",
    remote: "status",
    summary: "connections, nodes and flows of the gateway",
    example: "sshm --gateway gw.mycorp.com:15022 status --json",
  },
];

const NODE_LS: RemoteCommand = {
  name: "ls",
  remote: "ls",
  summary: "nodes and ports that you may connect to",
  example: "sshm --gateway gw.mycorp.com:15022 node ls",
};

export function addRemoteCommands(program: Command, cli: Cli): void {
  for (const command of COMMANDS) addRemote(program, cli, command);
  addRemote(program.command("node").description("nodes that are registered at the gateway"), cli, NODE_LS);
}

function addRemote(
  parent: Command,
  cli: Cli,
  { name, remote, summary, toJson, example }: RemoteCommand,
): void {
  const command = run(cli, parent.command(name).description(summary), async (flags) => {
    const asksJson = flags.json && !toJson;
    const text = decodeText(await askGateway(cli, flags, asksJson ? `${remote} --json` : remote));
    const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
    if (!flags.json) return await print(cli.host, ...lines.map((line) => printableLines(line)));
    await printJson(cli.host, toJson ? toJson(lines) : readJson(text));
  });
  addExamples(command, [[example, summary]]);
}

/**
 * Connects, runs one command there, and gives what it said.
 * @throws {SshmError} `refused` with the gateway's own words
 */
export async function askGateway(
  { host }: Cli,
  flags: GlobalFlags,
  command: string,
  { stdin, ...use }: { readonly stdin?: string } & KeyUse = {},
): Promise<Bytes> {
  const connection = await openGateway(host, flags, use);
  try {
    return await runRemote(connection, command, stdin);
  } catch (error) {
    throw explained(error, formatGateway(requireGateway(flags)));
  } finally {
    connection.close();
    await connection.closed;
  }
}

/** Runs a command of the gateway's over an open connection. @throws {SshmError} `refused` */
export async function runRemote(connection: ClientConnection, command: string, stdin = ""): Promise<Bytes> {
  const session = await openSession(connection);
  const program = await session.exec(command);
  // A command that refuses may end before it has read anything: what it says counts, not that it did not listen.
  const fed = (async () => {
    if (stdin) await program.stdin.write(encodeText(stdin));
    await program.stdin.close();
  })().catch(() => {});
  const read = (reader: PipeReader) => readAll(reader, MAX_ANSWER, "the gateway's answer");
  const [out, said] = await Promise.all([read(program.stdout), read(program.stderr), fed]);
  const status = await program.status;
  if ("code" in status && status.code === 0) return out;
  const how = "code" in status ? `exit ${status.code}` : `signal ${printable(status.signal)}`;
  const why = printable(decodeText(said).trim(), 2000) || how;
  throw new SshmError("refused", `the gateway refused '${printable(command)}': ${why}`);
}

/** @throws {SshmError} `failed` */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SshmError("failed", "the gateway's answer is not JSON", { cause });
  }
}
