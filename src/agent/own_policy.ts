/** The policy of the built-in server without an sshd_config: keys and certificates, one account, never a password. */
import { permitsListen, permitsOpen, type Restrictions } from "../keys/restrictions.ts";
import type { Signer } from "../keys/types.ts";
import type { Clock } from "../platform/clock.ts";
import type { PublicKeyRequest, Verdict } from "../ssh/auth/server/types.ts";
import type { DialRange } from "../identity/ranges.ts";
import type { Login, Peer, ServerPolicy } from "./built_in_server.ts";
import { defaultSessionPolicy, type SessionHost, type SessionPolicy } from "./exec.ts";
import type { ForwardRights } from "./forwarding.ts";
import type { GatewayAuthorities } from "./gateway_authorities.ts";
import type { KeepaliveTimes } from "./keepalive.ts";
import { type Account, accountFor, LoginError } from "./login.ts";
import type { LoginFiles } from "./login_files.ts";
import { judgeLogin, type LoginRules } from "./login_rules.ts";
import { forwardRightsAs, sessionPolicyAs } from "./other_account.ts";
import type { PrincipalGrant } from "./principals.ts";

/** From the first byte to the end of authentication, in milliseconds: through a gateway, nobody types. */
const LOGIN_GRACE_MS = 60_000;

/** Sessions of one connection: what multiplexing clients open, and no more. */
const MAX_SESSIONS = 64;

/** A client whose way here was cut is found within a few minutes: its programs and windows are freed. */
const CLIENT_KEEPALIVE: KeepaliveTimes = { intervalMs: 60_000, misses: 2 };

export interface OwnPolicyOptions {
  /** The one that the agent runs as. */
  readonly account: Account;
  /** Looks up another one. */
  findAccount(name: string): Promise<Account | undefined>;
  readonly sessions: SessionHost;
  readonly clock: Clock;
  /** Asked for each connection: its certificate is renewed. */
  hostKey(): Signer;
  /** Asked for each connection. */
  files(): Promise<LoginFiles>;
  /** The gateway's authorities and what they revoked, where they are trusted. */
  readonly gateway?: Pick<GatewayAuthorities, "userCas" | "isRevoked">;
  readonly principals: readonly PrincipalGrant[];
  /** What a login reaches beyond this machine. */
  readonly allowDial: readonly DialRange[];
}

export function ownPolicy(options: OwnPolicyOptions): ServerPolicy {
  return (peer) => {
    let rules: Promise<LoginRules> | undefined;
    return {
      hostKeys: [options.hostKey()],
      loginGraceMs: LOGIN_GRACE_MS,
      auth: {
        // Read once per connection, and only when somebody gets so far as to show a key.
        publicKey: async (request) =>
          await decide(request, await (rules ??= readRules(options)), peer, options),
      },
    };
  };
}

async function readRules({ files, gateway, principals }: OwnPolicyOptions): Promise<LoginRules> {
  const { keys, authorities } = await files();
  return {
    keys,
    authorities: [...authorities, ...gateway?.userCas ?? []],
    principals,
    ...(gateway && { isRevoked: (subject) => gateway.isRevoked(subject) }),
  };
}

async function decide(
  request: PublicKeyRequest,
  rules: LoginRules,
  peer: Peer,
  options: OwnPolicyOptions,
): Promise<Verdict<Login>> {
  const { account: own, clock, allowDial, sessions } = options;
  const context = { now: clock.now(), address: peer.address, ownUser: own.name };
  const account = await accountOf(request.user, options);
  if (!account) {
    // The right name is for those who could use it: strangers don't learn who lives here.
    const judged = await judgeLogin(rules, request, own.name, context);
    if ("refused" in judged) return { result: "refused", reason: judged.refused };
    const reason = `login as another user than ${own.name}`;
    return { result: "refused", reason, message: rightName(request.user, own) };
  }
  const judged = await judgeLogin(rules, request, account.name, context);
  if ("refused" in judged) return { result: "refused", reason: judged.refused };
  const { restrictions, credential } = judged;
  const other = account !== own;
  const session = sessionPolicy(restrictions);
  const forwarding = forwardRights(restrictions, allowDial);
  return {
    result: "accepted",
    fido: { touch: !restrictions.noTouchRequired, verification: restrictions.verifyRequired },
    identity: {
      account,
      credential,
      session: other ? await sessionPolicyAs(session, sessions) : session,
      forwarding: other ? forwardRightsAs(forwarding) : forwarding,
      maxSessions: MAX_SESSIONS,
      alive: CLIENT_KEEPALIVE,
      other,
      // With the time of the login: expiry ends only what is new.
      judgeAnew: async () => {
        const again = await judgeLogin(await readRules(options), request, account.name, context);
        return "refused" in again ? again.refused : undefined;
      },
    },
  };
}

/** The agent's own account, or one that `USER=PRINCIPAL` opens and that root can become. */
async function accountOf(
  user: string,
  { account: own, principals, findAccount }: OwnPolicyOptions,
): Promise<Account | undefined> {
  if (user === own.name) return own;
  const mapped = own.uid === 0 && principals.some((grant) => grant.user === user);
  return mapped ? await findAccount(user) : undefined;
}

/** The sentence that says the right name. */
function rightName(user: string, own: Account): string {
  try {
    accountFor(user, own);
  } catch (error) {
    if (error instanceof LoginError) return error.message;
    throw error;
  }
  return "";
}

/** What a line or a certificate leaves of the default. */
function sessionPolicy(restrictions: Restrictions): SessionPolicy {
  return {
    ...defaultSessionPolicy,
    permitTTY: restrictions.permitPty,
    allowAgentForwarding: restrictions.permitAgentForwarding,
    forceCommand: restrictions.forceCommand ?? null,
    keyEnv: restrictions.environment,
  };
}

function forwardRights(restrictions: Restrictions, allowDial: readonly DialRange[]): ForwardRights {
  if (!restrictions.permitPortForwarding) return { dialUnix: false, listenUnix: false };
  // A list of destinations is about TCP: a socket is none of them.
  const unix = restrictions.permitOpen === undefined && restrictions.permitListen === undefined;
  return {
    dial: {
      reach: { itself: true, beyond: allowDial },
      permits: (host, port) => permitsOpen(restrictions, host, port),
    },
    listen: { bind: "loopback", permits: (host, port) => permitsListen(restrictions, host, port) },
    dialUnix: unix,
    listenUnix: unix,
  };
}
