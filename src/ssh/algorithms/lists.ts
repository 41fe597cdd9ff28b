/** Lists of algorithms: what is supported, what is on by default, and how a configuration changes that. */
import { matchesPattern } from "../../keys/patterns.ts";
import type { PublicKey } from "../../keys/types.ts";
import { ciphers } from "./ciphers.ts";
import { kexMethods } from "./kex.ts";
import { hostKeyAlgorithms, keyAlgorithms, signatureAlgorithms } from "./key_algorithms.ts";
import { macs } from "./macs.ts";

/** Names by kind, best first. */
export interface AlgorithmLists {
  readonly kex: readonly string[];
  readonly hostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
  readonly compression: readonly string[];
}

/** All that this library does, on this runtime. */
export const supportedAlgorithms: AlgorithmLists = {
  kex: [...kexMethods.keys()],
  hostKey: [...hostKeyAlgorithms.keys()],
  cipher: [...ciphers.keys()],
  mac: [...macs.keys()],
  // Compression under attacker-chosen plain text leaks what is beside it, and costs more than it saves.
  compression: ["none"],
};

/** Supported, but only on request. */
const offByDefault: ReadonlySet<string> = new Set([
  // NIST curves: no reproducible choice of constants; ECDSA also gives the key away when its randomness is poor.
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "ecdh-sha2-nistp521",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ecdsa-sha2-nistp256-cert-v01@openssh.com",
  "ecdsa-sha2-nistp384-cert-v01@openssh.com",
  "ecdsa-sha2-nistp521-cert-v01@openssh.com",
  // Encrypt-and-MAC: acts on a length before it is authenticated.
  "hmac-sha2-256",
  "hmac-sha2-512",
]);

/** What is offered and accepted unless configured otherwise. */
export const defaultAlgorithms: AlgorithmLists = {
  kex: byDefault(supportedAlgorithms.kex),
  hostKey: byDefault(supportedAlgorithms.hostKey),
  cipher: byDefault(supportedAlgorithms.cipher),
  mac: byDefault(supportedAlgorithms.mac),
  compression: supportedAlgorithms.compression,
};

/**
 * What a client offers unless configured otherwise: also ECDSA host keys, because many a server has no other, and a
 * client that insists on better reaches nobody.
 */
export const defaultClientAlgorithms: AlgorithmLists = {
  ...defaultAlgorithms,
  hostKey: supportedAlgorithms.hostKey,
};

/**
 * A client's lists for a server whose keys are on record: keys of their types are asked for first, as ssh does it, since
 * a key of another type would look like another server.
 */
export function preferHostKeys(
  lists: AlgorithmLists,
  known: readonly Pick<PublicKey, "type">[],
): AlgorithmLists {
  const types = new Set(known.map(({ type }) => type));
  const isPreferred = (name: string) => types.has(hostKeyAlgorithms.get(name)!.keyType);
  const { hostKey } = lists;
  return {
    ...lists,
    hostKey: [...hostKey.filter(isPreferred), ...hostKey.filter((name) => !isPreferred(name))],
  };
}

/**
 * A server's host key algorithms: `configured`, except that a server whose keys are all off by default offers them
 * nevertheless, unless `configured` was chosen by somebody. Empty when no key can be used.
 */
export function usableHostKeys(
  configured: readonly string[],
  keys: readonly Pick<PublicKey, "type">[],
): readonly string[] {
  const usable = (name: string) => keys.some(({ type }) => type === hostKeyAlgorithms.get(name)?.keyType);
  if (configured.some(usable)) return configured;
  return configured === defaultAlgorithms.hostKey ? supportedAlgorithms.hostKey.filter(usable) : [];
}

function byDefault(names: readonly string[]): readonly string[] {
  return names.filter((name) => !offByDefault.has(name));
}

/** What a configuration lists: the kinds that are negotiated, and two that are looked up when somebody logs in. */
export type AlgorithmKind =
  | keyof AlgorithmLists
  /** Algorithms of `publickey` authentication, certificates among them (`PubkeyAcceptedAlgorithms`). */
  | "publicKey"
  /** Signatures of certificate authorities (`CASignatureAlgorithms`). */
  | "caSignature";

type ListsByKind = Readonly<Record<AlgorithmKind, readonly string[]>>;

// All of them are on: what a user's key is made of was the user's choice, and verifying costs the server nothing.
const login = { publicKey: [...keyAlgorithms.keys()], caSignature: signatureAlgorithms };
const supportedByKind: ListsByKind = { ...supportedAlgorithms, ...login };
const defaultByKind: ListsByKind = { ...defaultAlgorithms, ...login };

/** A configured list, read. */
export interface ParsedList {
  /** The list that results, without duplicates; may be empty. */
  readonly names: readonly string[];
  /** Entries that name nothing that is supported: to warn about, or to refuse. After `-` none counts as unknown. */
  readonly unknown: readonly string[];
}

/**
 * Reads a list as `ssh_config` and `sshd_config` have it: names separated by commas, which replace the default; after
 * `+` they are added at its end, after `^` put at its start, after `-` taken from it. Names may be patterns with `*`
 * and `?`, and stand for all that is supported and matches.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseAlgorithmList } from "./lists.ts";
 * assert.equal(parseAlgorithmList("cipher", "^aes128-*").names[0], "aes128-gcm@openssh.com");
 * ```
 * @param defaults what `+`, `-` and `^` change
 */
export function parseAlgorithmList(
  kind: AlgorithmKind,
  text: string,
  defaults: readonly string[] = defaultByKind[kind],
): ParsedList {
  const [, prefix, entries] = /^([-+^]?)(.*)$/s.exec(text.trim())!;
  return parseNames(entries, prefix as Prefix, defaults, supportedByKind[kind]);
}

type Prefix = "" | "+" | "-" | "^";

/** How each prefix joins the default list and the entries' names. */
const join: Record<Prefix, (defaults: readonly string[], named: readonly string[]) => string[]> = {
  "": (_defaults, named) => [...named],
  "+": (defaults, named) => [...defaults, ...named],
  "^": (defaults, named) => [...named, ...defaults],
  "-": (defaults, named) => defaults.filter((name) => !named.includes(name)),
};

function parseNames(
  entries: string,
  prefix: Prefix,
  defaults: readonly string[],
  supported: readonly string[],
): ParsedList {
  const named: string[] = [];
  const unknown: string[] = [];
  for (const entry of entries.split(",").map((name) => name.trim())) {
    const matches = supported.filter((name) => matchesPattern(name, entry));
    // To take away what is not there is no loss.
    if (matches.length === 0 && prefix !== "-") unknown.push(entry);
    named.push(...matches);
  }
  return { names: [...new Set(join[prefix](defaults, named))], unknown };
}
