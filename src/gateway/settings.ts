/** Every setting of the gateway: one table for flags, environment, configuration file, schema and help. */
import { z } from "zod";
import type { RootKind } from "../ca/local.ts";
import { profileSchema } from "../ca/profiles.ts";
import { parseAddressRange } from "../bytes/ip_range.ts";
import { issuerSchema } from "../identity/token/mod.ts";
import { parseDialRange, parseDuration, parsePortRange } from "../identity/ranges.ts";
import { parseTcpAddress, type TcpAddress } from "../platform/net.ts";
import { normalizeName } from "../routing/names.ts";
import { type AlgorithmKind, parseAlgorithmList } from "../ssh/algorithms/lists.ts";
import type { RekeyLimit } from "../ssh/transport/config.ts";
import { parseRekeyBytes } from "../ssh/transport/rekey_limit.ts";

/** A text that `parse` understands; what it throws becomes the sentence of the mistake. */
function text<T>(parse: (text: string) => T) {
  return z.string().transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });
}

/** What one port can speak. */
export const protocols = ["ssh", "tls"] as const;
export type Protocol = typeof protocols[number];

export interface ListenAddress extends TcpAddress {
  readonly protocols: readonly Protocol[];
}

/** `ADDR:PORT`, with `=ssh`, `=tls` or `=ssh,tls` behind it or nothing; IPv6 in brackets, no address means all. */
function parseListen(value: string): ListenAddress {
  const [address, named] = value.split("=", 2);
  const wanted = named === undefined ? protocols : named.split(",");
  const unknown = wanted.find((name) => !(protocols as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new TypeError(
      `'${value}': this gateway serves ${
        protocols.join(" and ")
      }; '${unknown}' is not a protocol that it knows`,
    );
  }
  const { transport, hostname, port } = parseTcpAddress(address);
  const served = protocols.filter((name) => wanted.includes(name));
  return { transport, hostname: hostname || "0.0.0.0", port, protocols: served };
}

/** `KIND=PATH`: which of the three authorities signs with it. */
function parseCaKey(value: string): CaKey {
  const [, kind, path] = /^(user|host|x509)=(.+)$/.exec(value) ?? [];
  if (path === undefined) {
    throw new TypeError(`'${value}': say what it signs: user=PATH, host=PATH or x509=PATH`);
  }
  return { kind: kind as RootKind, path };
}

export interface CaKey {
  readonly kind: RootKind;
  /** Of a file, or of a folder of them. */
  readonly path: string;
}

function parseHttps(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== "https:" || url.search || url.hash || url.username) {
    throw new TypeError(`'${value}' is not an https URL: write https://ca.mycorp.com:15022`);
  }
  return url;
}

function parseAdmin(value: string) {
  if (value === "off") return undefined;
  const { transport, hostname, port } = parseTcpAddress(value);
  return { transport, hostname: hostname || "127.0.0.1", port };
}

const file = z.string().min(1);
const dialRange = text((value) => parseDialRange(value));
/** Longest delay that timers take, in milliseconds: with a longer one they would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
function parseTimer(value: string): number {
  const ms = parseDuration(value);
  if (ms > LONGEST_TIMER) throw new TypeError(`'${value}' is longer than 24 days`);
  return ms;
}

/** Milliseconds. */
const duration = text(parseTimer);

/**
 * A list as in sshd_config. Unlike there, a name that is not supported is a mistake: no file that was written for another
 * program comes here.
 */
function algorithms(kind: AlgorithmKind) {
  return text((value) => {
    const { names, unknown } = parseAlgorithmList(kind, value);
    if (unknown.length > 0) throw new TypeError(`'${unknown[0]}' is not supported`);
    if (names.length === 0) throw new TypeError(`'${value}' leaves nothing`);
    return names;
  });
}

/** `BYTES [TIME]`. */
function parseRekeyLimit(value: string): Partial<RekeyLimit> {
  const [size, time, excess] = value.trim().split(/\s+/);
  if (excess !== undefined) throw new TypeError(`'${value}' is more than BYTES and TIME`);
  const bytes = parseRekeyBytes(size);
  return {
    ...(bytes !== undefined && { bytes }),
    ...(time !== undefined && { ms: parseTimer(time) }),
  };
}
const count = z.coerce.number().int().min(1);

/** A file of authorities: alone, or with the trust domain whose workloads they vouch for. */
const authorityFile = z.union([
  file.transform((file): AuthorityFile => ({ file })),
  z.strictObject({ file, trust_domain: text(normalizeName).optional() })
    .transform(({ file, trust_domain }): AuthorityFile => ({ file, trustDomain: trust_domain })),
]);

export interface AuthorityFile {
  readonly file: string;
  /** Normalised. One authority, or one file of them, may have it. */
  readonly trustDomain?: string;
}

/** One setting. */
export interface Setting {
  /** What stands behind the flag in the help. */
  readonly argument: string;
  readonly help: string;
  /** The flag may be repeated; the variable holds values between white space, the file a list. */
  readonly list: boolean;
  /** It has a structure that neither a flag nor a variable can hold. */
  readonly fileOnly?: boolean;
  /** Of one value. */
  readonly schema: z.ZodType;
}

function one<S extends z.ZodType>(argument: string, schema: S, help: string) {
  return { argument, help, list: false, schema } as const;
}

function many<S extends z.ZodType>(argument: string, schema: S, help: string) {
  return { argument, help, list: true, schema } as const;
}

function inFile<S extends z.ZodType>(schema: S, help: string) {
  return { argument: "", help, list: true, fileOnly: true, schema } as const;
}

/** By key of the configuration file: `allow_dial` is the flag `--allow-dial` and the variable `SSHM_ALLOW_DIAL`. */
export const settings = {
  listen: many(
    "ADDR:PORT[=ssh,tls]",
    text(parseListen),
    "where to listen, and for what alone (default 0.0.0.0:15022, for all; port 0 picks one)",
  ),
  state: one("DIR", file, "state folder (default ${XDG_STATE_HOME:-~/.local/state}/ssh-mesh)"),
  host_key: many(
    "FILE",
    file,
    "host key in place of the state folder's own, such as /etc/ssh/ssh_host_ed25519_key",
  ),
  policy: one("FILE", file, "who may what, beyond what owners may; reloaded when it changes"),
  authorized_keys: many("FILE", file, "keys of owners, in place of those under ~/.ssh"),
  trust_user_ca: many(
    "FILE",
    authorityFile,
    "public keys of authorities whose user certificates say who somebody is",
  ),
  trust_x509: many(
    "FILE",
    authorityFile,
    "root certificates (PEM) of authorities whose client certificates say who somebody is",
  ),
  trust_issuer: many(
    "URL",
    issuerSchema,
    "issuer of tokens that say who somebody is; in the configuration file with its details",
  ),
  issuers: inFile(issuerSchema, "issuers of tokens, with audiences, required claims, trust domain"),
  revoked_keys: many(
    "FILE",
    file,
    "keys and certificates that count no more: a KRL, or one public key per line",
  ),
  domain: one("NAME", text(normalizeName), "the gateway's DNS name; nodes are *.NAME (default localhost)"),
  trust_domain: one("NAME", text(normalizeName), "domain of workload identities (default the domain)"),
  ca: one("URL", text(parseHttps), "the authority that signs certificates, in place of this gateway"),
  ca_root: one("FILE", file, "root certificates (PEM) by which that authority is recognised"),
  ca_join: one(
    "TOKEN|@FILE",
    z.string().min(1),
    "join token with which this gateway becomes known to that authority, once; @FILE keeps it out of process lists",
  ),
  ca_key: many(
    "KIND=PATH",
    text(parseCaKey),
    "roots in place of those that are made: user=, host= or x509= and a file or folder; the first one signs",
  ),
  profiles: inFile(profileSchema, "who gets what certificates: principals, lifetimes, options"),
  tls_certificate: one(
    "FILE",
    file,
    "certificate chain (PEM) for HTTPS (default one of this gateway's own authority)",
  ),
  tls_key: one("FILE", file, "its private key (PEM)"),
  allow_dial: many("CIDR:PORT[-PORT]", dialRange, "what owners may reach from the gateway (default nothing)"),
  allow_listen: many(
    "PORT[-PORT]",
    text(parsePortRange),
    "ports that owners may open on the gateway (default none)",
  ),
  connect: many("HOST:PORT", text(parseTcpAddress), "another gateway to join as one of its nodes"),
  known_hosts: one("FILE", file, "host keys of gateways to join (default: each is believed on first use)"),
  identity: one("FILE", file, "private key to join other gateways with (default the host key)"),
  export: many("PATTERN", z.string().min(1), "names offered to gateways that are joined (default all)"),
  proxy_from: many(
    "CIDR",
    text(parseAddressRange),
    "balancers in front, whose PROXY headers (version 1 or 2) say whose a connection is (default nobody)",
  ),
  admin: one(
    "ADDR:PORT",
    text(parseAdmin),
    "metrics, health and readiness (default 127.0.0.1:15020); 'off' for none",
  ),
  log: one("json|text", z.enum(["json", "text"]), "form of the log (default text)"),
  drain_grace: one("TIME", duration, "how long flows may go on after SIGTERM (default 30s)"),
  login_grace: one("TIME", duration, "how long a client may take to authenticate (default 30s)"),
  kex_algorithms: one(
    "LIST",
    algorithms("kex"),
    "key exchange methods; this and the following lists as in sshd_config: NAME,NAME or +, -, ^ and what is " +
      "added to the default, taken from it or put in front",
  ),
  ciphers: one("LIST", algorithms("cipher"), "ciphers"),
  macs: one("LIST", algorithms("mac"), "MACs of ciphers that need one"),
  host_key_algorithms: one("LIST", algorithms("hostKey"), "algorithms of host keys and their certificates"),
  pubkey_accepted_algorithms: one("LIST", algorithms("publicKey"), "algorithms of clients' keys"),
  rekey_limit: one(
    "BYTES [TIME]",
    text(parseRekeyLimit),
    "when connections change their keys, as '500M 30m' (default '1G 1h')",
  ),
  max_clients: one(
    "COUNT",
    count,
    "clients connected at once, and a quarter as many over HTTPS (default 10000)",
  ),
  max_clients_per_identity: one(
    "COUNT",
    count,
    "the same of one identity (default half of max_clients)",
  ),
  max_startups: one("COUNT", count, "connections not yet authenticated at once (default 512)"),
  max_startups_per_source: one("COUNT", count, "the same from one address (default 256)"),
  penalty_exempt: many(
    "CIDR",
    text(parseAddressRange),
    "addresses that are never held off for failed logins",
  ),
} as const satisfies Record<string, Setting>;

export type SettingKey = keyof typeof settings;

type Value<S> = S extends { list: true; schema: z.ZodType<infer T> } ? readonly T[]
  : S extends { schema: z.ZodType<infer T> } ? T
  : never;

/** What was set, checked; what was not set is absent. */
export type Settings = { readonly [K in SettingKey]?: Value<typeof settings[K]> };

/** `allow_dial` → `--allow-dial`. */
export function flagOf(key: string): string {
  return `--${key.replaceAll("_", "-")}`;
}

/** `allow_dial` → `SSHM_ALLOW_DIAL`. */
export function variableOf(key: string): string {
  return `SSHM_${key.toUpperCase()}`;
}

/** What a configuration file may hold: the schema that `--print-schema` publishes. A list of one may be its value. */
const configFileSchema = z.strictObject(
  Object.fromEntries(
    Object.entries<Setting>(settings).map(([key, { schema, list, help }]) => {
      const value = list ? z.union([z.array(schema), schema]) : schema;
      return [key, value.optional().describe(help)];
    }),
  ),
);

/** JSON Schema of the configuration file. */
export function configJsonSchema(): unknown {
  return {
    title: "Configuration of the ssh-mesh gateway",
    ...z.toJSONSchema(configFileSchema, { io: "input" }),
  };
}
