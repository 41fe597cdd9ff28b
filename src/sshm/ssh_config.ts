/** The text of an ssh_config (ssh_config(5)) by which stock ssh reaches nodes by name. Pure. */
import type { GatewayAddress } from "../agent/gateway_address.ts";
import { formatGateway } from "../agent/gateway_address.ts";
import { parseKnownHosts } from "../keys/known_hosts.ts";
import { ipAddress, normalizeName, shortName } from "../routing/names.ts";

export interface SshConfigFacts {
  readonly gateway: GatewayAddress;
  /** The gateway's domain, normalised: nodes are `NAME.DOMAIN`. */
  readonly domain: string;
  /** Full names of nodes, normalised. */
  readonly nodes: readonly string[];
  /** Login name on the nodes. */
  readonly login?: string;
  /** Absolute, or beginning with `~`. */
  readonly identities: readonly string[];
  readonly knownHosts: readonly string[];
  /** The known hosts say who signs the gateway's host certificate, which holds its domain and never an address. */
  readonly certified?: boolean;
  /** The words of a ProxyCommand without `%h %p`; undefined: ProxyJump. */
  readonly proxy?: readonly string[];
}

/** One `Host` block. */
type Block = readonly [
  patterns: readonly string[],
  settings: readonly (readonly [keyword: string, value: string])[],
];

/** What the gateway is called in the file: its own name would be the name of the machine's usual SSH server. */
function gatewayAlias({ hostname }: GatewayAddress): string {
  return `mesh-${hostname}`;
}

/**
 * Blocks for the gateway, for each node (by its short name too, where it has one) and for every other name under the
 * domain. The first value of a keyword wins, so what is particular comes first.
 * @throws {TypeError} when the gateway's host is neither a name nor an address
 */
export function formatSshConfig(facts: SshConfigFacts): string {
  const { gateway, domain, nodes, login, identities, knownHosts, proxy } = facts;
  requireHost(gateway.hostname);
  const alias = gatewayAlias(gateway);
  const trust = ["UserKnownHostsFile", knownHosts.map(pathWord).join(" ")] as const;
  const keys = identities.map((path) => ["IdentityFile", pathWord(path)] as const);
  const way = proxy
    ? ["ProxyCommand", [...proxy.map(shellWord), "%h", "%p"].join(" ")] as const
    : ["ProxyJump", alias] as const;
  const access = [
    ...(login === undefined ? [] : [["User", word(login)] as const]),
    way,
    trust,
    ...keys,
  ];
  const certifiedAs = facts.certified && gateway.hostname !== domain ? domain : undefined;
  const gatewayBlock: Block = [[alias], [
    ["HostName", gateway.hostname],
    ...(certifiedAs === undefined ? [] : [["HostKeyAlias", certifiedAs] as const]),
    ["Port", `${gateway.port}`],
    ...(gateway.user === undefined ? [] : [["User", word(gateway.user)] as const]),
    ["ProxyJump", "none"],
    trust,
    ...keys,
  ]];
  const nodeBlocks = nodes.map((name): Block => {
    const short = shortName(name, domain);
    return [short ? [short, name] : [name], [["HostKeyAlias", name], ...access]];
  });
  // The gateway itself may lie under its domain, and is not reached through itself.
  const others: Block = [[`*.${domain}`, `!${gateway.hostname}`, `!${alias}`], access];
  const blocks = [...(proxy ? [] : [gatewayBlock]), ...nodeBlocks, others];
  return `# Nodes behind the gateway ${formatGateway(gateway)}, by 'sshm ssh-config'.\n` +
    blocks.map(formatBlock).join("\n");
}

/**
 * Lines of a known_hosts file that a gateway gave, as they are. It speaks for its own hosts, not for everybody's.
 * @throws {TypeError} what is wrong with them
 */
export function requireOwnHosts(text: string): string {
  const { entries, faults } = parseKnownHosts(text);
  if (entries.length === 0 || faults.length > 0) throw new TypeError("is no list of known hosts");
  const isForAll = (pattern: string) => /^[*?.]*$/.test(pattern) || pattern.startsWith("!");
  if (entries.some(({ hosts }) => hosts.split(",").some(isForAll))) {
    throw new TypeError("speaks for every host");
  }
  return text;
}

function formatBlock([patterns, settings]: Block): string {
  return [`Host ${patterns.join(" ")}`, ...settings.map(([keyword, value]) => `  ${keyword} ${value}`), ""]
    .join("\n");
}

function requireHost(hostname: string): void {
  if (ipAddress(hostname) === undefined) normalizeName(hostname);
}

/** A path where `%` begins a token and white space a further path. */
function pathWord(path: string): string {
  return word(path.replaceAll("%", "%%"));
}

/** One word of an ssh_config line. @throws {TypeError} for what cannot be written as one */
function word(text: string): string {
  // deno-lint-ignore no-control-regex
  if (text === "" || /["\x00-\x1f\x7f]/.test(text)) {
    throw new TypeError(`'${text}' cannot be written in an ssh_config`);
  }
  return /[\s#=\\']/.test(text) ? `"${text}"` : text;
}

/** One word for the shell that runs a ProxyCommand, after ssh has replaced its tokens. */
function shellWord(text: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(text)) throw new TypeError(`'${text}' cannot be written in an ssh_config`);
  const tokens = text.replaceAll("%", "%%");
  return /^[\w./:@+,%=~-]+$/.test(tokens) ? tokens : `'${tokens.replaceAll("'", `'\\''`)}'`;
}
