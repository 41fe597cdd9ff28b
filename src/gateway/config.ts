/** From flags, environment and file to one frozen configuration. Pure: texts and paths come in. */
import { parse as parseYaml, type YAMLParseError } from "yaml";
import type { z } from "zod";
import type { AddressRange } from "../bytes/ip_range.ts";
import type { Profile } from "../ca/profiles.ts";
import type { OwnerLimits } from "../identity/policy/mod.ts";
import { type IssuerConfig, type IssuerSetting, prepareIssuers } from "../identity/token/mod.ts";
import { frozen } from "../platform/frozen.ts";
import type { TcpAddress } from "../platform/net.ts";
import { type AlgorithmLists, defaultAlgorithms } from "../ssh/algorithms/lists.ts";
import type { RekeyLimit } from "../ssh/transport/config.ts";
import { StartError } from "./exit_codes.ts";
import type { ConnectionLimits } from "./limits.ts";
import {
  type AuthorityFile,
  type CaKey,
  flagOf,
  type ListenAddress,
  protocols,
  type Setting,
  type SettingKey,
  type Settings,
  settings,
  variableOf,
} from "./settings.ts";

/** The whole configuration: nothing is read from anywhere else afterwards. */
export interface GatewayConfig {
  readonly listen: readonly ListenAddress[];
  /** Path of the state folder. */
  readonly state: string;
  /** Paths; none: the state folder's own. */
  readonly hostKeys: readonly string[];
  readonly policy?: string;
  /** Undefined: the local user's keys. */
  readonly authorizedKeys?: readonly string[];
  readonly userCas: readonly AuthorityFile[];
  readonly x509Roots: readonly AuthorityFile[];
  /** Of tokens, each read by itself: see `issuersOf`. */
  readonly issuers: readonly IssuerSetting[];
  readonly revokedKeys: readonly string[];
  /** Normalised. */
  readonly domain: string;
  readonly trustDomain: string;
  readonly ca: CaSettings;
  /** Undefined: of our own authority. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly owners: OwnerLimits;
  readonly connect: readonly TcpAddress[];
  readonly knownHosts?: string;
  readonly identity?: string;
  /** Patterns of names; undefined: all. */
  readonly exports?: readonly string[];
  /** Undefined: no such listener. */
  readonly admin?: TcpAddress;
  readonly log: "json" | "text";
  /** Milliseconds. */
  readonly drainGrace: number;
  /** Milliseconds. */
  readonly loginGrace: number;
  /** Whose PROXY headers are believed. */
  readonly proxyFrom: readonly AddressRange[];
  readonly limits: ConnectionLimits;
  readonly ssh: SshSettings;
}

/** Who signs certificates. */
export interface CaSettings {
  /** Undefined: this gateway. */
  readonly remote?: { readonly url: URL; readonly rootFile?: string; readonly joinToken?: string };
  readonly keys: readonly CaKey[];
  readonly profiles: readonly Profile[];
}

/** What connections to this gateway may use, and when they change keys. */
export interface SshSettings {
  readonly algorithms: AlgorithmLists;
  /** Of clients' keys; undefined: all. */
  readonly publicKeyAlgorithms?: readonly string[];
  readonly rekey?: Partial<RekeyLimit>;
}

/** Where values come from, strongest first. */
export interface ConfigSources {
  /** By key: the flag's texts, several for lists. */
  readonly flags: { readonly [K in SettingKey]?: string | readonly string[] };
  /** The environment, of which `SSHM_…` matters. */
  readonly environment: (name: string) => string | undefined;
  readonly file?: { readonly path: string; readonly text: string };
  /** Path of the state folder when nobody says. */
  readonly defaultState: string;
}

/** @throws {StartError} `usage`, naming the flag, variable or key and what is wrong with it */
export function resolveConfig(sources: ConfigSources): GatewayConfig {
  const config = frozen(complete(readSettings(sources), sources));
  // What is wrong with issuers together shows before anything is started.
  issuersOf(config, config.listen.map(({ port }) => port));
  return config;
}

function readSettings({ flags, environment, file }: ConfigSources): Settings {
  const inFile = file ? readFile(file) : {};
  const found: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries<Setting>(settings)) {
    const variable = environment(variableOf(key));
    const flag = flags[key as SettingKey];
    if (flag !== undefined) found[key] = check(setting, flag, flagOf(key));
    else if (variable && !setting.fileOnly) {
      found[key] = check(setting, fromVariable(setting, variable), variableOf(key));
    } else if (inFile[key] !== undefined) found[key] = check(setting, inFile[key], `${file!.path}: ${key}`);
  }
  return found as Settings;
}

function fromVariable({ list }: Setting, value: string): string | string[] {
  return list ? value.trim().split(/\s+/) : value;
}

/** YAML, of which JSON is a part. */
function readFile({ path, text }: { path: string; text: string }): Record<string, unknown> {
  let content: unknown;
  try {
    content = parseYaml(text, { maxAliasCount: 100 }) ?? {};
  } catch (error) {
    const { message, linePos: [at] = [] } = error as YAMLParseError;
    const [sentence] = message.split(/ at line |\n/, 1);
    throw new StartError("usage", `${path}${at ? `:${at.line}:${at.col}` : ""}: ${sentence}`);
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new StartError("usage", `${path}: expected keys and values at the top`);
  }
  const unknown = Object.keys(content).find((key) => !Object.hasOwn(settings, key));
  if (unknown !== undefined) {
    const known = Object.keys(settings).join(", ");
    throw new StartError(
      "usage",
      `${path}: '${unknown}' is not a key of the configuration; there are ${known}`,
    );
  }
  return content as Record<string, unknown>;
}

function check(setting: Setting, value: unknown, where: string): unknown {
  const checkOne = (one: unknown) => {
    const parsed = setting.schema.safeParse(one);
    if (parsed.success) return parsed.data;
    throw new StartError("usage", `${where}: ${sentenceOf(parsed.error.issues[0])}`);
  };
  if (!setting.list) return checkOne(value);
  return (Array.isArray(value) ? value : [value]).map(checkOne);
}

/** What is wrong, and where inside a value that has parts. */
function sentenceOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_union") {
    // The alternative that has the right shape knows what is wrong inside.
    const meant = issue.errors.find(([first]) =>
      first && (first.code !== "invalid_type" || first.path.length > 0)
    );
    if (meant) return sentenceOf({ ...meant[0], path: [...issue.path, ...meant[0].path] });
  }
  const path = issue.path.map(String).join(".");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}

function complete(set: Settings, { defaultState }: ConfigSources): GatewayConfig {
  const domain = set.domain ?? "localhost";
  const maxClients = set.max_clients ?? 10_000;
  return {
    listen: set.listen ?? [{ transport: "tcp", hostname: "0.0.0.0", port: 15022, protocols }],
    state: set.state ?? defaultState,
    hostKeys: set.host_key ?? [],
    policy: set.policy,
    authorizedKeys: set.authorized_keys,
    userCas: set.trust_user_ca ?? [],
    x509Roots: set.trust_x509 ?? [],
    issuers: [...set.issuers ?? [], ...set.trust_issuer ?? []],
    revokedKeys: set.revoked_keys ?? [],
    domain,
    trustDomain: set.trust_domain ?? domain,
    ca: caSettings(set),
    tls: tlsFiles(set),
    owners: { dial: set.allow_dial ?? [], listen: set.allow_listen ?? [] },
    connect: set.connect ?? [],
    knownHosts: set.known_hosts,
    identity: set.identity,
    exports: set.export,
    admin: "admin" in set ? set.admin : { transport: "tcp", hostname: "127.0.0.1", port: 15020 },
    log: set.log ?? "text",
    drainGrace: set.drain_grace ?? 30_000,
    loginGrace: set.login_grace ?? 30_000,
    proxyFrom: set.proxy_from ?? [],
    limits: {
      maxClients,
      maxClientsPerIdentity: set.max_clients_per_identity ?? Math.ceil(maxClients / 2),
      maxStartups: set.max_startups ?? 512,
      maxStartupsPerSource: set.max_startups_per_source ?? 256,
      penaltyExempt: set.penalty_exempt ?? [],
    },
    ssh: {
      algorithms: {
        kex: set.kex_algorithms ?? defaultAlgorithms.kex,
        hostKey: set.host_key_algorithms ?? defaultAlgorithms.hostKey,
        cipher: set.ciphers ?? defaultAlgorithms.cipher,
        mac: set.macs ?? defaultAlgorithms.mac,
        compression: defaultAlgorithms.compression,
      },
      publicKeyAlgorithms: set.pubkey_accepted_algorithms,
      rekey: set.rekey_limit,
    },
  };
}

/** @throws {StartError} `usage` */
function caSettings({ ca: url, ca_root, ca_join, ca_key = [], profiles = [] }: Settings): CaSettings {
  if (url === undefined) {
    const alone = ca_root !== undefined ? "ca_root" : ca_join !== undefined ? "ca_join" : undefined;
    if (alone) throw new StartError("usage", `${flagOf(alone)} means nothing without --ca`);
    return { keys: ca_key, profiles };
  }
  const contrary = ca_key.length > 0 ? "ca_key" : profiles.length > 0 ? "profiles" : undefined;
  if (contrary) {
    throw new StartError(
      "usage",
      `'${contrary}' is for the authority at ${url.host}, which signs: configure it there`,
    );
  }
  return { remote: { url, rootFile: ca_root, joinToken: ca_join }, keys: [], profiles: [] };
}

/** @throws {StartError} `usage` */
function tlsFiles({ tls_certificate: certificate, tls_key: key }: Settings): GatewayConfig["tls"] {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  throw new StartError("usage", "--tls-certificate and --tls-key belong together: one of them is missing");
}

/**
 * The issuers to trust, complete.
 * @param ports that the gateway listens on: its default audiences are `ssh://DOMAIN` and `ssh://DOMAIN:PORT`
 * @throws {StartError} `usage`: an issuer that would let everybody in, or a trust domain that has two masters
 */
export function issuersOf(
  { issuers, domain, trustDomain, userCas, x509Roots }: Pick<
    GatewayConfig,
    "issuers" | "domain" | "trustDomain" | "userCas" | "x509Roots"
  >,
  ports: readonly number[],
): IssuerConfig[] {
  const audiences = [`ssh://${domain}`, ...new Set(ports.map((port) => `ssh://${domain}:${port}`))];
  let prepared: IssuerConfig[];
  try {
    prepared = prepareIssuers(issuers, { audiences, domain, trustDomain });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new StartError("usage", `issuers: ${error.message}`, { cause: error });
  }
  const files = (authorities: readonly AuthorityFile[]) =>
    authorities.map(({ file, trustDomain }) => ({ holder: file, trustDomain }));
  const tokens = prepared.map(({ issuer, trustDomain }) => ({ holder: issuer, trustDomain }));
  // One domain's workloads may come with SSH and with X.509 certificates, of one authority each.
  for (const holders of [[...files(userCas), ...tokens], [...files(x509Roots), ...tokens]]) {
    const taken = new Map<string, string>();
    for (const { holder, trustDomain } of holders) {
      if (trustDomain === undefined) continue;
      const other = taken.get(trustDomain);
      if (other !== undefined) {
        throw new StartError(
          "usage",
          `the trust domain ${trustDomain} belongs to one authority, not to ${holder} and ${other}`,
        );
      }
      taken.set(trustDomain, holder);
    }
  }
  return prepared;
}
