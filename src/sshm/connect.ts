/** `sshm connect` and `sshm proxy`: a connection to a node, on standard input and output or from a local port. */
import type { Command } from "commander";
import { formatGateway } from "../agent/gateway_address.ts";
import { type LocalForward, parseConnect } from "../agent/local_forward.ts";
import type { Bytes } from "../bytes/bytes.ts";
import {
  formatAddress,
  formatHostPort,
  type NetConnection,
  NetError,
  type NetListener,
} from "../platform/net.ts";
import type { ClientConnection } from "../ssh/client.ts";
import type { Channel } from "../ssh/connection/types.ts";
import { ChannelOpenError, SshError } from "../ssh/error.ts";
import type { HostPort } from "../ssh/forward/messages.ts";
import { openTcp } from "../ssh/forward/outgoing.ts";
import { deferred } from "../streams/deferred.ts";
import { type PlainDuplex, PlainDuplexBase } from "../streams/duplex.ts";
import { relay } from "../streams/relay.ts";
import { addExamples, type Cli, run } from "./cli.ts";
import { SshmError } from "./exit_codes.ts";
import type { GlobalFlags } from "./flags.ts";
import { explained, openGateway, requireGateway } from "./gateway.ts";
import type { SshmHost } from "./host.ts";
import { note, printJson } from "./output.ts";

interface ConnectFlags {
  readonly listen?: HostPort;
}

export function addConnectCommands(program: Command, cli: Cli): void {
  const connect = program.command("connect")
    .description("connect to a node's port, on standard input and output or from a local port")
    .argument("<NAME[:PORT]>", "the node, and a port that it registered (default: 22)")
    .option("-L, --listen <[ADDR:]PORT>", "listen here; each connection goes to the node", readListen);
  addExamples(
    run<ConnectFlags>(cli, connect, async (flags, [target]) => {
      const { target: node } = readTarget(target);
      await overGateway(
        cli,
        flags,
        (connection) =>
          flags.listen
            ? forwardFrom(cli.host, flags, flags.listen, node, connection)
            : joinStdio(cli.host, node, connection),
      );
    }),
    [
      [
        "echo hello | sshm connect echo.gw.mycorp.com:7",
        "the reply comes whole: ending the input ends one direction only",
      ],
      ["sshm connect db:5432 -L 5432", "psql -h 127.0.0.1 then reaches the node's database"],
    ],
  );

  const proxy = program.command("proxy")
    .description("connect standard input and output to a node's port: a ProxyCommand for ssh")
    .argument("<NAME>", "the node")
    .argument("<PORT>", "a port that it registered");
  addExamples(
    run(cli, proxy, async (flags, [name, port]) => {
      const { target } = readTarget(`${name}:${port}`);
      await overGateway(cli, flags, (connection) => joinStdio(cli.host, target, connection));
    }),
    [[
      "ssh -o ProxyCommand='sshm --gateway gw.mycorp.com:15022 proxy %h %p' web.gw.mycorp.com",
      "stock ssh, with the gateway's host key checked by sshm",
    ]],
  );
}

function readTarget(text: string): LocalForward {
  try {
    return parseConnect(text);
  } catch (error) {
    if (error instanceof TypeError) throw new SshmError("usage", error.message, { cause: error });
    throw error;
  }
}

/** `[ADDR:]PORT`; loopback unless it says otherwise, for whoever reaches it uses this user's keys. */
function readListen(text: string): HostPort {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) throw new SshmError("usage", `-L '${text}' is not [ADDR:]PORT`);
  return { host: match[1] ?? match[2] ?? "127.0.0.1", port };
}

async function overGateway(
  { host }: Cli,
  flags: GlobalFlags,
  use: (connection: ClientConnection) => Promise<void>,
): Promise<void> {
  const connection = await openGateway(host, flags);
  try {
    await use(connection);
  } catch (error) {
    throw explained(error, formatGateway(requireGateway(flags)));
  } finally {
    connection.close();
    await connection.closed;
  }
}

/** @throws {SshmError} `refused` with the gateway's own words */
async function open(connection: ClientConnection, target: HostPort, originator?: HostPort): Promise<Channel> {
  try {
    return await openTcp(connection, target, { originator });
  } catch (cause) {
    if (!(cause instanceof ChannelOpenError)) throw cause;
    const what = formatHostPort(target.host, target.port);
    throw new SshmError("refused", `the gateway does not connect to ${what}: ${cause.message}`, { cause });
  }
}

/**
 * Joins standard input and output with the node: the end of the input is passed on and the answer still comes. It is over
 * when both directions have ended; or, though input is still open, when the channel is closed and all that came is written.
 * Who types at a terminal is not kept waiting for input when the node has said its last.
 */
async function joinStdio(
  { stdio, ending, interactive }: SshmHost,
  target: HostPort,
  connection: ClientConnection,
): Promise<void> {
  const channel = await open(connection, target);
  const over = new AbortController();
  const output = new WatchedOutput(stdio);
  Promise.all([output.ended, interactive || channel.closed]).then(() => over.abort());
  const { reason, fault } = await relay(output, channel, { signal: AbortSignal.any([over.signal, ending]) });
  if (ending.aborted) return;
  const lost = await Promise.race([connection.closed, Promise.resolve(undefined)]);
  if (lost) throw lost;
  if (reason !== "fault" || over.signal.aborted) return;
  const { side, operation, error: cause } = fault!;
  if (side === "b") throw cause;
  const what = operation === "read" ? "the input cannot be read" : "nobody reads the output any more";
  throw new SshmError("failed", what, { cause });
}

/** A connection that tells when its outgoing direction was ended. */
class WatchedOutput extends PlainDuplexBase {
  readonly #inner: PlainDuplex;
  readonly #ended = deferred();

  constructor(inner: PlainDuplex) {
    super();
    this.#inner = inner;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  read(into: Bytes): Promise<number | null> {
    return this.#inner.read(into);
  }

  write(from: Bytes): Promise<void> {
    return this.#inner.write(from);
  }

  async closeWrite(): Promise<void> {
    await this.#inner.closeWrite();
    this.#ended.resolve();
  }

  close(reason?: unknown): void {
    this.#inner.close(reason);
  }
}

/** Listens until the user ends it or the gateway has gone. */
async function forwardFrom(
  host: SshmHost,
  { json }: GlobalFlags,
  { host: hostname, port }: HostPort,
  target: HostPort,
  connection: ClientConnection,
): Promise<void> {
  let listener: NetListener;
  try {
    listener = await host.net.listen({ transport: "tcp", hostname, port });
  } catch (cause) {
    if (cause instanceof NetError) throw new SshmError("address", cause.message, { cause });
    throw cause;
  }
  const to = formatHostPort(target.host, target.port);
  const listen = formatAddress(listener.address);
  if (json) await printJson(host, { event: "listening", listen, to });
  else await note(host, `${listen} leads to ${to}`);
  let lost: Error | undefined;
  connection.closed.then((error) => {
    lost = error;
    listener.close();
  });
  const flows = new Set<Promise<void>>();
  for await (const local of listener) {
    const flow = forward(host, local, target, connection).finally(() => flows.delete(flow));
    flows.add(flow);
  }
  await Promise.all(flows);
  if (host.ending.aborted) return;
  throw lost ?? new SshError("connection-lost", "the gateway has closed the connection");
}

async function forward(
  host: SshmHost,
  local: NetConnection,
  target: HostPort,
  connection: ClientConnection,
): Promise<void> {
  const { remote } = local;
  const originator = remote.transport === "tcp" ? { host: remote.hostname, port: remote.port } : undefined;
  let channel: Channel;
  try {
    channel = await open(connection, target, originator);
  } catch (error) {
    local.close();
    return await note(host, `sshm: ${(error as Error).message}`);
  }
  await relay(local, channel, { signal: host.ending });
}
