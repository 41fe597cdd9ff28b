/** Who may log in by an sshd_config: files and commands of keys, authorities, principals, revocation. */
import { equal } from "../bytes/bytes.ts";
import { encodeBase64 } from "../bytes/encoding.ts";
import { certificateRestrictions } from "../cert/options.ts";
import { parseRevokedKeys } from "../cert/revocation.ts";
import type { Certificate } from "../cert/types.ts";
import {
  type AuthorizedKey,
  findAuthorities,
  findAuthorizedKey,
  parseAuthorizedKeys,
} from "../keys/authorized_keys.ts";
import { readOptions, splitOptions } from "../keys/authorized_keys_options.ts";
import { mergeRestrictions, type Restrictions } from "../keys/restrictions.ts";
import type { PublicKey } from "../keys/types.ts";
import { FilesError } from "../platform/files.ts";
import { readWholeFile } from "../platform/whole_file.ts";
import type { Admission, LoginRefusal } from "./admission.ts";
import { CertificateTrial } from "./certificate_login.ts";
import type { Account } from "./login.ts";
import { outputOf, type SshdLoginHost, untrustedPath } from "./login_commands.ts";
import type { SshdConfig } from "./sshd_config/evaluate.ts";
import {
  certificateTokens,
  expandCommand,
  expandTokens,
  expandUserPath,
  keyTokens,
  type TokenKey,
  userTokens,
} from "./sshd_config/expand.ts";
import { openText } from "./text_file.ts";

/** What is shown, and when and from where. */
export interface ShownLogin {
  readonly key: PublicKey;
  readonly certificate?: Certificate;
  readonly account: Account;
  readonly address: string;
  readonly now: number;
}

/** Whether the key or certificate lets its holder in as `account`. */
export async function judgeSshdLogin(
  config: SshdConfig,
  shown: ShownLogin,
  host: SshdLoginHost,
): Promise<Admission | LoginRefusal> {
  if (await isRevoked(config, shown, host)) return { refused: "RevokedKeys" };
  const { certificate, key, account, now, address } = shown;
  const lines = await authorizedLines(config, shown, host);
  if (!certificate) {
    const line = findAuthorizedKey(lines, key, { now, address });
    return line
      ? { restrictions: line.restrictions, credential: await key.fingerprint() }
      : { refused: "no line of AuthorizedKeysFile lets this key in" };
  }
  const trial = new CertificateTrial(certificate, {
    now,
    address,
    signatureAlgorithms: config.caSignatureAlgorithms,
  });
  const authorities = findAuthorities(lines, certificate.signatureKey, { now, address });
  const admission = await trial.underLines(authorities, [account.name]);
  if (admission) return admission;
  if (!await isTrusted(config, certificate, host)) return { refused: trial.refused };
  for (const { principals, limits } of await principalsOf(config, shown, certificate, host)) {
    if (!await trial.check(principals)) continue;
    const own = certificateRestrictions(certificate);
    const admission = trial.admit(limits ? mergeRestrictions(own, limits) : own, "principals line");
    if (admission) return admission;
  }
  return { refused: trial.refused };
}

/** A list that cannot be read revokes everything, as with sshd. */
async function isRevoked(
  { revokedKeys }: SshdConfig,
  { key, certificate }: ShownLogin,
  { files, warn }: SshdLoginHost,
): Promise<boolean> {
  if (revokedKeys === null) return false;
  try {
    const { bytes } = await readWholeFile(files, revokedKeys);
    return await parseRevokedKeys(bytes).isRevoked(certificate ?? key);
  } catch (error) {
    warn(`RevokedKeys ${revokedKeys} cannot be used, so nobody gets in: ${(error as Error).message}`);
    return true;
  }
}

async function isTrusted(
  { trustedUserCAKeys }: SshdConfig,
  { signatureKey }: Certificate,
  { files, warn }: SshdLoginHost,
): Promise<boolean> {
  if (trustedUserCAKeys === null) return false;
  try {
    const { text } = await openText(files, trustedUserCAKeys);
    return parseAuthorizedKeys(text).keys.some(({ key }) => equal(key.blob, signatureKey.blob));
  } catch (error) {
    if (!(error instanceof FilesError)) throw error;
    warn(`TrustedUserCAKeys ${trustedUserCAKeys} cannot be read: ${error.message}`);
    return false;
  }
}

/** Lines of every AuthorizedKeysFile that may be believed, and of AuthorizedKeysCommand. */
async function authorizedLines(
  config: SshdConfig,
  shown: ShownLogin,
  host: SshdLoginHost,
): Promise<AuthorizedKey[]> {
  const { account } = shown;
  const keys: AuthorizedKey[] = [];
  const add = (source: string, text: string) => {
    const parsed = parseAuthorizedKeys(text);
    for (const { line, reason } of parsed.faults) host.warn(`${source}:${line}: ${reason}`);
    keys.push(...parsed.keys);
  };
  for (const written of config.authorizedKeysFiles) {
    const path = expandUserPath(written, account);
    const text = await believedText(path, config, account, host);
    if (text !== undefined) add(path, text);
  }
  const { authorizedKeysCommand: command, authorizedKeysCommandUser: user } = config;
  if (command !== null && user !== null) {
    const tokens = keyTokens(await tokenKey(shown.key, shown.certificate));
    const line = {
      ...expandCommand(command, account, tokens),
      user: expandTokens(user, userTokens(account)),
    };
    add("AuthorizedKeysCommand", await outputOf(line, host));
  }
  return keys;
}

/** Undefined where there is no such file, or StrictModes does not believe it. */
async function believedText(
  path: string,
  { strictModes }: SshdConfig,
  account: Account,
  { files, warn }: SshdLoginHost,
): Promise<string | undefined> {
  try {
    if (strictModes) {
      const top = await files.realpath(account.home).catch(() => account.home);
      const fault = await untrustedPath(path, { uid: account.uid, top }, files);
      if (fault) {
        warn(`StrictModes: ${fault}`);
        return undefined;
      }
    }
    return (await openText(files, path)).text;
  } catch (error) {
    if (!(error instanceof FilesError)) throw error;
    if (error.code !== "not-found" && error.code !== "not-directory") warn(`${path}: ${error.message}`);
    return undefined;
  }
}

interface AllowedPrincipals {
  readonly principals: readonly string[];
  /** Options of the line. */
  readonly limits?: Restrictions;
}

/** Without a file or a command: the login name. */
async function principalsOf(
  config: SshdConfig,
  shown: ShownLogin,
  certificate: Certificate,
  host: SshdLoginHost,
): Promise<AllowedPrincipals[]> {
  const { account } = shown;
  const { authorizedPrincipalsFile, authorizedPrincipalsCommand, authorizedPrincipalsCommandUser: user } =
    config;
  if (authorizedPrincipalsFile === null && authorizedPrincipalsCommand === null) {
    return [{ principals: [account.name] }];
  }
  const allowed: AllowedPrincipals[] = [];
  if (authorizedPrincipalsFile !== null) {
    const text = await believedText(expandUserPath(authorizedPrincipalsFile, account), config, account, host);
    allowed.push(...principalLines(text ?? "", host));
  }
  if (authorizedPrincipalsCommand !== null && user !== null) {
    const tokens = {
      ...keyTokens(await tokenKey(shown.key, certificate)),
      ...certificateTokens(await tokenKey(certificate.signatureKey), certificate),
    };
    const command = expandCommand(authorizedPrincipalsCommand, account, tokens);
    const line = { ...command, user: expandTokens(user, userTokens(account)) };
    allowed.push(...principalLines(await outputOf(line, host), host));
  }
  return allowed;
}

/** One principal per line, with options in front as in authorized_keys. */
function principalLines(text: string, { warn }: SshdLoginHost): AllowedPrincipals[] {
  return text.split("\n").map((line) => line.replace(/#.*$/, "").trim()).filter(Boolean).flatMap((line) => {
    // The principal is the last word; principals have no white space.
    const at = Math.max(line.lastIndexOf(" "), line.lastIndexOf("\t"));
    if (at < 0) return [{ principals: [line] }];
    try {
      const [options] = splitOptions(line);
      return [{ principals: [line.slice(at + 1)], limits: readOptions(options).restrictions }];
    } catch (error) {
      warn(`principals: ${(error as Error).message}`);
      return [];
    }
  });
}

async function tokenKey(key: PublicKey, certificate?: Certificate): Promise<TokenKey> {
  return {
    fingerprint: await key.fingerprint(),
    base64: encodeBase64(certificate?.blob ?? key.blob),
    type: certificate?.type ?? key.type,
  };
}
