/** Values as sshd_config writes them. Every parser throws `TypeError` with a sentence. */
import { parseRekeyBytes } from "../../ssh/transport/rekey_limit.ts";
import { checkAddressList } from "./patterns.ts";

/** A directive's arguments. */
export interface Arguments {
  /** The keyword as it was written, for messages. */
  readonly keyword: string;
  /** At least one. */
  readonly args: readonly string[];
  /** What was written after the keyword. */
  readonly rest: string;
}

export type Parser<T> = (line: Arguments) => T;

/** A parser of a single argument: more are an error. */
function single<T>(parse: (text: string, keyword: string) => T): Parser<T> {
  return ({ keyword, args }) => {
    if (args.length > 1) throw new TypeError(`${keyword} takes one argument; '${args[1]}' is too much`);
    return parse(args[0], keyword);
  };
}

/** One of some words, without regard to case; several words may mean the same. */
export function oneOf<T>(words: Readonly<Record<string, T>>): Parser<T> {
  return single((text, keyword) => {
    const word = text.toLowerCase();
    if (Object.hasOwn(words, word)) return words[word];
    throw new TypeError(`${keyword} is one of ${Object.keys(words).join(", ")}, not '${text}'`);
  });
}

export const yesNo: Parser<boolean> = oneOf({ yes: true, no: false });

export const text: Parser<string> = single((text) => text);

/** A path or another word; `none` is null. */
export const textOrNone: Parser<string | null> = single((text) =>
  text.toLowerCase() === "none" ? null : text
);

/** All that was written after the keyword, quotes and all: a command for a shell. `none` is null. */
export const command: Parser<string | null> = ({ rest }) => rest.toLowerCase() === "none" ? null : rest;

/** As {@link command}, of an absolute path with arguments. */
export const absoluteCommand: Parser<string | null> = (line) => {
  const value = command(line);
  if (value !== null && !/^["']?\//.test(value)) {
    throw new TypeError(`${line.keyword} must be an absolute path`);
  }
  return value;
};

/** All arguments; `none` alone is the empty list. */
export const words: Parser<readonly string[]> = ({ args }) =>
  args.length === 1 && args[0].toLowerCase() === "none" ? [] : args;

export const integer: Parser<number> = single((text, keyword) => {
  if (!/^\d{1,9}$/.test(text)) throw new TypeError(`${keyword} is a number, not '${text}'`);
  return Number(text);
});

/** A number, or null for `none`. */
export const integerOrNone: Parser<number | null> = (line) =>
  textOrNone(line) === null ? null : integer(line);

const UNITS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** Seconds of `600`, `10m`, `1h30m` (TIME FORMATS in sshd_config(5)). */
export function parseSeconds(text: string): number {
  if (!/^(?:\d{1,10}[smhdw]?)+$/i.test(text)) throw new TypeError(`'${text}' is not a time`);
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw]?)/gi)) {
    total += Number(count) * UNITS[unit.toLowerCase()];
  }
  if (total > 0x7fffffff) throw new TypeError(`'${text}' is too long a time`);
  return total;
}

export const seconds: Parser<number> = single(parseSeconds);

/** When to exchange keys again: 0 is the default by size, and never by time. */
export interface RekeyLimit {
  readonly bytes: number;
  readonly seconds: number;
}

export const rekeyLimit: Parser<RekeyLimit> = ({ args: [size, time, excess] }) => {
  if (excess !== undefined) throw new TypeError(`RekeyLimit takes two arguments; '${excess}' is too much`);
  return {
    bytes: parseRekeyBytes(size) ?? 0,
    seconds: time === undefined || time.toLowerCase() === "none" ? 0 : parseSeconds(time),
  };
};

/** How many connections may be before their login: from `start` on, some are dropped, from `full` on all. */
export interface MaxStartups {
  readonly start: number;
  /** Per cent at `start`; grows towards 100 at `full`. */
  readonly rate: number;
  readonly full: number;
}

export const maxStartups: Parser<MaxStartups> = single((text) => {
  const match = /^(\d{1,9})(?::(\d{1,3}):(\d{1,9}))?$/.exec(text);
  const start = Number(match?.[1]);
  const rate = Number(match?.[2] ?? 30);
  const full = Number(match?.[3] ?? match?.[1]);
  if (!match || start < 1 || start > full || rate < 1 || rate > 100) {
    throw new TypeError(`MaxStartups is START:RATE:FULL, as in 10:30:100, not '${text}'`);
  }
  return { start, rate, full };
});

/** Bits that addresses of one source have in common. */
export interface NetBlockSize {
  readonly ipv4: number;
  readonly ipv6: number;
}

export const netBlockSize: Parser<NetBlockSize> = single((text) => {
  const match = /^(\d{1,3})(?::(\d{1,3}))?$/.exec(text);
  const [ipv4, ipv6] = [Number(match?.[1]), Number(match?.[2] ?? 128)];
  if (!match || ipv4 > 32 || ipv6 > 128) {
    throw new TypeError(`PerSourceNetBlockSize is IPV4 or IPV4:IPV6, as in 32:64, not '${text}'`);
  }
  return { ipv4, ipv6 };
});

/** What a security key must do for each login. */
export type FidoOption = "touch-required" | "verify-required";

/** `none` adds nothing. */
export const fidoOptions: Parser<readonly FidoOption[]> = ({ args }) =>
  args.map((arg) => arg.toLowerCase()).filter((option) => option !== "none").map((option) => {
    if (option === "touch-required" || option === "verify-required") return option;
    throw new TypeError(`PubkeyAuthOptions: there is no option '${option}'`);
  });

function parsePort(text: string): number {
  const port = text === "ssh" ? 22 : Number(text);
  if (!/^(?:\d{1,5}|ssh)$/.test(text) || port < 1 || port > 65535) {
    throw new TypeError(`'${text}' is not a port`);
  }
  return port;
}

export const port: Parser<number> = single(parsePort);

/** Splits `host:port`, `[host]:port` and `host`. A bare IPv6 address is a host. */
function splitHostPort(text: string): { host: string; port?: string } {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::([^:]*))?$/.exec(text);
  return match ? { host: match[1] ?? match[2], port: match[3] } : { host: text };
}

/** Where to listen: `*` is every address; without a port, on each Port. */
export interface ListenAddress {
  readonly host: string;
  readonly port?: number;
}

export const listenAddress: Parser<ListenAddress> = ({ args: [address, domain] }) => {
  if (domain !== undefined) throw new TypeError("ListenAddress with a routing domain is not supported");
  const { host, port } = splitHostPort(address);
  if (host === "") throw new TypeError(`'${address}' is not an address`);
  return port === undefined ? { host } : { host, port: parsePort(port) };
};

/** One entry of PermitOpen or PermitListen. */
export interface PermittedEndpoint {
  /** A name or address as it is asked for; `*` any. PermitListen's may be a pattern. */
  readonly host: string;
  readonly port: number | "*";
}

/** `any`, or all that is permitted. */
export type Permitted = "any" | readonly PermittedEndpoint[];

/** @param portAlone whether `8080` stands for any host at this port */
export function permitted(portAlone: boolean): Parser<Permitted> {
  return ({ keyword, args }) => {
    const alone = args.length === 1 ? args[0] : undefined;
    if (alone === "any") return "any";
    if (alone === "none") return [];
    return args.map((arg) => {
      const { host, port } = splitHostPort(arg);
      const isPort = portAlone && port === undefined;
      const portText = isPort ? host : port;
      if (portText === undefined || host === "") throw new TypeError(`${keyword}: '${arg}' is not HOST:PORT`);
      return { host: isPort ? "*" : host, port: portText === "*" ? "*" : parsePort(portText) };
    });
  };
}

const AUTH_METHODS: ReadonlySet<string> = new Set(
  ["none", "publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "gssapi-keyex"],
);

/** Lists of methods, one of which must be gone through in order; the empty list means any single method. */
export const authenticationMethods: Parser<readonly (readonly string[])[]> = ({ args }) => {
  if (args.includes("any")) {
    if (args.length > 1) throw new TypeError('AuthenticationMethods: "any" stands alone');
    return [];
  }
  return args.map((arg) => {
    const methods = arg.split(",");
    const unknown = methods.find((method) => !AUTH_METHODS.has(method.replace(/:.*/, "")));
    if (unknown !== undefined) throw new TypeError(`AuthenticationMethods: there is no method '${unknown}'`);
    return methods;
  });
};

/** Patterns of variable names. */
export const envPatterns: Parser<readonly string[]> = ({ args }) => {
  const wrong = args.find((arg) => arg === "" || arg.includes("="));
  if (wrong !== undefined) throw new TypeError(`AcceptEnv: '${wrong}' is not the name of a variable`);
  return args;
};

/** `NAME=VALUE` pairs; of two with one name the first counts. */
export const assignments: Parser<ReadonlyMap<string, string>> = ({ args }) => {
  const map = new Map<string, string>();
  for (const arg of args) {
    const at = arg.indexOf("=");
    if (at < 1) throw new TypeError(`SetEnv: '${arg}' is not NAME=VALUE`);
    if (!map.has(arg.slice(0, at))) map.set(arg.slice(0, at), arg.slice(at + 1));
  }
  return map;
};

/** `USER` or `USER@HOSTS` patterns. */
export const userPatterns: Parser<readonly string[]> = ({ args }) => {
  for (const arg of args) {
    const at = arg.lastIndexOf("@");
    if (at >= 0) checkAddressList(arg.slice(at + 1));
  }
  return args;
};
