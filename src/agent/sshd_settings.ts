/** sshd_config in the terms of this server: algorithms, rights, startups. Pure. */
import { networkOf, parseIp } from "../bytes/ip_address.ts";
import { matchesPattern, matchPatternList } from "../keys/patterns.ts";
import { permitsListen, permitsOpen, type Restrictions } from "../keys/restrictions.ts";
import { type AlgorithmLists, supportedAlgorithms, usableHostKeys } from "../ssh/algorithms/lists.ts";
import type { PublicKey, Signer } from "../keys/types.ts";
import type { FidoDemand } from "../ssh/auth/server/types.ts";
import type { AgentEvent, EventLog } from "./events.ts";
import type { SessionPolicy } from "./exec.ts";
import type { ForwardRights } from "./forwarding.ts";
import type { KeepaliveTimes } from "./keepalive.ts";
import type { SshdConfig } from "./sshd_config/evaluate.ts";
import type { Permitted } from "./sshd_config/values.ts";

/** The lists of a configuration. */
export function algorithmLists(config: SshdConfig, hostKeys: readonly Signer[]): AlgorithmLists {
  return {
    kex: config.kexAlgorithms,
    hostKey: usableHostKeys(config.hostKeyAlgorithms, hostKeys.map(({ publicKey }) => publicKey)),
    cipher: config.ciphers,
    mac: config.macs,
    compression: supportedAlgorithms.compression,
  };
}

/** Whether RequiredRSASize is against a key. */
export function isShortRsa({ type, bits }: PublicKey, { requiredRSASize }: SshdConfig): boolean {
  return type === "ssh-rsa" && bits < requiredRSASize;
}

/** What a security key must do: PubkeyAuthOptions demand it, whatever the key's line lets go. */
export function fidoDemand({ pubkeyAuthOptions }: SshdConfig, restrictions: Restrictions): FidoDemand {
  return {
    touch: pubkeyAuthOptions.includes("touch-required") || !restrictions.noTouchRequired,
    verification: pubkeyAuthOptions.includes("verify-required") || restrictions.verifyRequired,
  };
}

/** What both the configuration and the key leave of a session. */
export function sessionRights(config: SshdConfig, restrictions: Restrictions): SessionPolicy {
  return {
    permitTTY: config.permitTTY && restrictions.permitPty,
    allowAgentForwarding: config.allowAgentForwarding && !config.disableForwarding &&
      restrictions.permitAgentForwarding,
    acceptEnv: config.acceptEnv,
    keyEnv: new Map(
      [...restrictions.environment].filter(([name]) =>
        config.permitUserEnvironment !== null &&
        matchPatternList(name, config.permitUserEnvironment) === "match"
      ),
    ),
    setEnv: config.setEnv,
    // sshd_config(5): ForceCommand wins over the key's own.
    forceCommand: config.forceCommand ?? restrictions.forceCommand ?? null,
    subsystems: config.subsystems,
  };
}

/** What both the configuration and the key leave of forwarding. */
export function forwardingRights(config: SshdConfig, restrictions: Restrictions): ForwardRights {
  if (config.disableForwarding || !restrictions.permitPortForwarding) {
    return { dialUnix: false, listenUnix: false };
  }
  const { allowTcpForwarding: tcp, allowStreamLocalForwarding: unix, permitOpen, permitListen } = config;
  return {
    dial: tcp === "yes" || tcp === "local"
      ? {
        reach: { itself: true, beyond: "anywhere" },
        permits: (host, port) =>
          covers(permitOpen, host, port, (name, pattern) => name === pattern) &&
          permitsOpen(restrictions, host, port),
      }
      : undefined,
    listen: tcp === "yes" || tcp === "remote"
      ? {
        bind: BINDS[config.gatewayPorts],
        permits: (host, port) =>
          covers(permitListen, host, port, matchesPattern) && permitsListen(restrictions, host, port),
      }
      : undefined,
    dialUnix: unix === "yes" || unix === "local",
    listenUnix: unix === "yes" || unix === "remote",
  };
}

const BINDS = { no: "loopback", yes: "any", clientspecified: "asked" } as const;

function covers(
  permitted: Permitted,
  host: string,
  port: number,
  matches: (host: string, pattern: string) => boolean,
): boolean {
  return permitted === "any" ||
    permitted.some((entry) =>
      (entry.host === "*" || matches(host, entry.host)) && (entry.port === "*" || entry.port === port)
    );
}

/** ClientAliveInterval and ClientAliveCountMax; undefined: never asks. */
export function clientAlive(
  { clientAliveInterval, clientAliveCountMax }: SshdConfig,
): KeepaliveTimes | undefined {
  if (clientAliveInterval === 0 || clientAliveCountMax === 0) return undefined;
  return { intervalMs: clientAliveInterval * 1000, misses: clientAliveCountMax };
}

/** The events that LogLevel wants. From INFO on that is all of them: there is no more to tell. */
export function logAt(level: SshdConfig["logLevel"], log: EventLog): EventLog {
  const wanted: readonly AgentEvent["event"][] | undefined = LOGGED[level];
  return wanted ? (event) => wanted.includes(event.event) && log(event) : log;
}

const LOGGED: Partial<Record<SshdConfig["logLevel"], readonly AgentEvent["event"][]>> = {
  QUIET: [],
  FATAL: ["error"],
  ERROR: ["error", "warning"],
};

/**
 * Which connections are one source for PerSourceMaxStartups: the network that an address lies in. What is no address is
 * a source of its own.
 */
export function sourceOf(address: string, { ipv4, ipv6 }: SshdConfig["perSourceNetBlockSize"]): string {
  const ip = parseIp(address);
  return ip ? `${networkOf(ip, ip.bits === 32 ? ipv4 : ipv6)}` : address;
}

/**
 * Whether a new connection is dropped when `waiting` others are not authenticated (MaxStartups): never below `start`,
 * always from `full`, in between more and more likely.
 */
export function dropsStartup(
  { start, rate, full }: SshdConfig["maxStartups"],
  waiting: number,
  random: () => number,
): boolean {
  if (waiting < start) return false;
  if (waiting >= full || rate === 100) return true;
  const percent = rate + (100 - rate) * (waiting - start) / (full - start);
  return random() * 100 < percent;
}

/**
 * How often `publickey` must be passed by one of the lists of AuthenticationMethods; undefined when none of them can be gone
 * through with keys alone.
 */
export function keysNeeded(methods: SshdConfig["authenticationMethods"]): number | undefined {
  if (methods.length === 0) return 1;
  const counts = methods.filter((list) => list.every((method) => method === "publickey")).map((list) =>
    list.length
  );
  return counts.length === 0 ? undefined : Math.min(...counts);
}
