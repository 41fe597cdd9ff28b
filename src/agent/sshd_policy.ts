/** The built-in server under an sshd_config: a stand-in for sshd as one account. */
import { equal } from "../bytes/bytes.ts";
import { withCertificate } from "../cert/certificate.ts";
import { mergeRestrictions, type Restrictions } from "../keys/restrictions.ts";
import { parsePrivateKey } from "../keys/private_key.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import type { Signer } from "../keys/types.ts";
import type { PublicKeyRequest, Verdict } from "../ssh/auth/server/types.ts";
import type { AgentHost } from "./host.ts";
import type { ConnectionPolicy, Login, Peer, ServerPolicy } from "./built_in_server.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import type { SshdLoginHost } from "./login_commands.ts";
import { refusal, rootRefusal } from "./sshd_config/access.ts";
import { SshdConfigError } from "./sshd_config/error.ts";
import { evaluate, type SshdConfig } from "./sshd_config/evaluate.ts";
import { expandTokens, userTokens } from "./sshd_config/expand.ts";
import type { PartialSettings } from "./sshd_config/keywords.ts";
import type { LoginContext } from "./sshd_config/match.ts";
import { type ConfigSource, type ParsedSshdConfig, parseSshdConfig } from "./sshd_config/parse.ts";
import { judgeSshdLogin } from "./sshd_login.ts";
import {
  algorithmLists,
  clientAlive,
  fidoDemand,
  forwardingRights,
  isShortRsa,
  keysNeeded,
  logAt,
  sessionRights,
} from "./sshd_settings.ts";
import { openness, openText, openTextIfThere, readingFrom } from "./text_file.ts";

/** A configuration ready to serve. */
export interface SshdPolicy {
  /** Outside of every Match. */
  readonly config: SshdConfig;
  /** What LogLevel leaves of the log. */
  readonly log: EventLog;
  readonly policy: ServerPolicy;
}

/** @throws {AgentError} `files`, with file and line */
export async function readSshdPolicy(
  path: string,
  source: ConfigSource,
  host: AgentHost,
): Promise<SshdPolicy> {
  try {
    const parsed = await parseSshdConfig(path, source);
    for (const message of parsed.warnings) host.log({ event: "warning", message });
    const config = evaluate(parsed);
    requireCommandUsers(config, host);
    if (keysNeeded(config.authenticationMethods) === undefined) {
      throw new AgentError(
        "files",
        `${path}: AuthenticationMethods asks for more than keys; passwords are never taken here`,
      );
    }
    const log = logAt(config.logLevel, host.log);
    const hostKeys = await readHostKeys(config, { ...host, log });
    return { config, log, policy: policyOf(parsed, config, hostKeys, { ...host, log }) };
  } catch (error) {
    if (error instanceof SshdConfigError) throw new AgentError("files", error.message, { cause: error });
    throw error;
  }
}

/** Commands run as another user for a reason: where they cannot, nothing starts. Match blocks are judged with each login. */
function requireCommandUsers(config: SshdConfig, { account }: AgentHost): void {
  if (account.uid === 0) return;
  for (const kind of ["authorizedKeysCommandUser", "authorizedPrincipalsCommandUser"] as const) {
    const user = config[kind];
    if (user === null) continue;
    if (expandTokens(user, userTokens(account)) !== account.name) {
      throw new AgentError(
        "files",
        `${kind[0].toUpperCase()}${kind.slice(1)} ${user}: this agent runs as ${account.name}`,
      );
    }
  }
}

function policyOf(
  parsed: ParsedSshdConfig,
  config: SshdConfig,
  hostKeys: readonly Signer[],
  host: AgentHost,
): ServerPolicy {
  const algorithms = algorithmLists(config, hostKeys);
  const accepted = acceptedSomewhere(parsed, config);
  const configOf = (user: string, peer: Peer) => evaluate(parsed, loginContext(user, peer, host));
  const { bytes, seconds } = config.rekeyLimit;
  return (peer): ConnectionPolicy => ({
    hostKeys,
    algorithms,
    rekey: { ...(bytes > 0 && { bytes }), ...(seconds > 0 && { ms: seconds * 1000 }) },
    loginGraceMs: config.loginGraceTime > 0 ? config.loginGraceTime * 1000 : 2 ** 31 - 1,
    auth: {
      publicKey: (request) => decide(parsed, request, peer, host),
      algorithms: accepted,
      methods: (user) => configOf(user, peer).pubkeyAuthentication ? ["publickey"] : [],
      maxTries: (user) => Math.max(1, configOf(user, peer).maxAuthTries),
      banner: (user) => bannerText(configOf(user, peer), host),
    },
  });
}

/** Public key algorithms of the whole file: which of them counts is known with the user. */
function acceptedSomewhere(parsed: ParsedSshdConfig, config: SshdConfig): readonly string[] {
  const accepted = new Set(config.pubkeyAcceptedAlgorithms);
  for (const { apply } of parsed.directives) {
    const own: PartialSettings = {};
    apply(own);
    own.pubkeyAcceptedAlgorithms?.forEach((name) => accepted.add(name));
  }
  return [...accepted];
}

async function decide(
  parsed: ParsedSshdConfig,
  request: PublicKeyRequest,
  peer: Peer,
  host: AgentHost,
): Promise<Verdict<Login>> {
  const refused = (reason: string): Verdict<Login> => ({ result: "refused", reason });
  const { account } = host;
  const login = loginContext(request.user, peer, host);
  const config = evaluate(parsed, login);
  if (request.user !== account.name) return refused(`this agent lets people in as ${account.name} only`);
  if (!config.pubkeyAcceptedAlgorithms.includes(request.algorithm)) {
    return refused("PubkeyAcceptedAlgorithms");
  }
  if (isShortRsa(request.key, config)) return refused("RequiredRSASize");
  const denied = refusal(config, login);
  if (denied) return refused(denied);

  const judged = await judgeAll(config, request, peer, host);
  if ("refused" in judged) return refused(judged.refused);
  const { restrictions, credential } = judged;
  if (account.uid === 0) {
    const forced = restrictions.forceCommand !== undefined || config.forceCommand !== null;
    const root = rootRefusal(config, "publickey", forced);
    if (root) return refused(root);
  }
  const fido = fidoDemand(config, restrictions);
  const needed = keysNeeded(config.authenticationMethods);
  if (needed === undefined) return refused("AuthenticationMethods asks for more than keys");
  if (request.passed.length + 1 < needed) return { result: "partial", methods: ["publickey"], fido };
  return {
    result: "accepted",
    fido,
    identity: {
      account,
      credential,
      session: sessionRights(config, restrictions),
      forwarding: forwardingRights(config, restrictions),
      maxSessions: config.maxSessions,
      alive: clientAlive(config),
    },
  };
}

/** Judges the key and those that were passed before it; what holds is what all of them permit. */
async function judgeAll(
  config: SshdConfig,
  { key, certificate, passed }: PublicKeyRequest,
  { address }: Peer,
  host: AgentHost,
) {
  const loginHost = sshdLoginHost(host);
  const context = { account: host.account, address, now: host.clock.now() };
  const judged = await judgeSshdLogin(config, { ...context, key, certificate }, loginHost);
  if ("refused" in judged) return judged;
  let restrictions: Restrictions | undefined = judged.restrictions;
  for (const earlier of passed) {
    if (!earlier.key) continue;
    // AuthenticationMethods publickey,publickey means two keys.
    if (equal(earlier.key.blob, key.blob)) return { refused: "this key was used already" };
    const again = await judgeSshdLogin(config, {
      ...context,
      key: earlier.key,
      certificate: earlier.certificate,
    }, loginHost);
    if ("refused" in again) return again;
    restrictions = mergeRestrictions(again.restrictions, restrictions);
    if (!restrictions) return { refused: "the keys force different commands" };
  }
  return { ...judged, restrictions };
}

function loginContext(user: string, { address, local }: Peer, { account }: AgentHost): LoginContext {
  return {
    user,
    groups: user === account.name ? account.groups : undefined,
    host: address,
    address,
    localAddress: local?.address ?? "",
    localPort: local?.port ?? 0,
  };
}

function sshdLoginHost({ files, sessions, account, findAccount, clock, log }: AgentHost): SshdLoginHost {
  return {
    files,
    processes: sessions.processes,
    own: account,
    findAccount,
    after: (ms, callback) => clock.after(ms, callback),
    warn: (message) => log({ event: "warning", message }),
  };
}

async function bannerText({ banner }: SshdConfig, { files }: AgentHost): Promise<string | undefined> {
  if (banner === null) return undefined;
  return (await openTextIfThere(files, banner).catch(() => undefined))?.text;
}

/** Keys that cannot be used are told of, as sshd does; without any there is no server. */
async function readHostKeys(config: SshdConfig, { files, log }: AgentHost): Promise<Signer[]> {
  const { hostKeys, hostCertificates } = config;
  const signers: Signer[] = [];
  for (const path of hostKeys) {
    try {
      const file = await openText(files, path);
      const open = openness(file);
      if (open) throw new Error(open);
      const signer = await parsePrivateKey(file.text);
      if (isShortRsa(signer.publicKey, config)) throw new Error("it is shorter than RequiredRSASize");
      signers.push(signer);
    } catch (error) {
      log({ event: "warning", message: `host key ${path} is not used: ${(error as Error).message}` });
    }
  }
  if (signers.length === 0) {
    throw new AgentError("files", `there is no host key to use: ${hostKeys.join(", ")}`);
  }
  for (const path of hostCertificates) {
    const { text } = await readingFrom(path, () => openText(files, path));
    const { certificate, key } = await readingFrom(path, () => parsePublicKeyLine(text));
    const at = signers.findIndex(({ publicKey }) => equal(publicKey.blob, key.blob));
    if (!certificate || at < 0) {
      throw new AgentError("files", `HostCertificate ${path} belongs to none of the host keys`);
    }
    signers[at] = withCertificate(signers[at], certificate);
  }
  return signers;
}
