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

export const JOIN_TOKEN_PREFIX = "sshm1.";
/** Characters: an id, a secret, a name and some fingerprints. */
const MAX_LENGTH = 8 * 1024;

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

/** Id and secret of a token; undefined when it is none. What else is in it counts for the machine that joins alone. */
export function readJoinToken(text: string): Pick<JoinTokenText, "id" | "secret"> | undefined {
  const token = text.trim();
  if (!token.startsWith(JOIN_TOKEN_PREFIX) || token.length > MAX_LENGTH) return undefined;
  try {
    const content = JSON.parse(decodeTextStrictly(decodeBase64Url(token.slice(JOIN_TOKEN_PREFIX.length))));
    const { i: id, s: secret } = content ?? {};
    if (typeof id === "string" && ID.test(id) && typeof secret === "string") return { id, secret };
  } catch {
    // What is no base64, text or JSON is no token. The parser's words would quote it.
  }
}

/** What ids look like: they are keys of the store and words of commands. */
const ID = /^[0-9a-f]{16}$/;
