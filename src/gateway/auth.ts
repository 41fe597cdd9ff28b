/** Answers authentication for one connection: keys, certificates, tokens. */
import type { Clock } from "../platform/clock.ts";
import { formatAddress, type TcpAddress } from "../platform/net.ts";
import { printable } from "../bytes/printable.ts";
import type { Attempt, PublicKeyRequest, ServerAuth, Verdict } from "../ssh/auth/server/types.ts";
import { Method } from "../ssh/auth/types.ts";
import type { Audit } from "../telemetry/audit.ts";
import type { MeshMetrics } from "../telemetry/metrics.ts";
import { judgeLogin, type Login } from "./login.ts";
import { askForToken, judgeToken, takesTokens, type TokenRefusal } from "./token_login.ts";
import type { Trust } from "./trust.ts";

export interface AuthContext {
  /** Of clients' keys; undefined: all. */
  readonly algorithms?: readonly string[];
  /** As it is now. */
  readonly trust: () => Trust;
  readonly clock: Clock;
  readonly remote: TcpAddress;
  readonly audit: Audit;
  readonly metrics: MeshMetrics;
  /** A credential was not accepted. */
  readonly onRefused: () => void;
}

/**
 * Keys, plain or certified, and, where there is anybody whose tokens count, tokens. The user name means nothing here: who
 * somebody is, the credential says.
 */
export function serverAuth(context: AuthContext): ServerAuth<Login> {
  const { algorithms, trust } = context;
  return {
    algorithms,
    // Clients without a key must not be asked for a password that nobody can have.
    methods: async () =>
      await takesTokens(trust())
        ? [Method.publicKey, Method.keyboardInteractive, Method.password]
        : [Method.publicKey],
    publicKey: (request) => judgeKey(request, context),
    password: ({ password }) => judgeAnswer(password, context),
    keyboardInteractive: async ({ prompt }) => judgeAnswer(await askForToken(prompt), context),
    onAttempt: (attempt) => void note(attempt, context),
  };
}

async function judgeKey(
  { key, certificate }: PublicKeyRequest,
  { trust, clock, remote }: AuthContext,
): Promise<Verdict<Login>> {
  const proof = certificate
    ? { kind: "certificate", key, certificate } as const
    : { kind: "key", key } as const;
  const login = await judgeLogin(trust(), proof, { now: clock.now(), address: remote.hostname });
  if ("refused" in login) return { result: "refused", reason: login.refused };
  const { noTouchRequired, verifyRequired } = login.restrictions;
  return {
    result: "accepted",
    identity: login,
    fido: { touch: !noTouchRequired, verification: verifyRequired },
  };
}

async function judgeAnswer(
  token: string | TokenRefusal,
  { trust, clock, remote }: AuthContext,
): Promise<Verdict<Login>> {
  const context = { now: clock.now(), address: remote.hostname };
  const login = typeof token === "string" ? await judgeToken(trust(), token, context) : token;
  if (!("refused" in login)) return { result: "accepted", identity: login };
  const { refused, sentence } = login;
  return { result: "refused", reason: refused, message: `${sentence}\n`, cause: new RefusedToken(login) };
}

/** What a judgement tells the record. */
class RefusedToken {
  constructor(readonly refusal: TokenRefusal) {}
}

async function note(attempt: Attempt, { audit, metrics, remote, onRefused }: AuthContext): Promise<void> {
  const { result, method, reason, key, user, cause } = attempt;
  // Everybody begins with `none`, to learn the methods; questions about keys decide nothing.
  if (method === Method.none || result === "known" || result === "abandoned") return;
  const token = cause instanceof RefusedToken ? cause.refusal : undefined;
  // Whose issuer is away comes back, and is not to be held off then.
  if (result === "refused" && !token?.outage) onRefused();
  metrics.authentications.add(1, { method, outcome: result });
  // Who came in is recorded with the connection, once there is one.
  if (result === "accepted") return;
  const claimed = key
    ? await key.fingerprint()
    : token?.claimed !== undefined
    ? printable(token.claimed)
    : user;
  audit.record("auth.refused", { method, reason: reason ?? result, claimed }, {
    remote: formatAddress(remote),
  });
}
