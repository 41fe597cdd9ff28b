/** Algorithm lists, which may name what only others support. */
import { keyAlgorithms, signatureAlgorithms } from "../../ssh/algorithms/key_algorithms.ts";
import { defaultAlgorithms, supportedAlgorithms } from "../../ssh/algorithms/lists.ts";
import { matchesPattern } from "../../keys/patterns.ts";

/** The lists that sshd_config has, with what `+`, `-` and `^` change and what patterns choose from. */
const kinds = {
  kex: [defaultAlgorithms.kex, supportedAlgorithms.kex],
  cipher: [defaultAlgorithms.cipher, supportedAlgorithms.cipher],
  mac: [defaultAlgorithms.mac, supportedAlgorithms.mac],
  hostKey: [defaultAlgorithms.hostKey, supportedAlgorithms.hostKey],
  publicKey: [[...keyAlgorithms.keys()], [...keyAlgorithms.keys()]],
  caSignature: [signatureAlgorithms, signatureAlgorithms],
} as const;

export type AlgorithmKind = keyof typeof kinds;

export interface ResolvedList {
  readonly names: readonly string[];
  /** Entries that name nothing supported here. */
  readonly unknown: readonly string[];
}

/**
 * Reads a list. Entries that nothing matches are told, not refused: files that were hardened for OpenSSH name
 * algorithms that are not offered here, and offering less is no weakness.
 * @throws {TypeError} when nothing is left
 */
export function resolveAlgorithms(kind: AlgorithmKind, text: string): ResolvedList {
  const [defaults, supported] = kinds[kind] as readonly [readonly string[], readonly string[]];
  const [, prefix, entries] = /^([-+^]?)(.*)$/s.exec(text)!;
  const named: string[] = [];
  const unknown: string[] = [];
  for (const entry of entries.split(",")) {
    const matches = supported.filter((name) => matchesPattern(name, entry));
    named.push(...matches);
    // To take away what is not there is no loss.
    if (matches.length === 0 && prefix !== "-") unknown.push(entry);
  }
  const joined = {
    "": () => named,
    "+": () => [...defaults, ...named],
    "^": () => [...named, ...defaults],
    "-": () => defaults.filter((name) => !named.includes(name)),
  }[prefix as "" | "+" | "^" | "-"]();
  if (joined.length === 0) throw new TypeError(`nothing in '${text}' is supported: ${supported.join(", ")}`);
  return { names: [...new Set(joined)], unknown };
}
