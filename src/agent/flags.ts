/** Flags and environment variables of the agent's command. */
import { parseDialRange } from "../identity/ranges.ts";
import { formatEndings } from "../platform/exit_codes.ts";
import { frozen } from "../platform/frozen.ts";
import { SOFTWARE } from "../ssh/establish.ts";
import { type Flag, formatHelp, readCommandLine } from "./command_line.ts";
import type { AgentConfig } from "./config.ts";
import { contradiction } from "./contradictions.ts";
import { AgentError, exitCodes } from "./exit_codes.ts";
import { DEFAULT_EXPOSURES, parseExposure } from "./exposure.ts";
import { parseGatewayAddress } from "./gateway_address.ts";
import { parseConnect, parseLocalForward } from "./local_forward.ts";
import { parsePrincipalGrant } from "./principals.ts";
import { METADATA_HOST } from "./token_metadata.ts";
import type { TokenConfig } from "./token_source.ts";

/** What flags are read with. */
export interface FlagSources {
  /** Without the program's name. */
  readonly args: readonly string[];
  readonly environment: (name: string) => string | undefined;
}

/** Asked for help, or for the version, instead of a run. */
export interface HelpText {
  readonly help: string;
}

const FLAGS: readonly Flag[] = [
  {
    flags: "--gateway <HOST:PORT>",
    help: "gateway to register at; repeatable, tried in turn",
    variable: "SSHM_GATEWAY",
    parse: parseGatewayAddress,
    list: true,
  },
  {
    flags: "--name <NAME>",
    help: "name to ask for (default: the credential's own)",
    variable: "SSHM_NAME",
    parse: name,
  },
  {
    flags: "--identity <FILE>",
    help:
      "private key; the certificate beside it is used (default: ~/.ssh/id_*, else one in the state folder)",
    variable: "SSHM_IDENTITY",
  },
  {
    flags: "--token-file <FILE>",
    help: "a token that logs in at the gateway, read anew before each dial",
    variable: "SSHM_TOKEN_FILE",
  },
  {
    flags: "--token-command <COMMAND>",
    help: "the shell runs it for each token, which it prints; SSHM_TOKEN_AUDIENCE says for whom",
    variable: "SSHM_TOKEN_COMMAND",
  },
  {
    flags: "--token-metadata",
    help: "tokens of Google's metadata server (at GCE_METADATA_HOST where that is set)",
    variable: "SSHM_TOKEN_METADATA",
  },
  {
    flags: "--token-audience <TEXT>",
    help: "for whom tokens are asked (default: ssh://HOST of the gateway)",
    variable: "SSHM_TOKEN_AUDIENCE",
    parse: audience,
  },
  {
    flags: "--join <TOKEN|@FILE>",
    help: "join token that enrols this machine, once; SSHM_JOIN and @FILE keep it out of process lists",
    variable: "SSHM_JOIN",
  },
  {
    flags: "--known-hosts <FILE>",
    help: "host keys and authorities of gateways; repeatable",
    variable: "SSHM_KNOWN_HOSTS",
    list: true,
  },
  {
    flags: "--gateway-key <SHA256:…>",
    help:
      "fingerprint of the gateway's host key; repeatable (default: pinned on first use, which tokens do not trust)",
    variable: "SSHM_GATEWAY_KEY",
    parse: fingerprint,
    list: true,
  },
  {
    flags: "--expose <PORT[:HOST:PORT]>",
    help: "what to register; repeatable (default: 22, the built-in SSH server)",
    variable: "SSHM_EXPOSE",
    parse: parseExposure,
    list: true,
  },
  { flags: "--private", help: "nothing of it is ever published", variable: "SSHM_PRIVATE" },
  {
    flags: "--allow-dial <CIDR:PORT[-PORT]>",
    help: "what others may reach through this agent beyond itself; repeatable (default: nothing)",
    variable: "SSHM_ALLOW_DIAL",
    parse: (text) => parseDialRange(text),
    list: true,
  },
  {
    flags: "--authorized-keys <FILE>",
    help: "who may log in; repeatable (default: the local user's own keys)",
    variable: "SSHM_AUTHORIZED_KEYS",
    list: true,
  },
  {
    flags: "--trust-user-ca <FILE|gateway>",
    help: "authorities whose certificates log in with an allowed principal; repeatable",
    variable: "SSHM_TRUST_USER_CA",
    list: true,
  },
  {
    flags: "--allow-principal <[USER=]PRINCIPAL>",
    help: "principal that may log in, exactly as in the certificate; repeatable",
    variable: "SSHM_ALLOW_PRINCIPAL",
    parse: parsePrincipalGrant,
    list: true,
  },
  {
    flags: "--connect <NAME[:PORT]>",
    help: "keep a forward from a free local port to another node; repeatable",
    variable: "SSHM_CONNECT",
    parse: parseConnect,
    list: true,
  },
  {
    flags: "-L, --local-forward <[BIND:]PORT:NODE:PORT>",
    help: "keep a forward from a local port to another node; repeatable",
    variable: "SSHM_LOCAL_FORWARD",
    parse: parseLocalForward,
    list: true,
  },
  { flags: "--stdio", help: "serve one SSH connection on standard input and output, as sshd -i does" },
  {
    flags: "--sshd-config <FILE>",
    help: "the built-in server reads sshd_config; alone, listens as sshd would",
    variable: "SSHM_SSHD_CONFIG",
  },
  {
    flags: "--state <DIR>",
    help: "state folder (default: ${XDG_STATE_HOME:-~/.local/state}/ssh-mesh)",
    variable: "SSHM_STATE",
  },
  {
    flags: "--log <json|text>",
    help: "form of the log (default: text)",
    variable: "SSHM_LOG",
    choices: ["json", "text"],
  },
  { flags: "--check", help: "validate everything and end", variable: "SSHM_CHECK" },
];

type Values = {
  gateway?: AgentConfig["gateways"];
  name?: string;
  identity?: string;
  tokenFile?: string;
  tokenCommand?: string;
  tokenMetadata?: boolean;
  tokenAudience?: string;
  join?: string;
  knownHosts?: string[];
  gatewayKey?: string[];
  expose?: AgentConfig["exposures"];
  private?: boolean;
  allowDial?: AgentConfig["allowDial"];
  authorizedKeys?: string[];
  trustUserCa?: string[];
  allowPrincipal?: AgentConfig["login"]["principals"];
  connect?: AgentConfig["forwards"];
  localForward?: AgentConfig["forwards"];
  stdio?: boolean;
  sshdConfig?: string;
  state?: string;
  log?: "json" | "text";
  check?: boolean;
};

/**
 * Reads flags and variables; a flag wins over its variable.
 * @throws {AgentError} `usage`
 */
export function parseFlags({ args, environment }: FlagSources): AgentConfig | HelpText {
  const line = readCommandLine(FLAGS, args, environment);
  if (line === "version") return { help: `${SOFTWARE}\n` };
  if (line === "help") {
    return { help: `${formatHelp(FLAGS, "ssh-mesh-agent", ABOUT, COMMAND)}\n${formatEndings(exitCodes)}\n` };
  }
  return complete(line.values as Values, line.command, environment);
}

const ABOUT = "Registers this machine at a gateway and serves it over SSH.";
const COMMAND = "a child: inherits input, output and environment; its exit status is the agent's";

/** Registered exactly as it is asked for, so only its shape is checked here; the gateway decides. */
function name(text: string): string {
  if (!/^[^\s:/@*,]{1,253}$/.test(text)) {
    throw new TypeError(
      `'${text}' cannot be a name: a name has letters, digits and '-' in labels of 1 to 63, separated by dots`,
    );
  }
  return text;
}

function fingerprint(text: string): string {
  const bare = text.replace(/=+$/, "");
  if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(bare)) {
    throw new TypeError(`'${text}' is no fingerprint: write it as ssh-keygen -l prints it, SHA256:…`);
  }
  return bare;
}

/** Compared exactly with a claim: a slip with white space would only show at the gateway. */
function audience(text: string): string {
  if (!/^[!-~]{1,1024}$/.test(text)) throw new TypeError(`'${text}' is no audience: write one word`);
  return text;
}

/** @throws {AgentError} `usage` */
function tokenConfig(values: Values, environment: FlagSources["environment"]): TokenConfig | undefined {
  const { tokenFile, tokenCommand, tokenMetadata } = values;
  const sources: TokenConfig[] = [];
  if (tokenFile !== undefined) sources.push({ kind: "file", path: tokenFile });
  if (tokenCommand !== undefined) sources.push({ kind: "command", command: tokenCommand });
  if (tokenMetadata) {
    const host = environment("GCE_METADATA_HOST") || METADATA_HOST;
    if (!/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/.test(host)) {
      throw usage("GCE_METADATA_HOST is no HOST or HOST:PORT");
    }
    sources.push({ kind: "metadata", host });
  }
  if (sources.length > 1) throw usage("say one of --token-file, --token-command and --token-metadata");
  return sources[0];
}

function usage(message: string): AgentError {
  return new AgentError("usage", message);
}

function complete(
  values: Values,
  command: readonly string[],
  environment: FlagSources["environment"],
): AgentConfig {
  const { gateway: gateways = [], stdio = false, sshdConfig, join, trustUserCa, authorizedKeys } = values;
  const token = tokenConfig(values, environment);
  const principals = values.allowPrincipal ?? [];
  const forwards = [...values.connect ?? [], ...values.localForward ?? []];
  const wrong = contradiction({
    stdio,
    sshdConfig: sshdConfig !== undefined,
    gateways: gateways.length > 0,
    command: command.length > 0,
    token: token !== undefined,
    tokenAudience: values.tokenAudience !== undefined,
    join: join !== undefined,
    principals: principals.length > 0,
    userCa: trustUserCa !== undefined,
    gatewayCa: trustUserCa?.includes("gateway") ?? false,
    authorizedKeys: authorizedKeys !== undefined,
    forwards: forwards.length > 0,
  });
  if (wrong !== undefined) throw usage(wrong);
  const userHome = environment("HOME") ?? "/";
  const state = values.state ??
    `${environment("XDG_STATE_HOME") || `${userHome}/.local/state`}/ssh-mesh`;
  return frozen({
    gateways,
    name: values.name,
    identity: values.identity,
    token,
    tokenAudience: values.tokenAudience,
    join,
    trust: { knownHosts: values.knownHosts ?? [], gatewayKeys: values.gatewayKey ?? [] },
    exposures: values.expose ?? DEFAULT_EXPOSURES,
    private: values.private ?? false,
    allowDial: values.allowDial ?? [],
    login: {
      authorizedKeys,
      authorizedLines: ["SSH_AUTHORIZED_KEYS", "SSH_AUTHORIZED_KEY"]
        .flatMap((variable) => (environment(variable) ?? "").split("\n"))
        .filter((line) => line.trim() !== ""),
      userCas: trustUserCa ?? [],
      principals,
      home: environment("SSHM_CFGDIR") || userHome,
    },
    forwards,
    stdio,
    sshdConfig,
    state,
    log: values.log ?? "text",
    check: values.check ?? false,
    command,
  });
}
