/**
 * The text of join tokens: `sshm1.` and, in base64url, JSON of
 *
 * | member | |
 * |---|---|
 * | `i` | id, under which the token is kept; no secret |
 * | `s` | secret: 32 random bytes in base64url |
 * | `n` | the name that it gives |
 * | `h` | `SHA256:…` of the gateway's host keys, and of the authorities that sign its host certificates |
 */
import { decodeTextStrictly, encodeText } from "../bytes/bytes.ts";
import { decodeBase64Url, encodeBase64Url } from "../bytes/encoding.ts";
import { JOIN_TOKEN_PREFIX, MAX_JOIN_TOKEN_LENGTH } from "../mesh/token_words.ts";

export interface JoinTokenText {
  readonly id: string;
  readonly secret: string;
  readonly name: string;
  readonly hosts: readonly string[];
}

/** Secret: whoever reads it joins. */
export function formatJoinToken({ id, secret, name, hosts }: JoinTokenText): string {
  const content = JSON.stringify({ i: id, s: secret, n: name, h: hosts });
  return JOIN_TOKEN_PREFIX + encodeBase64Url(encodeText(content));
}

/** A token that was read. */
export interface ReadJoinToken extends Pick<JoinTokenText, "id" | "secret"> {
  /** Undefined where there are none to be read: they count for the machine that joins alone. */
  readonly hosts?: readonly string[];
}

/** Id, secret and hosts of a token; undefined when it is none. */
export function readJoinToken(text: string): ReadJoinToken | undefined {
  const token = text.trim();
  if (!token.startsWith(JOIN_TOKEN_PREFIX) || token.length > MAX_JOIN_TOKEN_LENGTH) return undefined;
  try {
    const content = JSON.parse(decodeTextStrictly(decodeBase64Url(token.slice(JOIN_TOKEN_PREFIX.length))));
    const { i: id, s: secret, h: hosts } = content ?? {};
    if (typeof id !== "string" || !ID.test(id) || typeof secret !== "string") return undefined;
    return { id, secret, ...(isTexts(hosts) && { hosts }) };
  } catch {
    // What is no base64, text or JSON is no token. The parser's words would quote it.
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

/** What ids look like: they are keys of the store and words of commands. */
const ID = /^[0-9a-f]{16}$/;
