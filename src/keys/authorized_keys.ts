/** The authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Pure: time and addresses come in as arguments. */
import { equal } from "../bytes/bytes.ts";
import { matchFrom } from "./addresses.ts";
import { type LineOptions, readOptions, splitOptions } from "./authorized_keys_options.ts";
import { isKeyType, plainType } from "./key_types.ts";
import { parsePublicKeyLine } from "./public_key.ts";
import { isUnrestricted } from "./restrictions.ts";
import { KeyError, type PublicKey } from "./types.ts";

/** One line that counts. */
export interface AuthorizedKey extends LineOptions {
  /** From 1. */
  readonly line: number;
  readonly key: PublicKey;
  readonly comment: string;
}

/** One line that does not. */
export interface LineFault {
  /** From 1. */
  readonly line: number;
  readonly reason: string;
}

/** A file, read. */
export interface AuthorizedKeys {
  readonly keys: readonly AuthorizedKey[];
  /** Lines that grant nothing, to be shown to whoever keeps the file. */
  readonly faults: readonly LineFault[];
}

/**
 * Reads the whole file. A line that is wrong in any way, an option that is not known among them, grants nothing and is
 * reported; the others count.
 */
export function parseAuthorizedKeys(text: string): AuthorizedKeys {
  const keys: AuthorizedKey[] = [];
  const faults: LineFault[] = [];
  text.split("\n").forEach((content, index) => {
    const trimmed = content.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return;
    const line = index + 1;
    try {
      keys.push({ line, ...parseLine(trimmed) });
    } catch (error) {
      if (!(error instanceof KeyError)) throw error;
      faults.push({ line, reason: error.message });
    }
  });
  return { keys, faults };
}

function parseLine(text: string): Omit<AuthorizedKey, "line"> {
  const [word] = text.split(/[ \t]/, 1);
  const plain = isKeyType(word) || plainType(word) !== undefined;
  const [options, rest] = plain ? ["", text] : splitOptions(text);
  if (!plain && rest.startsWith("AAAA")) throw new KeyError("unsupported", "the key type is not supported");
  const { key, comment, certificate } = parsePublicKeyLine(rest);
  if (certificate) {
    throw new KeyError("malformed", "a certificate: give its authority's key with `cert-authority` instead");
  }
  return { ...readOptions(options), key, comment };
}

/** Who asks, and when. */
export interface AskingPeer {
  readonly address?: string;
  /** The verified host name, where somebody looked it up. */
  readonly host?: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Whether `from` and `expiry-time` of a line let this peer in now. */
export function lineApplies(entry: LineOptions, peer: AskingPeer): boolean {
  if (entry.expiresAt !== undefined && peer.now >= entry.expiresAt) return false;
  return entry.from === undefined || matchFrom(peer, entry.from) === "match";
}

/** The first line that lets `key` itself in. Lines of authorities never do. */
export function findAuthorizedKey(
  entries: readonly AuthorizedKey[],
  key: PublicKey,
  peer: AskingPeer,
): AuthorizedKey | undefined {
  return entries.find((entry) =>
    !entry.authority && equal(entry.key.blob, key.blob) && lineApplies(entry, peer)
  );
}

/**
 * The lines that trust `authority`. Each accepts its own principals: its `principals` option, or the login name where
 * it has none.
 */
export function findAuthorities(
  entries: readonly AuthorizedKey[],
  authority: PublicKey,
  peer: AskingPeer,
): AuthorizedKey[] {
  return entries.filter((entry) =>
    entry.authority && equal(entry.key.blob, authority.blob) && lineApplies(entry, peer)
  );
}

/** Whether the line is a plain key without any option that limits when, from where, for what or how it is used. */
export function isUnrestrictedLine(entry: AuthorizedKey): boolean {
  return !entry.authority && entry.from === undefined && entry.expiresAt === undefined &&
    !entry.restrictions.verifyRequired && isUnrestricted(entry.restrictions);
}
