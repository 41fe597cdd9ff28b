/** The keywords that do something: a row each. */
import type { Settings } from "./settings.ts";
import { type AlgorithmKind, parseAlgorithmList } from "../../ssh/algorithms/lists.ts";
import { joinArguments } from "./lexer.ts";
import {
  absoluteCommand,
  type Arguments,
  assignments,
  authenticationMethods,
  command,
  envPatterns,
  fidoOptions,
  integer,
  integerOrNone,
  listenAddress,
  maxStartups,
  netBlockSize,
  oneOf,
  type Parser,
  permitted,
  port,
  rekeyLimit,
  seconds,
  text,
  textOrNone,
  userPatterns,
  words,
  yesNo,
} from "./values.ts";

/** Settings of which some are said. */
export type PartialSettings = { -readonly [K in keyof Settings]?: Settings[K] };

/** A line's value: adds itself to settings, in which earlier lines come first. */
export type Apply = (settings: PartialSettings) => void;

export interface Keyword {
  /** Whether it may stand in a Match block. */
  readonly inMatch: boolean;
  /** @param warn takes sentences about parts that have no effect @throws {TypeError} */
  parse(line: Arguments, warn: (sentence: string) => void): Apply;
}

type Where = "global" | "match";

/** The first line counts. */
function first<K extends keyof Settings>(
  setting: K,
  parse: (line: Arguments, warn: (sentence: string) => void) => Settings[K],
  where: Where = "match",
): Keyword {
  return {
    inMatch: where === "match",
    parse(line, warn) {
      const value = parse(line, warn);
      return (settings) => {
        if (settings[setting] === undefined) settings[setting] = value;
      };
    },
  };
}

type ListSetting = {
  [K in keyof Settings]: Settings[K] extends readonly unknown[] ? K : never;
}[keyof Settings];

/** All lines count, one after the other. */
function append<K extends ListSetting>(
  setting: K,
  parse: Parser<readonly Settings[K][number][]>,
  where: Where = "match",
): Keyword {
  return {
    inMatch: where === "match",
    parse(line) {
      const values = parse(line);
      return (settings) => {
        settings[setting] = [...settings[setting] ?? [], ...values] as PartialSettings[K];
      };
    },
  };
}

const asList = <T>(parse: Parser<T>): Parser<readonly T[]> => (line) => [parse(line)];

/**
 * A list of algorithms. Names that are not supported are told, not refused: files that were hardened for OpenSSH name
 * algorithms that are not offered here, and offering less is no weakness.
 */
function algorithms(kind: AlgorithmKind) {
  return (line: Arguments, warn: (sentence: string) => void): readonly string[] => {
    const { names, unknown } = parseAlgorithmList(kind, text(line));
    if (names.length === 0) throw new TypeError(`nothing in '${text(line)}' is supported here`);
    if (unknown.length > 0) warn(`${line.keyword}: ${unknown.join(", ")} not supported here, left out`);
    return names;
  };
}

/** `Subsystem NAME COMMAND ARGS…`: of each name the first line counts. */
const subsystem: Keyword = {
  inMatch: true,
  parse({ args: [name, ...line] }) {
    if (line.length === 0) throw new TypeError(`Subsystem ${name} needs a command`);
    return (settings) => {
      if (settings.subsystems?.has(name)) return;
      settings.subsystems = new Map([...settings.subsystems ?? [], [name, joinArguments(line)]]);
    };
  },
};

const forwarding = oneOf({ yes: "yes", all: "yes", no: "no", local: "local", remote: "remote" } as const);

/** Who relies on passwords is told what comes of it. */
function passwords(line: Arguments, warn: (sentence: string) => void): boolean {
  const value = yesNo(line);
  if (value) warn(`${line.keyword} yes has no effect: passwords are never taken here`);
  return value;
}

/** `yes`, `no`, or a list of patterns of names. */
function userEnvironment(line: Arguments, warn: (sentence: string) => void): string | null {
  const value = text(line);
  if (value.toLowerCase() === "no") return null;
  warn(`${line.keyword}: ~/.ssh/environment is not read, lines of authorized_keys count`);
  return value.toLowerCase() === "yes" ? "*" : value;
}

const logLevel = oneOf(
  {
    quiet: "QUIET",
    fatal: "FATAL",
    error: "ERROR",
    info: "INFO",
    verbose: "VERBOSE",
    debug: "DEBUG1",
    debug1: "DEBUG1",
    debug2: "DEBUG2",
    debug3: "DEBUG3",
  } as const,
);

const rootLogin = oneOf(
  {
    "yes": "yes",
    "no": "no",
    "prohibit-password": "prohibit-password",
    "without-password": "prohibit-password",
    "forced-commands-only": "forced-commands-only",
  } as const,
);

/** By keyword in lower case. */
export const keywords: Readonly<Record<string, Keyword>> = {
  addressfamily: first(
    "addressFamily",
    oneOf({ any: "any", inet: "inet", inet6: "inet6" } as const),
    "global",
  ),
  port: append("ports", asList(port), "global"),
  listenaddress: append("listenAddresses", asList(listenAddress), "global"),
  pidfile: first("pidFile", textOrNone, "global"),
  hostkey: append("hostKeys", asList(text), "global"),
  hostcertificate: append("hostCertificates", asList(text), "global"),
  hostkeyalgorithms: first("hostKeyAlgorithms", algorithms("hostKey"), "global"),
  ciphers: first("ciphers", algorithms("cipher"), "global"),
  kexalgorithms: first("kexAlgorithms", algorithms("kex"), "global"),
  macs: first("macs", algorithms("mac"), "global"),
  pubkeyacceptedalgorithms: first("pubkeyAcceptedAlgorithms", algorithms("publicKey")),
  casignaturealgorithms: first("caSignatureAlgorithms", algorithms("caSignature")),
  requiredrsasize: first("requiredRSASize", integer),
  rekeylimit: first("rekeyLimit", rekeyLimit),
  clientaliveinterval: first("clientAliveInterval", seconds),
  clientalivecountmax: first("clientAliveCountMax", integer),
  logingracetime: first("loginGraceTime", seconds, "global"),
  maxauthtries: first("maxAuthTries", integer),
  maxsessions: first("maxSessions", integer),
  maxstartups: first("maxStartups", maxStartups, "global"),
  persourcemaxstartups: first("perSourceMaxStartups", integerOrNone, "global"),
  persourcenetblocksize: first("perSourceNetBlockSize", netBlockSize, "global"),
  loglevel: first("logLevel", logLevel),

  authorizedkeysfile: first("authorizedKeysFiles", words),
  authorizedkeyscommand: first("authorizedKeysCommand", absoluteCommand),
  authorizedkeyscommanduser: first("authorizedKeysCommandUser", textOrNone),
  trustedusercakeys: first("trustedUserCAKeys", textOrNone),
  authorizedprincipalsfile: first("authorizedPrincipalsFile", textOrNone),
  authorizedprincipalscommand: first("authorizedPrincipalsCommand", absoluteCommand),
  authorizedprincipalscommanduser: first("authorizedPrincipalsCommandUser", textOrNone),
  revokedkeys: first("revokedKeys", textOrNone),
  pubkeyauthentication: first("pubkeyAuthentication", yesNo),
  pubkeyauthoptions: first("pubkeyAuthOptions", fidoOptions),
  passwordauthentication: first("passwordAuthentication", passwords),
  kbdinteractiveauthentication: first("kbdInteractiveAuthentication", passwords),
  authenticationmethods: first("authenticationMethods", authenticationMethods),
  permitrootlogin: first("permitRootLogin", rootLogin),
  strictmodes: first("strictModes", yesNo, "global"),
  allowusers: append("allowUsers", userPatterns),
  denyusers: append("denyUsers", userPatterns),
  allowgroups: append("allowGroups", ({ args }) => args),
  denygroups: append("denyGroups", ({ args }) => args),
  banner: first("banner", textOrNone),

  acceptenv: append("acceptEnv", envPatterns),
  permituserenvironment: first("permitUserEnvironment", userEnvironment, "global"),
  setenv: first("setEnv", assignments),
  permittty: first("permitTTY", yesNo),
  forcecommand: first("forceCommand", command),
  subsystem,
  disableforwarding: first("disableForwarding", yesNo),
  allowagentforwarding: first("allowAgentForwarding", yesNo),
  allowtcpforwarding: first("allowTcpForwarding", forwarding),
  allowstreamlocalforwarding: first("allowStreamLocalForwarding", forwarding),
  permitopen: first("permitOpen", permitted(false)),
  permitlisten: first("permitListen", permitted(true)),
  gatewayports: first(
    "gatewayPorts",
    oneOf({ yes: "yes", no: "no", clientspecified: "clientspecified" } as const),
  ),
};

/** Older names of keywords. */
export const aliases: Readonly<Record<string, string>> = {
  pubkeyacceptedkeytypes: "pubkeyacceptedalgorithms",
  hostbasedacceptedkeytypes: "hostbasedacceptedalgorithms",
  challengeresponseauthentication: "kbdinteractiveauthentication",
  skeyauthentication: "kbdinteractiveauthentication",
  dsaauthentication: "pubkeyauthentication",
  keepalive: "tcpkeepalive",
  hostdsakey: "hostkey",
  pamauthenticationviakbdint: "kbdinteractiveauthentication",
};
