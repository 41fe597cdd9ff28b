/**
 * Tokens verified per second with cached keys: form, signature, claims, identity. `jose` is the signature alone.
 *
 *     deno run -A test/bench/tokens.ts
 */
import { compactVerify, type CryptoKey, importJWK, SignJWT } from "jose";
import { prepareIssuers, tokenVerifier } from "../../src/identity/token/mod.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { newKey } from "../support/oidc.ts";

/** Milliseconds for each figure. */
const TIME = 1000;
/** Logins that wait for each other's signatures: the platform verifies on threads of its own. */
const AT_ONCE = 16;

const ISSUER = "https://login.mycorp.com";
const AUDIENCE = "ssh://localhost";

/** What is verified a second, `concurrent` at a time. */
async function rate(verify: () => Promise<unknown>, concurrent: number): Promise<number> {
  let count = 0;
  const run = async (until: number) => {
    while (performance.now() < until) {
      await verify();
      count++;
    }
  };
  const all = (time: number) => {
    const until = performance.now() + time;
    return Promise.all(Array.from({ length: concurrent }, () => run(until)));
  };
  await all(TIME / 4); // until the compiler has settled
  count = 0;
  const start = performance.now();
  await all(TIME);
  return count / (performance.now() - start) * 1000;
}

/** Figures for one algorithm, verifications per second. */
export async function benchTokens(alg: string): Promise<Readonly<Record<string, number>>> {
  const key = await newKey(alg);
  const verifier = tokenVerifier(
    prepareIssuers([{ issuer: ISSUER, jwks: "keys.json" }], { audiences: [AUDIENCE] }),
    {
      fetch: () => Promise.reject(new Error("nothing is fetched")),
      readFile: () => Promise.resolve(JSON.stringify({ keys: [key.publicJwk] })),
      clock: systemClock,
    },
  );
  const token = await new SignJWT({ email: "ann@mycorp.com", email_verified: true, groups: ["sre", "web"] })
    .setProtectedHeader({ alg, kid: key.kid })
    .setIssuer(ISSUER).setSubject("ann-1").setAudience(AUDIENCE)
    .setIssuedAt().setExpirationTime("1h").sign(key.privateKey);
  const ours = () => verifier.verify(token, Date.now());
  const imported = await importJWK(key.publicJwk, alg) as CryptoKey;
  return {
    "one at a time": await rate(ours, 1),
    [`${AT_ONCE} at once`]: await rate(ours, AT_ONCE),
    "jose, one at a time": await rate(() => compactVerify(token, imported), 1),
  };
}

if (import.meta.main) {
  const rows = [];
  for (const alg of ["RS256", "ES256", "EdDSA"]) rows.push([alg, await benchTokens(alg)] as const);
  const columns = Object.keys(rows[0][1]);
  const width = Math.max(...columns.map((column) => column.length)) + 2;
  console.log(["tokens/s".padEnd(10), ...columns.map((column) => column.padStart(width))].join(""));
  for (const [alg, figures] of rows) {
    console.log([
      alg.padEnd(10),
      ...columns.map((column) => figures[column].toFixed(0).padStart(width)),
    ].join(""));
  }
}
