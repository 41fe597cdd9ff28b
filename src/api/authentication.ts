/** Who sends a request: by bearer token, else by client certificate, else nobody in particular. */
import type { CertificateAuthority, Revoked } from "../ca/types.ts";
import { anonymous, type Identity, IdentityError } from "../identity/principal.ts";
import { TokenError } from "../identity/token/types.ts";
import { fingerprintOf, formatFingerprint } from "../keys/fingerprint.ts";
import { formatAddress } from "../platform/net.ts";
import type { WebExchange } from "../platform/web.ts";
import { X509Error } from "../x509/error.ts";
import type { ApiOptions } from "./options.ts";
import { Problem } from "./problem.ts";

/**
 * The token of an `Authorization: Bearer` header (RFC 6750 §2.1); undefined where there is no such header.
 * @throws {Problem} `unauthenticated` for another scheme, or no token behind it
 */
export function bearerToken(request: Request): string | undefined {
  const header = request.headers.get("authorization");
  if (header === null) return undefined;
  const token = /^bearer +([\w.~+/-]+=*) *$/i.exec(header)?.[1];
  if (token === undefined) {
    throw new Problem("unauthenticated", "the Authorization header is not 'Bearer' and a token");
  }
  return token;
}

type Options = Pick<ApiOptions, "authority" | "tokens" | "joining" | "clientIdentity" | "audit" | "clock">;

/**
 * Proves who sends a request. A token that does not count refuses the request whatever certificate is beside it: the
 * client has said as whom it comes. What was revoked refuses too. One audit record for each credential.
 * @throws {Problem} `unauthenticated`; `unavailable` when it cannot be told whether the credential is revoked
 */
export async function authenticate(exchange: WebExchange, options: Options): Promise<Identity> {
  const remote = formatAddress(exchange.remote);
  const method = exchange.request.headers.has("authorization") ? "bearer" : "certificate";
  try {
    const identity = await proved(exchange, options);
    if (identity === undefined) return anonymous;
    await requireNotRevoked(identity, options.authority);
    options.audit.record("auth.accepted", { method }, { actor: identity, remote });
    return identity;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { reason, claimed } = error;
    options.audit.record("auth.refused", { method, reason, ...(claimed && { claimed }) }, { remote });
    throw new Problem("unauthenticated", error.message, {
      "www-authenticate": method === "bearer" ? 'Bearer error="invalid_token"' : "Bearer",
    });
  }
}

/** A credential that is refused. The message is for the peer, the reason for the record. */
class Refusal extends Error {
  constructor(message: string, readonly reason: string, readonly claimed?: string) {
    super(message);
  }
}

async function proved(exchange: WebExchange, options: Options): Promise<Identity | undefined> {
  const token = bearerToken(exchange.request);
  if (token !== undefined) return await byToken(token, options);
  const { clientCertificates = [] } = exchange;
  if (clientCertificates.length === 0) return undefined;
  try {
    return await options.clientIdentity(clientCertificates);
  } catch (error) {
    if (!(error instanceof IdentityError || error instanceof X509Error)) throw error;
    throw new Refusal(`the client certificate is not accepted: ${error.message}`, error.message);
  }
}

async function byToken(token: string, { tokens, joining, clock }: Options): Promise<Identity> {
  if (joining?.isJoinToken(token)) {
    throw new Refusal("a join token is for joining (POST /api/v1/join) and nothing else", "a join token");
  }
  if (!tokens) throw new Refusal("the token is not accepted", "no issuer of tokens is trusted");
  try {
    return (await tokens.verify(token, clock.now())).identity;
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    const { issuer, subject } = error.claimed;
    const claimed = [subject, issuer].filter((part) => part !== undefined).join(" of ");
    const told = error.code === "expired"
      ? "the token has expired; get a new one"
      : "the token is not accepted";
    throw new Refusal(told, `${error.code}: ${error.message}`, claimed || undefined);
  }
}

/** Identities, certificates by their serial numbers, and keys however they are used. */
async function requireNotRevoked(identity: Identity, authority: CertificateAuthority): Promise<void> {
  const revoked = await authority.revoked();
  const { serial, fingerprint } = identity.credential;
  const refuse = (what: string): never => {
    throw new Refusal("the credential has been revoked", `${what} is revoked`, identity.name);
  };
  if (revoked.isIdentityRevoked(identity)) refuse(`${identity.subject} of ${identity.issuer}`);
  if (identity.kind !== "x509") return;
  if (serial !== undefined && revoked.x509Serials.has(serial.toLowerCase())) refuse(`certificate ${serial}`);
  if (fingerprint !== undefined && (await keysOf(revoked)).has(fingerprint)) refuse(`the key ${fingerprint}`);
}

const revokedKeys = new WeakMap<Revoked, Promise<ReadonlySet<string>>>();

/** Fingerprints of the keys that are revoked, worked out once for each edition. */
function keysOf(revoked: Revoked): Promise<ReadonlySet<string>> {
  let keys = revokedKeys.get(revoked);
  if (!keys) revokedKeys.set(revoked, keys = fingerprints(revoked.krl));
  return keys;
}

async function fingerprints({ keys, sha256 }: Revoked["krl"]): Promise<ReadonlySet<string>> {
  return new Set([...await Promise.all(keys.map(fingerprintOf)), ...sha256.map(formatFingerprint)]);
}
