/** Join tokens: what lets a machine in that has no identity at all, once. */
import { decodeTextStrictly } from "../bytes/bytes.ts";
import { decodeBase64Url } from "../bytes/encoding.ts";
import { JOIN_TOKEN_PREFIX, MAX_JOIN_TOKEN_LENGTH } from "../mesh/token_words.ts";
import type { ReadableFiles } from "../platform/files.ts";
import { AgentError } from "./exit_codes.ts";
import { openTextIfThere } from "./text_file.ts";

/** A join token, read. */
export interface JoinToken {
  /** What it is called at the gateway: no secret. */
  readonly id: string;
  /** The name that it enrols: `web`, `web.mesh.example.com`. */
  readonly name: string;
  /** `SHA256:…` of the gateway's host keys and of the authorities that sign its host certificates. */
  readonly hosts: readonly string[];
  /** The whole token, to be sent as a password. Secret. */
  readonly text: string;
}

/** Fingerprints in one token. */
const MAX_HOSTS = 32;

/**
 * Reads `sshm1.…`.
 * @throws {TypeError} with a sentence in which nothing of the token is
 */
export function parseJoinToken(text: string): JoinToken {
  const token = text.trim();
  if (!token.startsWith(JOIN_TOKEN_PREFIX) || token.length > MAX_JOIN_TOKEN_LENGTH) throw malformed();
  let content: unknown;
  try {
    content = JSON.parse(decodeTextStrictly(decodeBase64Url(token.slice(JOIN_TOKEN_PREFIX.length))));
  } catch {
    // What the parser says would quote the token.
    throw malformed();
  }
  const { i, s, n, h } = (content ?? {}) as Record<string, unknown>;
  const isWord = (value: unknown): value is string =>
    typeof value === "string" && /^[!-~]{1,512}$/.test(value);
  if (!isWord(i) || !isWord(s) || !isWord(n) || !Array.isArray(h) || h.length > MAX_HOSTS) throw malformed();
  if (!h.every((host) => typeof host === "string" && /^SHA256:[A-Za-z0-9+/]{43}$/.test(host))) {
    throw malformed();
  }
  return { id: i, name: n, hosts: h as string[], text: token };
}

/**
 * Reads what `--join` names: the token, or `@FILE` with one. A file that has gone is no mistake once its token was used:
 * whoever needs it will say so.
 * @throws {AgentError} `files`, `usage`
 */
export async function readJoinToken(text: string, files: ReadableFiles): Promise<JoinToken | undefined> {
  const path = text.startsWith("@") ? text.slice(1) : undefined;
  try {
    if (path === undefined) return parseJoinToken(text);
    const file = await openTextIfThere(files, path);
    return file && parseJoinToken(file.text);
  } catch (cause) {
    if (cause instanceof TypeError) {
      const where = path === undefined ? "--join" : path;
      throw new AgentError(path === undefined ? "usage" : "files", `${where}: ${cause.message}`, { cause });
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError("files", `the join token ${path} cannot be read: ${reason}`, { cause });
  }
}

function malformed(): TypeError {
  return new TypeError(`it is no join token: write it as \`token create\` printed it, ${JOIN_TOKEN_PREFIX}…`);
}
