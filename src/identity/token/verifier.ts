/** Tells whose a token is: one verifier for all issuers that are trusted. */
import { compactVerify } from "jose";
import { printable } from "../../bytes/printable.ts";
import { IdentityError } from "../principal.ts";
import { checkClaims } from "./claims.ts";
import { type ParsedToken, parseToken } from "./compact.ts";
import { tokenIdentity } from "./identity.ts";
import { canonicalIssuer } from "./issuers.ts";
import { IssuerKeys, type KeySources } from "./key_sets.ts";
import { isAcceptableAlgorithm } from "./keys.ts";
import { type IssuerConfig, TokenError, type TokenVerifier, type VerifiedToken } from "./types.ts";

/** Where keys come from, and whose names are not the issuers'. */
export interface TokenSources extends KeySources {
  /** Trust domains of others than these issuers, normalised: of SSH and X.509 authorities, and the gateway's own. */
  readonly trustDomains?: readonly string[];
  /** Of the gateway's nodes, normalised: no token makes its bearer be called like one. E-mail addresses may be under them. */
  readonly domains?: readonly string[];
}

/**
 * A verifier of tokens of `issuers`. Nothing is fetched until a token, or who calls `getKeys`, asks for it; keys are kept
 * for the verifier's life.
 *
 * The order is: form, issuer (exactly), algorithm, key, signature, and only then what the claims say.
 */
export function tokenVerifier(issuers: readonly IssuerConfig[], sources: TokenSources): TokenVerifier {
  const known = new Map(
    issuers.map((issuer) => [issuer.issuer, { issuer, keys: new IssuerKeys(issuer, sources) }]),
  );
  const trustDomains = issuers.flatMap(({ trustDomain }) => trustDomain ?? []);
  const allTrustDomains = [...new Set([...trustDomains, ...(sources.trustDomains ?? [])])];

  async function verify(token: string, parsed: ParsedToken, now: number): Promise<VerifiedToken> {
    const { alg, kid, claims } = parsed;
    const trusted = typeof claims.iss === "string" ? known.get(canonicalIssuer(claims.iss)) : undefined;
    if (!trusted) throw unknownIssuer(claims.iss);
    const { issuer, keys } = trusted;
    if (!isAcceptableAlgorithm(alg)) {
      throw new TokenError("algorithm", `the token's algorithm '${printable(alg)}' is not accepted`);
    }
    await verifySignature(token, alg, kid, keys);
    const checked = checkClaims(claims, issuer, now);
    const tokenId = typeof claims.jti === "string" ? claims.jti : kid;
    const facts = { claims, ...checked, ...(tokenId !== undefined && { tokenId: printable(tokenId) }) };
    const identity = tokenIdentity(facts, issuer, allTrustDomains, sources.domains);
    // Where an address decides who gets in, it must be one that the issuer has verified.
    if ("email" in issuer.requiredClaims && identity.email === undefined) {
      throw new TokenError(
        "identity",
        "the claim 'email' is required, and the token does not say that it is verified",
      );
    }
    return { identity, ...(facts.tokenId !== undefined && { tokenId: facts.tokenId }) };
  }

  return {
    trustDomains,
    async getKeys() {
      await Promise.all([...known.values()].map(({ keys }) => keys.get()));
    },
    async verify(token, now) {
      const parsed = parseToken(token);
      try {
        return await verify(token, parsed, now);
      } catch (error) {
        throw about(parsed, error);
      }
    },
  };
}

/** @throws {TokenError} */
async function verifySignature(
  token: string,
  alg: string,
  kid: string | undefined,
  keys: IssuerKeys,
): Promise<void> {
  const candidates = await keys.candidates(alg, kid);
  for (const candidate of candidates) {
    try {
      await compactVerify(token, await candidate.forAlgorithm(alg), { algorithms: [alg] });
      return;
    } catch {
      // The next key, if the token does not say which one. Why it failed tells nothing: the parts are well-formed.
    }
  }
  throw new TokenError("signature", "the token's signature is not its issuer's");
}

function unknownIssuer(iss: unknown): TokenError {
  if (typeof iss !== "string" || iss === "") {
    return new TokenError("unknown-issuer", "the token names no issuer ('iss')");
  }
  return new TokenError("unknown-issuer", `the issuer '${printable(iss)}' is not trusted here`);
}

/** The same error with whose token it claims to be. */
function about({ claims }: ParsedToken, error: unknown): unknown {
  const claimed = {
    ...(typeof claims.iss === "string" && { issuer: printable(canonicalIssuer(claims.iss)) }),
    ...(typeof claims.sub === "string" && { subject: printable(claims.sub) }),
  };
  if (error instanceof TokenError) {
    return new TokenError(error.code, error.message, claimed, { cause: error.cause });
  }
  if (error instanceof IdentityError) {
    return new TokenError("identity", printable(error.message, 1024), claimed, { cause: error });
  }
  return error;
}
