/** Flags and environment variables of the agent's command. */
import { parseDialRange } from "../identity/ranges.ts";
import { formatEndings } from "../platform/exit_codes.ts";
import { type Flag, formatHelp, readCommandLine } from "./command_line.ts";
import type { AgentConfig } from "./config.ts";
import { AgentError, exitCodes } from "./exit_codes.ts";
import { DEFAULT_EXPOSURES, parseExposure } from "./exposure.ts";
import { parseGatewayAddress } from "./gateway_address.ts";
import { parseConnect, parseLocalForward } from "./local_forward.ts";
import { parsePrincipalGrant } from "./principals.ts";

/** What flags are read with. */
export interface FlagSources {
  /** Without the program's name. */
  readonly args: readonly string[];
  readonly environment: (name: string) => string | undefined;
}

/** Asked for help instead of a run. */
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
    flags: "--known-hosts <FILE>",
    help: "host keys and authorities of gateways; repeatable",
    variable: "SSHM_KNOWN_HOSTS",
    list: true,
  },
  {
    flags: "--gateway-key <SHA256:…>",
    help: "fingerprint of the gateway's host key; repeatable (default: pinned on first use)",
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
  if (!line) return { help: `${formatHelp(FLAGS, "agent", ABOUT, COMMAND)}\n${formatEndings(exitCodes)}\n` };
  return complete(line.values as Values, line.command, environment);
}

const ABOUT = "Registers this machine at a gateway and serves it over SSH.";
const COMMAND = "a child: inherits input, output and environment; its exit status is the agent's";

/** Registered exactly as it is asked for, so only its shape is checked here; the gateway decides. */
function name(text: string): string {
  if (!/^[^\s:/@*,]{1,253}$/.test(text)) throw new TypeError(`'${text}' cannot be a name`);
  return text;
}

function fingerprint(text: string): string {
  const bare = text.replace(/=+$/, "");
  if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(bare)) {
    throw new TypeError(`'${text}' is no fingerprint: write it as ssh-keygen -l prints it, SHA256:…`);
  }
  return bare;
}

function usage(message: string): AgentError {
  return new AgentError("usage", message);
}

function complete(
  values: Values,
  command: readonly string[],
  environment: FlagSources["environment"],
): AgentConfig {
  const gateways = values.gateway ?? [];
  const { stdio = false, sshdConfig } = values;
  if (stdio && gateways.length > 0) throw usage("--stdio serves one connection: it goes without --gateway");
  if (stdio && command.length > 0) throw usage("--stdio takes input and output: it goes without a command");
  if (gateways.length === 0 && !stdio && sshdConfig === undefined) {
    throw usage("nothing to do: say --gateway HOST:PORT, --stdio or --sshd-config FILE (--help lists all)");
  }
  const principals = values.allowPrincipal ?? [];
  if (principals.length > 0 && values.trustUserCa === undefined && values.authorizedKeys === undefined) {
    throw usage("--allow-principal needs --trust-user-ca: whose certificates are meant?");
  }
  if (values.trustUserCa !== undefined && principals.length === 0) {
    throw usage(
      "--trust-user-ca needs --allow-principal: trusting an authority says who somebody is, not that they may log in",
    );
  }
  if (values.trustUserCa?.includes("gateway") && gateways.length === 0) {
    throw usage("--trust-user-ca gateway needs --gateway");
  }
  const forwards = [...values.connect ?? [], ...values.localForward ?? []];
  if (forwards.length > 0 && gateways.length === 0) throw usage("-L and --connect need --gateway");
  const userHome = environment("HOME") ?? "/";
  const state = values.state ??
    `${environment("XDG_STATE_HOME") || `${userHome}/.local/state`}/ssh-mesh`;
  return deepFreeze({
    gateways,
    name: values.name,
    identity: values.identity,
    trust: { knownHosts: values.knownHosts ?? [], gatewayKeys: values.gatewayKey ?? [] },
    exposures: values.expose ?? DEFAULT_EXPOSURES,
    private: values.private ?? false,
    allowDial: values.allowDial ?? [],
    login: {
      authorizedKeys: values.authorizedKeys,
      authorizedLines: ["SSH_AUTHORIZED_KEYS", "SSH_AUTHORIZED_KEY"]
        .flatMap((variable) => (environment(variable) ?? "").split("\n"))
        .filter((line) => line.trim() !== ""),
      userCas: values.trustUserCa ?? [],
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

function deepFreeze<T>(value: T): T {
  if (Array.isArray(value)) value.forEach(deepFreeze);
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    Object.values(value).forEach(deepFreeze);
  } else {
    return value;
  }
  return Object.freeze(value);
}
