import assert from "node:assert/strict";
import fc from "fast-check";
import { CompactEncrypt, UnsecuredJWT } from "jose";
import { encodeBase64Url } from "../../../src/bytes/encoding.ts";
import { encodeText } from "../../../src/bytes/bytes.ts";
import { TokenError, type TokenErrorCode } from "../../../src/identity/token/mod.ts";
import { newKey } from "../../support/oidc.ts";
import { AUDIENCE, fakeSite, goodClaims, ISSUER, keys, sign } from "./issuer.ts";

const NOW = Date.parse("2026-08-01T12:00:00Z");
const seconds = NOW / 1000;
const good = () => goodClaims(NOW);
const stranger = await newKey("RS256", "rsa");
const base64 = (value: unknown) => encodeBase64Url(encodeText(JSON.stringify(value)));

/** HMAC over the issuer's public key as if it were a secret: the classic confusion of algorithms. */
async function hmacWithPublicKey(): Promise<string> {
  const head = `${base64({ alg: "HS256", kid: "rsa", typ: "JWT" })}.${base64(good())}`;
  const secret = encodeText(JSON.stringify(keys.RS256.publicJwk));
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encodeText(head)));
  return `${head}.${encodeBase64Url(mac)}`;
}

async function encrypted(): Promise<string> {
  const { publicKey } = await crypto.subtle.generateKey(
    { name: "RSA-OAEP", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
    true,
    ["encrypt", "decrypt"],
  );
  return new CompactEncrypt(encodeText(JSON.stringify(good())))
    .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM" }).encrypt(publicKey);
}

/** The good token with one of its three parts changed. */
async function withPart(index: number, change: (part: string) => string): Promise<string> {
  const parts = (await sign(good())).split(".");
  parts[index] = change(parts[index]);
  return parts.join(".");
}

const without = (claim: string) => {
  const { [claim]: _, ...rest } = good();
  return rest;
};

/** Each is the good token but for one thing. */
const bad: readonly [what: string, code: TokenErrorCode, token: () => string | Promise<string>][] = [
  ["nothing at all", "malformed", () => ""],
  ["no token", "malformed", () => "correct horse battery staple"],
  ["two parts", "malformed", async () => (await sign(good())).replace(/\.[^.]*$/, "")],
  ["four parts", "malformed", async () => `${await sign(good())}.AAAA`],
  ["no signature", "malformed", () => withPart(2, () => "")],
  ["white space after it", "malformed", async () => `${await sign(good())}\n`],
  ["padding", "malformed", () => withPart(2, (part) => `${part}==`)],
  ["bits left over in the signature", "malformed", () => withPart(2, (part) => part.slice(0, -1) + "B")],
  ["a payload that is no JSON", "malformed", () => sign("claims")],
  ["a payload that is a list", "malformed", () => sign([good()])],
  ["a payload that is null", "malformed", () => sign("null")],
  ["a header that is no JSON", "malformed", () => withPart(0, () => "AAAA")],
  ["a size beyond every limit", "malformed", () => sign({ ...good(), padding: "x".repeat(16 * 1024) })],
  ["encryption", "malformed", encrypted],
  ["a token inside", "malformed", () => sign(good(), keys.RS256, { cty: "JWT" })],
  ["a critical header field", "malformed", () => sign(good(), keys.RS256, { crit: ["b64"], b64: true })],
  ["the type of a logout token", "malformed", () => sign(good(), keys.RS256, { typ: "logout+jwt" })],
  ["the type of a proof of possession", "malformed", () => sign(good(), keys.RS256, { typ: "dpop+jwt" })],
  ["a security event", "malformed", () => sign({ ...good(), events: {} })],
  ["a binding to a key", "malformed", () => sign({ ...good(), cnf: { jkt: "x" } })],
  ["exp as text", "malformed", () => sign({ ...good(), exp: String(seconds + 600) })],

  ["no issuer", "unknown-issuer", () => sign(without("iss"))],
  ["another issuer", "unknown-issuer", () => sign({ ...good(), iss: "https://login.evil.com" })],
  ["the issuer with a slash", "unknown-issuer", () => sign({ ...good(), iss: `${ISSUER}/` })],
  ["the issuer as a prefix", "unknown-issuer", () => sign({ ...good(), iss: `${ISSUER}.evil.com` })],
  ["the issuer without scheme", "unknown-issuer", () => sign({ ...good(), iss: "login.mycorp.com" })],
  ["the issuer in upper case", "unknown-issuer", () => sign({ ...good(), iss: ISSUER.toUpperCase() })],
  ["the issuer in a list", "unknown-issuer", () => sign({ ...good(), iss: [ISSUER] })],
  [
    "the name of a property of objects as issuer",
    "unknown-issuer",
    () => sign({ ...good(), iss: "constructor" }),
  ],

  ["no signature and alg none", "malformed", () => new UnsecuredJWT(good()).encode()],
  [
    "alg none over a signature",
    "algorithm",
    () => withPart(0, () => base64({ alg: "none", kid: "rsa", typ: "JWT" })),
  ],
  ["a MAC with the public key", "algorithm", hmacWithPublicKey],
  [
    "the algorithm of another key",
    "algorithm",
    () => withPart(0, () => base64({ alg: "ES256", kid: "rsa" })),
  ],
  [
    "an algorithm that the key is not for",
    "algorithm",
    () => withPart(0, () => base64({ alg: "PS256", kid: "rsa" })),
  ],
  ["an algorithm nobody knows", "algorithm", () => withPart(0, () => base64({ alg: "XX999", kid: "rsa" }))],

  [
    "a key that the issuer does not have",
    "unknown-key",
    async () => sign(good(), await newKey("RS256", "new")),
  ],
  ["a key of its own in the header", "unknown-key", async () => {
    const own = await newKey("ES256", "own");
    return sign(good(), own, { jwk: own.publicJwk, jku: "https://evil.com/keys" });
  }],

  ["a signature by a stranger's key of the same name", "signature", () => sign(good(), stranger)],
  [
    "other claims under the signature",
    "signature",
    () => withPart(1, () => base64({ ...good(), sub: "bob-2" })),
  ],
  ["a signature of zeros", "signature", () => withPart(2, (part) => "A".repeat(part.length))],

  ["no audience", "audience", () => sign(without("aud"))],
  ["another audience", "audience", () => sign({ ...good(), aud: "ssh://other.mycorp.com" })],
  ["an audience that begins with ours", "audience", () => sign({ ...good(), aud: `${AUDIENCE}.evil.com` })],
  ["an audience that ours begins with", "audience", () => sign({ ...good(), aud: "ssh://gw" })],
  ["our audience with a slash", "audience", () => sign({ ...good(), aud: `${AUDIENCE}/` })],
  ["our audience in upper case", "audience", () => sign({ ...good(), aud: AUDIENCE.toUpperCase() })],
  ["a list of other audiences", "audience", () => sign({ ...good(), aud: ["a", "b"] })],
  ["an empty list of audiences", "audience", () => sign({ ...good(), aud: [] })],
  ["an audience inside an object", "audience", () => sign({ ...good(), aud: { [AUDIENCE]: true } })],

  ["an end 60 s ago", "expired", () => sign({ ...good(), exp: seconds - 60 })],
  ["an end long ago", "expired", () => sign({ ...good(), exp: 1 })],
  ["no end", "claim", () => sign(without("exp"))],
  ["a beginning 61 s ahead", "not-yet-valid", () => sign({ ...good(), nbf: seconds + 61 })],
  ["issued 61 s ahead", "not-yet-valid", () => sign({ ...good(), iat: seconds + 61 })],

  ["no subject", "claim", () => sign(without("sub"))],
  ["an empty subject", "claim", () => sign({ ...good(), sub: "" })],
  ["a number as subject", "claim", () => sign({ ...good(), sub: 7 })],
  ["a subject that rewrites the terminal", "identity", () => sign({ ...good(), sub: "ann\x1b[2J" })],
  ["an address with a comma", "identity", () => sign({ ...good(), email: "deploy,root@mycorp.com" })],
  ["an address with a wildcard", "identity", () => sign({ ...good(), email: "*@mycorp.com" })],
  ["an address with a space", "identity", () => sign({ ...good(), email: "a b@mycorp.com" })],
  [
    "an address under a trust domain",
    "identity",
    () => sign({ ...good(), email: "web@shop.prod.mycorp.com" }),
  ],
  ["an address at a trust domain", "identity", () => sign({ ...good(), email: "ann@PROD.mycorp.com" })],
  [
    "no verified address and another's as subject",
    "identity",
    () => sign({ ...good(), email_verified: false, sub: "bob@mycorp.com" }),
  ],
  ["a group's name as subject", "identity", () => sign({ ...without("email"), sub: "group:sre" })],
  [
    "a workload's name as subject",
    "identity",
    () => sign({ ...without("email"), sub: "web.shop.svc.prod.mycorp.com" }),
  ],
  ["a node's name as subject", "identity", () => sign({ ...without("email"), sub: "web.gw.mycorp.com" })],
  ["a key's fingerprint as subject", "identity", () => sign({ ...without("email"), sub: "SHA256:abc" })],
];

for (const [what, code, token] of bad) {
  Deno.test(`a token with ${what} is refused: ${code}`, async () => {
    const { verifier } = fakeSite({}, ["prod.mycorp.com"]);
    const text = await token();
    const error = await verifier.verify(text, NOW).then(
      () => assert.fail("it was accepted"),
      (error) => error as TokenError,
    );
    assert.ok(error instanceof TokenError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.length > 10);
    assertSilent(error, text);
  });
}

/** Neither the error nor what caused it quotes the token, its signature or its payload. */
function assertSilent(error: Error, token: string): void {
  const [, payload = "", signature = ""] = token.split(".");
  const said = [error, error.cause as Error | undefined]
    .map((one) => one && `${one.message} ${one.stack} ${JSON.stringify(one)}`).join(" ");
  for (const secret of [token, payload, signature]) {
    if (secret.length > 16) assert.ok(!said.includes(secret.slice(0, 64)), said);
  }
}

Deno.test("good tokens are accepted with every sort of key, and say who it is", async () => {
  const { verifier } = fakeSite();
  for (const key of Object.values(keys)) {
    const { identity, tokenId } = await verifier.verify(await sign(good(), key), NOW);
    assert.deepEqual(identity, {
      kind: "jwt",
      issuer: ISSUER,
      subject: "ann-1",
      name: "ann@mycorp.com",
      email: "ann@mycorp.com",
      groups: [],
      claims: { sub: "ann-1", email: "ann@mycorp.com", email_verified: true },
      owner: false,
      expiresAt: NOW + 600_000,
      restrictions: {},
      credential: { keyId: "token-1" },
    });
    assert.equal(tokenId, "token-1");
  }
});

Deno.test("an audience among several, an access token's type and clocks a minute apart are accepted", async () => {
  const { verifier } = fakeSite();
  const tokens = [
    sign({ ...good(), aud: ["other", AUDIENCE] }),
    sign(good(), keys.RS256, { typ: "at+jwt" }),
    sign(good(), keys.RS256, { typ: "application/JWT" }),
    sign(good(), keys.RS256, { typ: undefined }),
    sign({ ...good(), exp: seconds - 59 }),
    sign({ ...good(), nbf: seconds + 60, iat: seconds + 60 }),
    sign(without("nbf")),
    sign(without("iat")),
  ];
  for (const token of tokens) {
    assert.equal((await verifier.verify(await token, NOW)).identity.subject, "ann-1");
  }
});

Deno.test("a token that names no key is tried with those that fit its algorithm", async () => {
  const { web, verifier } = fakeSite();
  const other = await newKey("RS256");
  web.serve([other.publicJwk, keys.RS256.publicJwk, keys.ES256.publicJwk]);
  assert.equal(
    (await verifier.verify(await sign(without("jti"), keys.RS256, { kid: undefined }), NOW)).tokenId,
    undefined,
  );
  await assert.rejects(
    verifier.verify(await sign(good(), await newKey("RS256"), { kid: undefined }), NOW),
    { code: "signature" },
  );
  await assert.rejects(verifier.verify(await sign(good(), keys.EdDSA, { kid: undefined }), NOW), {
    code: "unknown-key",
  });
});

Deno.test("required claims must be there, with one of their values; lists must contain one", async () => {
  const required = { "realm_access.roles": ["ssh"], repository_owner: ["mycorp", "myotherco"], level: ["3"] };
  const { verifier } = fakeSite({ requiredClaims: required });
  const all = { realm_access: { roles: ["web", "ssh"] }, repository_owner: "myotherco", level: 3 };
  await verifier.verify(await sign({ ...good(), ...all }), NOW);
  const wrong = [
    { ...all, realm_access: { roles: ["sshd"] } },
    { ...all, realm_access: {} },
    { ...all, realm_access: "ssh" },
    { ...all, repository_owner: "mycorp-evil" },
    { ...all, repository_owner: "MYCORP" },
    { ...all, repository_owner: { mycorp: true } },
    { ...all, level: 30 },
    {},
  ];
  for (const claims of wrong) {
    await assert.rejects(verifier.verify(await sign({ ...good(), ...claims }), NOW), { code: "claim" });
  }
});

Deno.test("a required e-mail address must be verified, and may be any of a domain", async () => {
  const { verifier } = fakeSite({ requiredClaims: { email: ["*@mycorp.com", "bob@friend.example"] } });
  for (const email of ["ann@mycorp.com", "bob@friend.example"]) {
    assert.equal((await verifier.verify(await sign({ ...good(), email }), NOW)).identity.email, email);
  }
  for (
    const email of [
      "ann@evil.com",
      "ann@sub.mycorp.com",
      "ann@mycorp.com@evil.com",
      "@mycorp.com",
      "eve@friend.example",
    ]
  ) {
    await assert.rejects(verifier.verify(await sign({ ...good(), email }), NOW), { code: "claim" });
  }
  await assert.rejects(verifier.verify(await sign({ ...good(), email_verified: false }), NOW), {
    code: "identity",
  });
  await assert.rejects(verifier.verify(await sign(without("email_verified")), NOW), { code: "identity" });
});

Deno.test("whose token it claims to be is told to the record, printable", async () => {
  const { verifier } = fakeSite();
  const token = await sign({ ...good(), iss: "https://evil.com/\x1b[2J", sub: "a\nb" });
  const error = await verifier.verify(token, NOW).then(() => assert.fail(), (error) => error as TokenError);
  assert.deepEqual(error.claimed, { issuer: "https://evil.com/\\u{1b}[2J", subject: "a\\u{a}b" });
  assert.ok(!error.message.includes("\x1b"));
});

Deno.test("no single character of a token can be changed, left out or added", async () => {
  const { verifier } = fakeSite();
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"];
  for (const key of Object.values(keys)) {
    const token = await sign(good(), key);
    const change = fc.record({
      at: fc.nat(token.length - 1),
      letter: fc.constantFrom(...letters),
      how: fc.constantFrom("change", "remove", "insert"),
    });
    await fc.assert(
      fc.asyncProperty(change, async ({ at, letter, how }) => {
        fc.pre(how !== "change" || token[at] !== letter);
        const rest = token.slice(how === "insert" ? at : at + 1);
        const changed = token.slice(0, at) + (how === "remove" ? "" : letter) + rest;
        await assert.rejects(verifier.verify(changed, NOW), TokenError);
      }),
      { numRuns: 150 },
    );
    // The last characters hold bits that decoders drop.
    for (const letter of letters) {
      if (letter === token.at(-1)) continue;
      await assert.rejects(verifier.verify(token.slice(0, -1) + letter, NOW), TokenError);
    }
  }
});
