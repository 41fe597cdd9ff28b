/** Flags that every command understands, before or after its name, and the variables that stand for them. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type GatewayAddress, parseGatewayAddress } from "../agent/gateway_address.ts";
import { parseDuration } from "../identity/ranges.ts";
import { SshmError } from "./exit_codes.ts";

/** Values of the global flags. */
export interface GlobalFlags {
  readonly gateway?: GatewayAddress;
  /** Paths; empty: the user's and the system's own. */
  readonly knownHosts: readonly string[];
  /** `SHA256:…` */
  readonly gatewayKey: readonly string[];
  /** Paths; empty: the SSH agent and the user's usual ones. */
  readonly identity: readonly string[];
  /** Path of a token. */
  readonly tokenFile?: string;
  /** What a shell runs to print a token. */
  readonly tokenCommand?: string;
  readonly json: boolean;
}

interface GlobalFlag {
  /** As commander writes it. */
  readonly flags: string;
  readonly help: string;
  /** The environment variable that stands for it: of a list, values between white space. */
  readonly variable?: string;
  readonly list?: boolean;
  readonly parse?: (text: string) => unknown;
}

const FLAGS: readonly GlobalFlag[] = [
  {
    flags: "--gateway <[USER@]HOST:PORT>",
    help: "the gateway",
    variable: "SSHM_GATEWAY",
    parse: parseGatewayAddress,
  },
  {
    flags: "--known-hosts <FILE>",
    help: "host keys of gateways; repeatable (default: ~/.ssh/known_hosts, /etc/ssh/ssh_known_hosts)",
    variable: "SSHM_KNOWN_HOSTS",
    list: true,
  },
  {
    flags: "--gateway-key <SHA256:…>",
    help: "fingerprint of the gateway's host key; repeatable",
    variable: "SSHM_GATEWAY_KEY",
    parse: parseFingerprint,
    list: true,
  },
  {
    flags: "--identity <FILE>",
    help: "private key, with the certificate beside it; repeatable (default: the SSH agent, ~/.ssh/id_*)",
    variable: "SSHM_IDENTITY",
    list: true,
  },
  {
    flags: "--token-file <FILE>",
    help: "a token to log in with; read anew for each connection",
    variable: "SSHM_TOKEN_FILE",
  },
  {
    flags: "--token-command <COMMAND>",
    help: "what a shell runs to print such a token",
    variable: "SSHM_TOKEN_COMMAND",
  },
  { flags: "--json", help: "print JSON" },
];

/** Adds the flags to the program; those with a variable start with its value. @throws {SshmError} `usage` */
export function addGlobalFlags(program: Command, environment: (name: string) => string | undefined): void {
  for (const { flags, help, variable, list, parse = (text: string) => text } of FLAGS) {
    const option = new Option(flags, variable === undefined ? help : `${help} [$${variable}]`);
    if (list) option.argParser(collect(parse));
    else if (!option.isBoolean()) option.argParser(readingMistakes(parse));
    program.addOption(option);
    const value = variable === undefined ? undefined : environment(variable);
    if (!value) continue;
    try {
      const parsed = list ? value.trim().split(/\s+/).map(parse) : parse(value);
      program.setOptionValueWithSource(option.attributeName(), parsed, "env");
    } catch (error) {
      if (error instanceof TypeError) throw new SshmError("usage", `${variable}: ${error.message}`);
      throw error;
    }
  }
}

/** @param values what commander has found */
export function globalFlags(values: Partial<GlobalFlags>): GlobalFlags {
  const { gateway, knownHosts = [], gatewayKey = [], identity = [], tokenFile, tokenCommand, json = false } =
    values;
  return {
    ...(gateway && { gateway }),
    knownHosts,
    gatewayKey,
    identity,
    ...(tokenFile !== undefined && { tokenFile }),
    ...(tokenCommand !== undefined && { tokenCommand }),
    json,
  };
}

/** For a repeatable flag: the first one on the line replaces what was there before. */
export function collect<T>(parse: (text: string) => T): (text: string) => T[] {
  const read = readingMistakes(parse);
  let found: T[] | undefined;
  return (text) => found = [...found ?? [], read(text)];
}

function readingMistakes<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof TypeError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

function parseFingerprint(text: string): string {
  const bare = text.replace(/=+$/, "");
  if (!/^SHA256:[A-Za-z0-9+/]{43}$/.test(bare)) {
    throw new TypeError(`'${text}' is no fingerprint: write it as ssh-keygen -l prints it, SHA256:…`);
  }
  return bare;
}

/** Milliseconds of `15m`, for a flag. */
export const readDuration = readingMistakes(parseDuration);

/** A duration that the gateway will read: what it would not understand is told before a connection is made. */
export function readTtl(text: string): string {
  readDuration(text);
  return text;
}
