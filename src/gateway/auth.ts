/** Answers authentication for one connection, from the keyring. */
import type { Clock } from "../platform/clock.ts";
import { formatAddress, type TcpAddress } from "../platform/net.ts";
import type { Attempt, PublicKeyRequest, ServerAuth, Verdict } from "../ssh/auth/server/types.ts";
import type { Audit } from "../telemetry/audit.ts";
import type { MeshMetrics } from "../telemetry/metrics.ts";
import type { Keyring } from "./keyring.ts";
import { judgeLogin, type Login } from "./login.ts";

export interface AuthContext {
  /** Of public keys; undefined: all. */
  readonly algorithms: readonly string[] | undefined;
  /** The keyring as it is now. */
  readonly keyring: () => Keyring;
  readonly clock: Clock;
  readonly remote: TcpAddress;
  readonly audit: Audit;
  readonly metrics: MeshMetrics;
  /** A credential was not accepted. */
  readonly onRefused: () => void;
}

/** Public keys alone, plain or certified. The user name means nothing here: who somebody is, the credential says. */
export function serverAuth(context: AuthContext): ServerAuth<Login> {
  return {
    algorithms: context.algorithms,
    publicKey: (request) => judge(request, context),
    onAttempt: (attempt) => void note(attempt, context),
  };
}

async function judge(
  { key, certificate }: PublicKeyRequest,
  { keyring, clock, remote }: AuthContext,
): Promise<Verdict<Login>> {
  const login = await judgeLogin(keyring(), { key, certificate }, {
    now: clock.now(),
    address: remote.hostname,
  });
  if ("refused" in login) return { result: "refused", reason: login.refused };
  const { noTouchRequired, verifyRequired } = login.restrictions;
  return {
    result: "accepted",
    identity: login,
    fido: { touch: !noTouchRequired, verification: verifyRequired },
  };
}

async function note(attempt: Attempt, { audit, metrics, remote, onRefused }: AuthContext): Promise<void> {
  const { result, method, reason, key, user } = attempt;
  // Everybody begins with `none`, to learn the methods; questions about keys decide nothing.
  if (method === "none" || result === "known" || result === "abandoned") return;
  if (result === "refused") onRefused();
  metrics.authentications.add(1, { method, outcome: result });
  // Who came in is recorded with the connection, once there is one.
  if (result === "accepted") return;
  const claimed = key ? await key.fingerprint() : user;
  audit.record("auth.refused", { method, reason: reason ?? result, claimed }, {
    remote: formatAddress(remote),
  });
}
