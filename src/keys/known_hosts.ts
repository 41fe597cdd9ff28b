/** The known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
import { type Bytes, encodeText, equal, randomBytes } from "../bytes/bytes.ts";
import { decodeBase64, encodeBase64 } from "../bytes/encoding.ts";
import { matchPatternList } from "./patterns.ts";
import { formatPublicKey, parsePublicKeyLine } from "./public_key.ts";
import { KeyError, type PublicKey } from "./types.ts";

const DEFAULT_PORT = 22;
/** HMAC-SHA1 has 20 bytes, and so has its salt. */
const HASH_LENGTH = 20;

/** One line that counts. */
export interface KnownHost {
  /** From 1. */
  readonly line: number;
  readonly marker?: "cert-authority" | "revoked";
  /** As written: a pattern list, or `|1|salt|hash`. */
  readonly hosts: string;
  readonly key: PublicKey;
  readonly comment: string;
}

/** A file, read. */
export interface KnownHosts {
  readonly entries: readonly KnownHost[];
  /** Lines that were not understood; they count for nothing. */
  readonly faults: readonly { readonly line: number; readonly reason: string }[];
}

const markers = { "@cert-authority": "cert-authority", "@revoked": "revoked" } as const;

/** Reads the whole file. */
export function parseKnownHosts(text: string): KnownHosts {
  const entries: KnownHost[] = [];
  const faults: { line: number; reason: string }[] = [];
  text.split("\n").forEach((content, index) => {
    const line = index + 1;
    try {
      const entry = parseLine(content);
      if (entry) entries.push({ line, ...entry });
    } catch (error) {
      if (!(error instanceof KeyError)) throw error;
      faults.push({ line, reason: error.message });
    }
  });
  return { entries, faults };
}

function parseLine(content: string): Omit<KnownHost, "line"> | undefined {
  const trimmed = content.trim();
  if (trimmed === "" || trimmed.startsWith("#")) return undefined;
  const [, marker, hosts, rest] = /^(?:(@\S+)[ \t]+)?(\S+)[ \t]+(.*)$/.exec(trimmed) ?? [];
  if (!hosts) throw new KeyError("malformed", "not a line of known_hosts: `hosts type base64` is expected");
  if (marker && !Object.hasOwn(markers, marker)) throw new KeyError("malformed", "the marker is not known");
  const { key, comment, certificate } = parsePublicKeyLine(rest);
  if (certificate) throw new KeyError("malformed", "a certificate: give its authority's key instead");
  return { marker: marker ? markers[marker as keyof typeof markers] : undefined, hosts, key, comment };
}

/** How a host is written: `host`, or `[host]:port` when the port is not 22. Lower case. */
export function hostName(host: string, port: number = DEFAULT_PORT): string {
  const name = host.toLowerCase();
  return port === DEFAULT_PORT ? name : `[${name}]:${port}`;
}

async function hashHost(name: string, salt: Bytes): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", salt, { name: "HMAC", hash: "SHA-1" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, encodeText(name)));
}

/** Whether a line's host field is about `name` (as {@link hostName} writes it). */
export async function matchesHosts(name: string, hosts: string): Promise<boolean> {
  if (!hosts.startsWith("|")) return matchPatternList(name, hosts.toLowerCase()) === "match";
  const [, version, salt, hash, ...more] = hosts.split("|");
  if (version !== "1" || more.length > 0) return false;
  try {
    const expected = decodeBase64(hash);
    return expected.length === HASH_LENGTH && equal(await hashHost(name, decodeBase64(salt)), expected);
  } catch (error) {
    // Not base64, or an empty salt, which WebCrypto refuses: a line about nobody.
    if (error instanceof TypeError || error instanceof DOMException) return false;
    throw error;
  }
}

/** What a server showed: its key, and the authority's when it showed a certificate. */
export interface ShownKey {
  readonly key: PublicKey;
  /** The `signatureKey` of its host certificate. The certificate itself is for the caller to check. */
  readonly authority?: PublicKey;
}

/** What known_hosts says of a key for a host. */
export type HostVerdict =
  /** The key is the host's. */
  | { readonly verdict: "known"; readonly entry: KnownHost }
  /** The authority is trusted for the host: if the certificate passes its check, so does the host. */
  | { readonly verdict: "authority"; readonly entry: KnownHost }
  /** The key, or the authority's, must never be accepted for the host. */
  | { readonly verdict: "revoked"; readonly entry: KnownHost }
  /** The host has other keys. */
  | { readonly verdict: "changed"; readonly entries: readonly KnownHost[] }
  /** Nothing is said of the host. */
  | { readonly verdict: "unknown" };

/**
 * Looks `shown` up. Revocation beats everything; an authority beats the plain key; a line without port speaks for
 * every port as far as it says yes, as with ssh.
 *
 * @param host as the user wrote it, or its alias: not resolved
 */
export async function lookUpHost(
  known: KnownHosts,
  host: string,
  port: number,
  shown: ShownKey,
): Promise<HostVerdict> {
  const verdict = await lookUpName(known, hostName(host, port), shown);
  if (verdict.verdict !== "unknown" || port === DEFAULT_PORT) return verdict;
  const portless = await lookUpName(known, hostName(host), shown);
  return portless.verdict === "changed" ? verdict : portless;
}

async function lookUpName(known: KnownHosts, name: string, shown: ShownKey): Promise<HostVerdict> {
  const about: KnownHost[] = [];
  for (const entry of known.entries) if (await matchesHosts(name, entry.hosts)) about.push(entry);
  const same = (entry: KnownHost, key?: PublicKey) => key !== undefined && equal(entry.key.blob, key.blob);
  const find = (marker: KnownHost["marker"], ...keys: (PublicKey | undefined)[]) =>
    about.find((entry) => entry.marker === marker && keys.some((key) => same(entry, key)));

  const revoked = find("revoked", shown.key, shown.authority);
  if (revoked) return { verdict: "revoked", entry: revoked };
  const authority = find("cert-authority", shown.authority);
  if (authority) return { verdict: "authority", entry: authority };
  const entry = find(undefined, shown.key);
  if (entry) return { verdict: "known", entry };
  const entries = about.filter(({ marker }) => marker === undefined);
  return entries.length > 0 ? { verdict: "changed", entries } : { verdict: "unknown" };
}

/** What a line says beside host and key. */
export interface KnownHostLineOptions {
  readonly marker?: KnownHost["marker"];
  readonly comment?: string;
  /** Hides the host's name behind a salted hash (HashKnownHosts). */
  readonly hashed?: boolean;
}

/**
 * A line without its end.
 * @param hosts what {@link hostName} returns, or a pattern list
 */
export async function formatKnownHost(
  hosts: string,
  key: PublicKey,
  { marker, comment, hashed }: KnownHostLineOptions = {},
): Promise<string> {
  if (hosts === "" || /\s/.test(hosts)) throw new TypeError("hosts are one word");
  let field = hosts;
  if (hashed) {
    const salt = randomBytes(HASH_LENGTH);
    field = `|1|${encodeBase64(salt)}|${encodeBase64(await hashHost(hosts, salt))}`;
  }
  const line = `${field} ${formatPublicKey(key, comment)}`;
  return marker ? `@${marker} ${line}` : line;
}

/** How the keys of one host change (`hostkeys-00@openssh.com`). */
export interface HostKeyChange {
  readonly add: readonly PublicKey[];
  readonly remove: readonly PublicKey[];
  /** How added lines are written. */
  readonly hashed?: boolean;
}

/**
 * The text of a file after a host rotated its keys. Lines that the change is not about stay byte for byte, as do all
 * with a marker or with patterns. A line for several hosts loses this one alone. Keys that are there are not added.
 */
export async function changeHostKeys(
  text: string,
  host: string,
  port: number,
  { add, remove, hashed }: HostKeyChange,
): Promise<string> {
  const name = hostName(host, port);
  const plain = parseKnownHosts(text).entries.filter(({ marker }) => marker === undefined);
  const lines: (string | undefined)[] = text.split("\n");
  const present: PublicKey[] = [];
  for (const entry of plain) {
    if (!await matchesHosts(name, entry.hosts)) continue;
    if (remove.some((key) => equal(key.blob, entry.key.blob))) {
      lines[entry.line - 1] = withoutHost(lines[entry.line - 1]!, entry.hosts, name);
    } else {
      present.push(entry.key);
    }
  }
  const kept = lines.filter((line) => line !== undefined).join("\n");
  const added: string[] = [];
  for (const key of add) {
    if (present.some((known) => equal(known.blob, key.blob))) continue;
    added.push(await formatKnownHost(name, key, { hashed }));
  }
  if (added.length === 0) return kept;
  const separator = kept === "" || kept.endsWith("\n") ? "" : "\n";
  return kept + separator + added.join("\n") + "\n";
}

/** The line without `name`; undefined when nothing is left; the line itself when a pattern speaks for the host. */
function withoutHost(line: string, hosts: string, name: string): string | undefined {
  if (hosts.startsWith("|")) return undefined;
  const written = hosts.split(",");
  const others = written.filter((host) => host.toLowerCase() !== name);
  if (others.length === written.length) return line;
  if (others.every((host) => host.startsWith("!"))) return undefined;
  return line.replace(hosts, others.join(","));
}
