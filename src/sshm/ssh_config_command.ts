/** `sshm ssh-config`. */
import type { Command } from "commander";
import { formatGateway } from "../agent/gateway_address.ts";
import { expandHome } from "../agent/text_file.ts";
import { decodeText } from "../bytes/bytes.ts";
import { fullName, ipAddress, NameError, normalizeName } from "../routing/names.ts";
import { addExamples, type Cli, run } from "./cli.ts";
import { SshmError } from "./exit_codes.ts";
import type { GlobalFlags } from "./flags.ts";
import { explained, openGateway, requireGateway } from "./gateway.ts";
import type { SshmHost } from "./host.ts";
import { print, printJson } from "./output.ts";
import { runRemote } from "./remote_commands.ts";
import { formatSshConfig, requireOwnHosts } from "./ssh_config.ts";
import { writeText } from "./write_text.ts";

interface Flags {
  readonly domain?: string;
  readonly login?: string;
  readonly proxy?: true | string;
  readonly saveHosts?: string;
}

/** What a ProxyCommand calls this program unless told otherwise. */
const PROGRAM = "sshm";

/** The domain of a gateway that was given none. */
const DEFAULT_DOMAIN = "localhost";

export function addSshConfigCommand(program: Command, cli: Cli): void {
  const command = program.command("ssh-config")
    .description("an ssh_config by which stock ssh, scp and sftp reach nodes by name")
    .argument("[NAME...]", "nodes (default: asks the gateway which ones you may connect to)")
    .option("--domain <NAME>", "the gateway's domain (default: as its nodes show it, else its host name)")
    .option("--login <USER>", "login name on the nodes")
    .option(
      "--save-hosts <FILE>",
      "write there who signs the host certificates here, as the gateway says it, and have ssh believe that",
    )
    .option("--proxy [PROGRAM]", "go through 'PROGRAM proxy' instead of ssh's own jump (default: sshm)");
  addExamples(
    run<Flags>(cli, command, async (flags, names) => {
      const gateway = requireGateway(flags);
      const asksNodes = names.length === 0;
      const answer = asksNodes || flags.saveHosts ? await ask(cli.host, flags, asksNodes) : undefined;
      const found = asksNodes ? answer!.nodes : undefined;
      const guess = ipAddress(gateway.hostname) === undefined ? gateway.hostname : DEFAULT_DOMAIN;
      const domain = readName(flags.domain ?? found?.domain ?? guess);
      const nodes = found?.names ?? names.map((name) => fullName(readName(name), domain));
      if (flags.saveHosts !== undefined) {
        await writeText(cli.host, absolutePath(cli.host, flags.saveHosts), answer!.hosts!, 0o644);
      }
      const text = await configText(cli.host, flags, domain, nodes);
      if (flags.json) {
        await printJson(cli.host, { gateway: formatGateway(gateway), domain, nodes, config: text });
      } else await print(cli.host, text.trimEnd());
    }),
    [
      [
        "sshm --gateway gw.mycorp.com:15022 ssh-config web db > mesh.conf; ssh -F mesh.conf web",
        "two nodes by name",
      ],
      ["sshm --gateway gw.mycorp.com:15022 ssh-config >> ~/.ssh/config", "all that you may connect to now"],
      [
        "sshm --gateway gw.mycorp.com:15022 ssh-config --save-hosts ~/.ssh/mesh_hosts >> ~/.ssh/config",
        "and no question about any host key, ever",
      ],
    ],
  );
}

async function configText(
  host: SshmHost,
  flags: Flags & GlobalFlags,
  domain: string,
  nodes: readonly string[],
) {
  const gateway = requireGateway(flags);
  const identities = await Promise.all(flags.identity.map((path) => absolute(host, path)));
  const saved = flags.saveHosts === undefined ? [] : [flags.saveHosts];
  const knownHosts = await Promise.all([...saved, ...flags.knownHosts].map((path) => absolute(host, path)));
  const { tokenFile, tokenCommand } = flags;
  const tokenWords = [
    ...(tokenFile === undefined ? [] : ["--token-file", await absolute(host, tokenFile)]),
    ...(tokenCommand === undefined ? [] : ["--token-command", tokenCommand]),
  ];
  try {
    return formatSshConfig({
      gateway,
      domain,
      nodes,
      ...(flags.login !== undefined && { login: flags.login }),
      identities,
      knownHosts: knownHosts.length > 0 ? knownHosts : ["~/.ssh/known_hosts"],
      certified: flags.saveHosts !== undefined,
      ...(flags.proxy && {
        proxy: [
          ...(flags.proxy === true ? PROGRAM : flags.proxy).split(" ").filter((word) => word !== ""),
          "--gateway",
          `${gateway.user === undefined ? "" : `${gateway.user}@`}${formatGateway(gateway)}`,
          ...knownHosts.flatMap((path) => ["--known-hosts", path]),
          ...flags.gatewayKey.flatMap((fingerprint) => ["--gateway-key", fingerprint]),
          ...identities.flatMap((path) => ["--identity", path]),
          ...tokenWords,
          "proxy",
        ],
      }),
    });
  } catch (error) {
    if (error instanceof TypeError || error instanceof NameError) throw new SshmError("usage", error.message);
    throw error;
  }
}

interface Answer {
  readonly nodes?: { readonly names: readonly string[]; readonly domain?: string };
  /** Lines of a known_hosts file. */
  readonly hosts?: string;
}

async function ask(host: SshmHost, flags: Flags & GlobalFlags, nodes: boolean): Promise<Answer> {
  const connection = await openGateway(host, flags);
  const say = async (command: string) => decodeText(await runRemote(connection, command));
  try {
    return {
      ...(nodes && { nodes: readNodes(await say("ls --json")) }),
      ...(flags.saveHosts !== undefined && { hosts: readHosts(await say("known-hosts")) }),
    };
  } catch (error) {
    throw explained(error, formatGateway(requireGateway(flags)));
  } finally {
    connection.close();
    await connection.closed;
  }
}

/** @throws {SshmError} `failed` */
function readHosts(text: string): string {
  try {
    return requireOwnHosts(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new SshmError("failed", `the gateway's answer to 'known-hosts' ${error.message}`);
  }
}

/** Nodes with an SSH port. What comes from the gateway goes into a file: only names do. */
function readNodes(text: string): NonNullable<Answer["nodes"]> {
  const entries = readEntries(text);
  const serving = entries.filter(({ ports }) => ports.some((port) => /^22\D*$/.test(port)));
  const aliased = entries.find(({ name, alias }) => alias !== undefined && name.startsWith(`${alias}.`));
  return {
    names: serving.map(({ name }) => readName(name)),
    ...(aliased && { domain: aliased.name.slice(aliased.alias!.length + 1) }),
  };
}

interface Entry {
  readonly name: string;
  readonly alias?: string;
  readonly ports: readonly string[];
}

function readEntries(text: string): readonly Entry[] {
  const isText = (value: unknown) => typeof value === "string";
  try {
    const entries: unknown = JSON.parse(text);
    if (
      Array.isArray(entries) && entries.every((entry) => isText(entry?.name) && Array.isArray(entry.ports))
    ) {
      return entries.map(({ name, alias, ports }) => ({
        name,
        ...(isText(alias) && { alias }),
        ports: ports.map(String),
      }));
    }
  } catch {
    // As wrong as any other text that is no list of nodes.
  }
  throw new SshmError("failed", "the gateway's answer to 'ls --json' is no list of nodes");
}

function readName(text: string): string {
  try {
    return normalizeName(text);
  } catch (error) {
    if (error instanceof NameError) throw new SshmError("usage", `'${text}': ${error.message}`);
    throw error;
  }
}

/** The file may be used from anywhere. One that is not there is left as it is written. */
async function absolute(host: SshmHost, path: string): Promise<string> {
  return await host.files.realpath(absolutePath(host, path)).catch(() => path);
}

function absolutePath({ environment }: SshmHost, path: string): string {
  return expandHome(path, environment("HOME") ?? "/");
}
