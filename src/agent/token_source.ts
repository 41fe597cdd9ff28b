/** Where an agent gets tokens from, and what a token must look like before it is sent anywhere. */
import { decodeText } from "../bytes/bytes.ts";
import { decodeBase64Url } from "../bytes/encoding.ts";
import { MAX_TOKEN_LENGTH } from "../mesh/token_words.ts";
import type { ReadableFiles } from "../platform/files.ts";
import { AgentError } from "./exit_codes.ts";
import type { GatewayAddress } from "./gateway_address.ts";
import { requireText } from "./text_file.ts";

/** The flags `--token-…`. */
export type TokenConfig =
  | { readonly kind: "file"; readonly path: string }
  /** For `sh -c`. */
  | { readonly kind: "command"; readonly command: string }
  /** Host, with or without port, of Google's metadata server. */
  | { readonly kind: "metadata"; readonly host: string };

/** Gives tokens. */
export interface TokenSource {
  /** For sentences: `--token-file /run/token`. Nothing of a token is in it. */
  readonly label: string;
  /**
   * A token as it is now: files are rotated, so it is asked before each dial.
   * @param audience for whom it is to be, where the source can choose
   * @throws {AgentError} where waiting would not help; any other error when it may
   */
  read(audience: string, signal: AbortSignal): Promise<string>;
}

/** For whom a token is unless `--token-audience` says otherwise: exactly this stands in its `aud`. */
export function audienceFor({ hostname }: GatewayAddress): string {
  return `ssh://${hostname}`;
}

/** The file of `--token-file`. */
export function tokenFile(path: string, files: ReadableFiles): TokenSource {
  const label = `--token-file ${path}`;
  return {
    label,
    read: async () => requireToken((await requireText(files, path, "the token")).text, label),
  };
}

/**
 * The text as a token: one word, without the white space around it.
 * @throws {AgentError} `credential`; nothing of the text is in the message
 */
export function requireToken(text: string, label: string): string {
  const token = text.trim();
  const fault = token === ""
    ? "it is empty"
    : token.length > MAX_TOKEN_LENGTH
    ? "it is longer than any token"
    : /^[!-~]+$/.test(token)
    ? undefined
    : "it is not one word of printable characters";
  if (fault === undefined) return token;
  throw new AgentError("credential", `${label} gives no token: ${fault}`);
}

/**
 * When a JSON Web Token says that it expires, in milliseconds since 1970; undefined where it does not, or is no such
 * token. Nothing is verified: it is a hint for this side alone.
 */
export function expiryOf(token: string): number | undefined {
  try {
    const claims = JSON.parse(decodeText(decodeBase64Url(token.split(".")[1] ?? "")));
    return typeof claims?.exp === "number" ? claims.exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
