/** Tokens in paths and commands (TOKENS in sshd_config(5)). */
import { splitArguments } from "./lexer.ts";

/** Values by the token's letter. */
export type Tokens = Readonly<Record<string, string>>;

/**
 * Replaces `%x` by its value, `%%` by a percent sign.
 * @throws {TypeError} for a token that has no value here
 */
export function expandTokens(text: string, tokens: Tokens): string {
  return text.replaceAll(/%(.?)/gs, (_, letter: string) => {
    if (letter === "%") return "%";
    if (letter !== "" && Object.hasOwn(tokens, letter)) return tokens[letter];
    throw new TypeError(`'%${letter}' has no meaning in '${text}'`);
  });
}

/** The user that somebody logs in as. */
export interface TokenUser {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

/** `%u`, `%U`, `%h`: what paths may use. */
export function userTokens(user: TokenUser): Tokens {
  return { u: user.name, U: `${user.uid}`, h: user.home };
}

/** The key or certificate that somebody logs in with: fingerprint, base64 blob, type. */
export interface TokenKey {
  readonly fingerprint: string;
  readonly base64: string;
  readonly type: string;
}

/** `%f`, `%k`, `%t`: what AuthorizedKeysCommand may use beside {@link userTokens}. */
export function keyTokens(key: TokenKey): Tokens {
  return { f: key.fingerprint, k: key.base64, t: key.type };
}

/** `%F`, `%K`, `%T`, `%i`, `%s`: what AuthorizedPrincipalsCommand may use beside both. */
export function certificateTokens(
  authority: TokenKey,
  certificate: { readonly keyId: string; readonly serial: bigint },
): Tokens {
  return {
    F: authority.fingerprint,
    K: authority.base64,
    T: authority.type,
    i: certificate.keyId,
    s: `${certificate.serial}`,
  };
}

/** A path of AuthorizedKeysFile or AuthorizedPrincipalsFile: absolute, or below the home directory. */
export function expandUserPath(path: string, user: TokenUser): string {
  const expanded = expandTokens(path, userTokens(user));
  return expanded.startsWith("/") ? expanded : `${user.home.replace(/\/$/, "")}/${expanded}`;
}

/**
 * A command's file and arguments. Tokens are replaced after the splitting, so that no value becomes two arguments.
 * Without arguments it gets the user's name, as OpenSSH does.
 */
export function expandCommand(
  command: string,
  user: TokenUser,
  tokens: Tokens,
): { file: string; args: string[] } {
  const [file, ...args] = splitArguments(command);
  const expanded = args.map((arg) => expandTokens(arg, { ...userTokens(user), ...tokens }));
  return { file, args: expanded.length > 0 ? expanded : [user.name] };
}
