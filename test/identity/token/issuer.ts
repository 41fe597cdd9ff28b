/** An issuer inside the test: keys, tokens by hand, and a fetch that knows nobody else. */
import { CompactSign, type CryptoKey, type JWK } from "jose";
import { tokenVerifier } from "../../../src/identity/token/mod.ts";
import type { IssuerConfig, TokenVerifier } from "../../../src/identity/token/types.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { newKey } from "../../support/oidc.ts";

export const ISSUER = "https://login.mycorp.com";
export const AUDIENCE = "ssh://gw.mycorp.com";

/** One key of each sort; made once, for RSA keys take their time. */
export const keys = {
  RS256: await newKey("RS256", "rsa"),
  ES256: await newKey("ES256", "ec"),
  EdDSA: await newKey("EdDSA", "ed"),
};

export function issuerConfig(changes: Partial<IssuerConfig> = {}): IssuerConfig {
  return {
    issuer: ISSUER,
    kind: "oidc",
    audiences: [AUDIENCE],
    requiredClaims: {},
    claims: {},
    keepKeys: 24 * 3_600_000,
    ...changes,
  };
}

/** Claims of a token that is accepted at `now` (milliseconds). */
export function goodClaims(now: number): Record<string, unknown> {
  const seconds = Math.floor(now / 1000);
  return {
    iss: ISSUER,
    sub: "ann-1",
    aud: AUDIENCE,
    iat: seconds,
    nbf: seconds,
    exp: seconds + 600,
    jti: "token-1",
    email: "ann@mycorp.com",
    email_verified: true,
  };
}

/** Signs whatever it is given. */
export function sign(
  claims: unknown,
  key: { readonly alg: string; readonly kid: string; readonly privateKey: CryptoKey } = keys.RS256,
  header: Record<string, unknown> = {},
): Promise<string> {
  const payload = new TextEncoder().encode(typeof claims === "string" ? claims : JSON.stringify(claims));
  return new CompactSign(payload)
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: "JWT", ...header })
    .sign(key.privateKey);
}

/** A web of documents by URL. A function answers as it likes; what is not there is 404. */
export class FakeWeb {
  readonly documents = new Map<string, unknown>();
  /** URLs asked for. */
  readonly asked: string[] = [];
  /** Set: nothing can be reached, because of it. */
  broken?: Error;

  readonly fetch = ((input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = String(input);
    this.asked.push(url);
    if (this.broken) return Promise.reject(this.broken);
    const found = this.documents.get(url);
    if (typeof found === "function") return Promise.resolve(found(init));
    if (found === undefined) return Promise.resolve(new Response("nothing here", { status: 404 }));
    return Promise.resolve(Response.json(found));
  }) as typeof globalThis.fetch;

  /** Puts an issuer there: its discovery document and keys. */
  serve(jwks: readonly JWK[], headers: Record<string, string> = {}, issuer = ISSUER): void {
    this.documents.set(`${issuer}/.well-known/openid-configuration`, { issuer, jwks_uri: `${issuer}/keys` });
    this.documents.set(`${issuer}/keys`, () => Response.json({ keys: jwks }, { headers }));
  }
}

/** A verifier with everything around it fake, of the gateway `gw.mycorp.com`. */
export function fakeSite(changes: Partial<IssuerConfig> = {}, trustDomains: readonly string[] = []): {
  readonly web: FakeWeb;
  readonly clock: FakeClock;
  readonly files: Map<string, string>;
  readonly outages: string[];
  readonly verifier: TokenVerifier;
} {
  const web = new FakeWeb();
  const clock = new FakeClock();
  const files = new Map<string, string>();
  const outages: string[] = [];
  web.serve(Object.values(keys).map(({ publicJwk }) => publicJwk));
  const verifier = tokenVerifier([issuerConfig(changes)], {
    fetch: web.fetch,
    readFile: (path) => {
      const text = files.get(path);
      return text === undefined ? Promise.reject(new Error(`no file ${path}`)) : Promise.resolve(text);
    },
    clock,
    trustDomains,
    domains: ["gw.mycorp.com"],
    onOutage: (message) => outages.push(message),
  });
  return { web, clock, files, outages, verifier };
}
