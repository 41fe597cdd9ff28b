import assert from "node:assert/strict";
import { exportJWK, generateKeyPair } from "jose";
import { encodeBase64Url } from "../../../src/bytes/encoding.ts";
import { randomBytes } from "../../../src/bytes/bytes.ts";
import { FETCH_TIMEOUT, MAX_DOCUMENT_SIZE } from "../../../src/identity/token/documents.ts";
import { FILE_FRESHNESS, IssuerKeys } from "../../../src/identity/token/key_sets.ts";
import { MAX_KEYS, readKeySet } from "../../../src/identity/token/keys.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { newKey } from "../../support/oidc.ts";
import { fakeSite, goodClaims, ISSUER, issuerConfig, keys, sign } from "./issuer.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DISCOVERY = `${ISSUER}/.well-known/openid-configuration`;
const KEYS = `${ISSUER}/keys`;
const second = await newKey("ES256", "second");

type Site = ReturnType<typeof fakeSite>;

/** Verifies a token that is good now, by `key`. */
async function verify({ clock, verifier }: Site, key: Parameters<typeof sign>[1] = keys.ES256) {
  return await verifier.verify(await sign(goodClaims(clock.now()), key), clock.now());
}

const fetches = ({ web }: Site) => web.asked.filter((url) => url !== DISCOVERY).length;

Deno.test("nothing is fetched before the first token; then discovery and keys, once for all who ask", async () => {
  const site = fakeSite();
  assert.deepEqual(site.web.asked, []);
  await Promise.all(Array.from({ length: 20 }, () => verify(site)));
  assert.deepEqual(site.web.asked, [DISCOVERY, KEYS]);
});

Deno.test("tokens of unknown issuers and of algorithms that nobody accepts fetch nothing", async () => {
  const site = fakeSite();
  const now = site.clock.now();
  await assert.rejects(
    site.verifier.verify(await sign({ ...goodClaims(now), iss: "https://evil.com" }), now),
  );
  const none = `${encodeBase64Url(new TextEncoder().encode('{"alg":"none"}'))}.${
    (await sign(goodClaims(now))).split(".").slice(1).join(".")
  }`;
  await assert.rejects(site.verifier.verify(none, now), { code: "algorithm" });
  assert.deepEqual(site.web.asked, []);
});

const freshness: readonly [header: string | undefined, milliseconds: number][] = [
  [undefined, HOUR],
  ["public, max-age=1800, must-revalidate", 30 * MINUTE],
  ["s-maxage=7200, max-age=600", 10 * MINUTE],
  ["max-age=1", 5 * MINUTE],
  ["no-store", 5 * MINUTE],
  ["no-cache, max-age=7200", 5 * MINUTE],
  ["max-age=99999999", 24 * HOUR],
  ["max-age=soon", HOUR],
];

for (const [header, fresh] of freshness) {
  Deno.test(`keys with Cache-Control '${header ?? ""}' are fresh for ${fresh / MINUTE} minutes`, async () => {
    const site = fakeSite();
    site.web.serve([keys.ES256.publicJwk], header === undefined ? {} : { "cache-control": header });
    await verify(site);
    await site.clock.advance(fresh - 1);
    await verify(site);
    assert.equal(fetches(site), 1);
    await site.clock.advance(1);
    await verify(site);
    assert.equal(fetches(site), 2);
  });
}

Deno.test("an unknown key asks the issuer again, at most every 30 s, and once for all who have it", async () => {
  const site = fakeSite();
  site.web.serve([keys.ES256.publicJwk]);
  await verify(site);
  site.web.serve([second.publicJwk]);
  await Promise.all(Array.from({ length: 10 }, () => verify(site, second)));
  assert.equal(fetches(site), 2);
  await assert.rejects(verify(site), { code: "unknown-key" }, "a key that was taken away counts no more");

  for (let i = 0; i < 100; i++) {
    await assert.rejects(verify(site, { ...second, kid: `made up ${i}` }), { code: "unknown-key" });
  }
  assert.equal(fetches(site), 2);
  await site.clock.advance(29_999);
  await assert.rejects(verify(site, { ...second, kid: "made up" }), { code: "unknown-key" });
  assert.equal(fetches(site), 2);
  await site.clock.advance(1);
  await assert.rejects(verify(site, { ...second, kid: "made up" }), { code: "unknown-key" });
  assert.equal(fetches(site), 3);
});

Deno.test("a first token with an unknown key fetches once", async () => {
  const site = fakeSite();
  await assert.rejects(verify(site, { ...second, kid: "made up" }), { code: "unknown-key" });
  assert.equal(fetches(site), 1);
});

Deno.test("keys are kept through an outage up to the stated age, and the issuer is asked every 30 s", async () => {
  const site = fakeSite({ keepKeys: 6 * HOUR });
  await verify(site);
  site.web.broken = new Error("connection refused");
  await site.clock.advance(HOUR);
  for (let i = 0; i < 10; i++) await verify(site);
  assert.equal(site.outages.length, 1);
  assert.match(site.outages[0], /keys of https:\/\/login\.mycorp\.com cannot be had: .*connection refused/);
  await site.clock.advance(30_000);
  await verify(site);
  assert.equal(site.outages.length, 2);
  await site.clock.advance(5 * HOUR - 30_000);
  await verify(site);
  await site.clock.advance(1);
  await assert.rejects(verify(site), { code: "keys-unavailable" });
  site.web.broken = undefined;
  await site.clock.advance(30_000);
  await verify(site);
});

Deno.test("an issuer out of reach from the start is asked every 5 s, not for each token", async () => {
  const site = fakeSite();
  site.web.broken = new Error("no route to host");
  for (let i = 0; i < 10; i++) await assert.rejects(verify(site), { code: "keys-unavailable" });
  assert.equal(site.web.asked.length, 1);
  await site.clock.advance(5000);
  site.web.broken = undefined;
  await verify(site);
});

Deno.test("an issuer that does not answer is given up after 10 s, and no timer stays", async () => {
  const site = fakeSite();
  const silent = () => new Promise<Response>(() => {});
  const stuck = () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) }));
  for (const answer of [silent, stuck]) {
    site.web.documents.set(DISCOVERY, answer);
    let refused = false;
    const waiting = assert.rejects(verify(site), /did not answer within 10 s/).then(() => refused = true);
    for (let turns = 0; site.clock.pending === 0 && turns < 100; turns++) await settle();
    await site.clock.advance(FETCH_TIMEOUT - 1);
    assert.equal(refused, false);
    await site.clock.advance(1);
    await waiting;
    assert.equal(site.clock.pending, 0);
    await site.clock.advance(5000);
  }
  site.web.serve([keys.ES256.publicJwk]);
  await verify(site);
  assert.equal(site.clock.pending, 0);
});

const redirect = (to: string) => () => new Response(null, { status: 302, headers: { location: to } });
const endless = () =>
  new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65536)) }));

const badWebs: readonly [what: string, prepare: (site: Site) => void, message: RegExp][] = [
  ["gives no discovery document", ({ web }) => web.documents.delete(DISCOVERY), /status 404/],
  [
    "says it is another issuer",
    ({ web }) => web.documents.set(DISCOVERY, { issuer: `${ISSUER}/`, jwks_uri: KEYS }),
    /is of the issuer 'https:\/\/login\.mycorp\.com\/'/,
  ],
  [
    "says nothing about its keys",
    ({ web }) => web.documents.set(DISCOVERY, { issuer: ISSUER }),
    /no 'jwks_uri'/,
  ],
  [
    "has keys over plain HTTP",
    ({ web }) => web.documents.set(DISCOVERY, { issuer: ISSUER, jwks_uri: "http://login.mycorp.com/keys" }),
    /not https/,
  ],
  [
    "points at a file",
    ({ web }) => web.documents.set(DISCOVERY, { issuer: ISSUER, jwks_uri: "file:///etc/passwd" }),
    /not https/,
  ],
  [
    "points at this machine",
    ({ web }) => web.documents.set(DISCOVERY, { issuer: ISSUER, jwks_uri: "http://127.0.0.1:15020/" }),
    /loopback/,
  ],
  [
    "redirects elsewhere",
    ({ web }) => web.documents.set(KEYS, redirect("https://evil.com/keys")),
    /another origin/,
  ],
  [
    "redirects to plain HTTP",
    ({ web }) => web.documents.set(KEYS, redirect("http://login.mycorp.com/k")),
    /another origin/,
  ],
  ["redirects in a circle", ({ web }) => web.documents.set(KEYS, redirect("/keys")), /more than 3 times/],
  ["gives no JSON", ({ web }) => web.documents.set(KEYS, () => new Response("<html>")), /no JSON/],
  ["gives no list of keys", ({ web }) => web.documents.set(KEYS, { keys: "none" }), /no JWK Set/],
  ["gives null", ({ web }) => web.documents.set(KEYS, () => Response.json(null)), /no JWK Set/],
  ["gives a body without end", ({ web }) => web.documents.set(KEYS, endless), /more than 524288 bytes/],
  ["has too many keys", ({ web }) => {
    web.serve(Array.from({ length: MAX_KEYS + 1 }, () => keys.ES256.publicJwk));
  }, /more than 100 keys/],
  ["has no usable key", ({ web }) => web.serve([{ kty: "oct", k: "c2VjcmV0", kid: "ec" }]), /no usable key/],
  [
    "fails",
    ({ web }) => web.documents.set(KEYS, () => new Response("out of order", { status: 503 })),
    /status 503/,
  ],
];

for (const [what, prepare, message] of badWebs) {
  Deno.test(`an issuer that ${what} has no keys for us, and keys had before are kept`, async () => {
    const site = fakeSite();
    prepare(site);
    await assert.rejects(verify(site), (error: Error) => {
      assert.match(error.message, message);
      assert.equal((error as { code?: string }).code, "keys-unavailable");
      return true;
    });
    const lucky = fakeSite();
    await verify(lucky);
    prepare(lucky);
    await lucky.clock.advance(HOUR);
    await verify(lucky);
    assert.match(lucky.outages[0], message);
  });
}

Deno.test("redirects within the origin are followed, with or without discovery", async () => {
  const site = fakeSite({ jwks: KEYS });
  site.web.documents.set(KEYS, redirect("/v2/keys"));
  site.web.documents.set(`${ISSUER}/v2/keys`, { keys: [keys.ES256.publicJwk] });
  await verify(site);
  assert.deepEqual(site.web.asked, [KEYS, `${ISSUER}/v2/keys`]);
});

Deno.test("a document of the largest size is read, one byte more is not", async () => {
  const site = fakeSite();
  const text = JSON.stringify({ keys: [keys.ES256.publicJwk] });
  const sized = (size: number) => () => new Response(text + " ".repeat(size - text.length));
  site.web.documents.set(KEYS, sized(MAX_DOCUMENT_SIZE));
  await verify(site);
  const other = fakeSite();
  other.web.documents.set(KEYS, sized(MAX_DOCUMENT_SIZE + 1));
  await assert.rejects(verify(other), { code: "keys-unavailable" });
});

Deno.test("keys from a file need no network; a changed file is read anew, a broken one keeps the old keys", async () => {
  const site = fakeSite({ jwks: "/etc/keys.json" });
  await assert.rejects(verify(site), { code: "keys-unavailable" });
  await site.clock.advance(5000);
  site.files.set("/etc/keys.json", JSON.stringify({ keys: [keys.ES256.publicJwk] }));
  await verify(site);

  site.files.set("/etc/keys.json", JSON.stringify({ keys: [second.publicJwk] }));
  await verify(site, second);
  await assert.rejects(verify(site), { code: "unknown-key" });

  site.files.set("/etc/keys.json", '{"keys": [');
  await site.clock.advance(5000);
  await verify(site, second);
  assert.match(site.outages.at(-1)!, /\/etc\/keys\.json is not JSON/);
  site.files.delete("/etc/keys.json");
  await site.clock.advance(24 * HOUR + 1);
  await assert.rejects(verify(site, second), { code: "keys-unavailable" });
  assert.deepEqual(site.web.asked, []);
});

Deno.test("a file that has not changed is read anew and its keys are not imported anew", async () => {
  const clock = new FakeClock();
  const text = JSON.stringify({ keys: [keys.ES256.publicJwk] });
  let reads = 0;
  const readFile = () => Promise.resolve((reads++, text));
  const issuer = new IssuerKeys(issuerConfig({ jwks: "keys.json" }), { fetch, readFile, clock });
  const [before] = await issuer.candidates("ES256", undefined);
  await clock.advance(FILE_FRESHNESS);
  const [after] = await issuer.candidates("ES256", undefined);
  assert.deepEqual([reads, after === before], [2, true]);
});

Deno.test("a key taken out of a file counts no more after 5 s", async () => {
  const site = fakeSite({ jwks: "keys.json" });
  site.files.set("keys.json", JSON.stringify({ keys: [keys.ES256.publicJwk, second.publicJwk] }));
  await verify(site, second);
  site.files.set("keys.json", JSON.stringify({ keys: [keys.ES256.publicJwk] }));
  await site.clock.advance(5000);
  await assert.rejects(verify(site, second), { code: "unknown-key" });
  await verify(site);
});

const { publicJwk: rsa } = keys.RS256;
const { publicJwk: ec } = keys.ES256;
const oldPair = await generateKeyPair("EdDSA", { extractable: true });

const jwks: readonly [what: string, jwk: Record<string, unknown>, why: RegExp | undefined][] = [
  ["an RSA key of 2048 bits", { ...rsa }, undefined],
  ["an RSA key that says less about itself", { ...rsa, alg: undefined, use: undefined }, undefined],
  ["a key for verifying", { ...ec, key_ops: ["verify"] }, undefined],
  ["an RSA key of 1024 bits", { ...rsa, n: encodeBase64Url(randomBytes(128).fill(255, 0, 1)) }, /1024 bits/],
  [
    "an RSA key of 2047 bits",
    { ...rsa, n: encodeBase64Url(randomBytes(256).fill(0x7f, 0, 1)) },
    /2047 bits/,
  ],
  [
    "a small RSA key with zeros before it",
    { ...rsa, n: encodeBase64Url(randomBytes(256).fill(0, 0, 128)) },
    /10\d\d bits|9\d\d bits/,
  ],
  [
    "an RSA key of 32768 bits",
    { ...rsa, n: encodeBase64Url(randomBytes(4096).fill(255, 0, 1)) },
    /32768 bits/,
  ],
  ["a secret", { kty: "oct", k: "c2VjcmV0", kid: "rsa" }, /type is oct/],
  ["a curve of Bitcoin", { ...ec, crv: "secp256k1", alg: undefined }, /type is EC secp256k1/],
  [
    "a key for agreement",
    { ...await exportJWK(oldPair.publicKey), crv: "X25519", kid: "rsa" },
    /type is OKP X25519/,
  ],
  ["a key for encryption", { ...rsa, use: "enc" }, /'use'/],
  ["a key that signs", { ...rsa, key_ops: ["sign"] }, /'key_ops'/],
  ["a key of another algorithm", { ...rsa, alg: "RSA-OAEP" }, /'alg'/],
  ["a key of a MAC", { ...rsa, alg: "HS256" }, /'alg'/],
  ["a curve with the algorithm of another", { ...ec, alg: "ES384" }, /'alg'/],
  ["a private key", { ...keys.RS256.jwk }, /private half/],
  ["half a key", { ...ec, y: undefined }, /not complete/],
  ["a modulus of nonsense", { ...rsa, n: "§§" }, /not base64url/],
  ["the name of a property of objects as type", { kty: "constructor", kid: "rsa" }, /type is/],
];

for (const [what, jwk, why] of jwks) {
  Deno.test(`${what} in a set ${why ? "is left out" : "is used"}`, () => {
    const { keys: usable, unusable } = readKeySet({ keys: [JSON.parse(JSON.stringify(jwk))] });
    assert.equal(usable.length, why ? 0 : 1);
    if (why) assert.match(unusable.get(jwk.kid as string)!, why);
  });
}

Deno.test("entries that are no keys at all do not spoil the set", () => {
  assert.equal(readKeySet({ keys: [null, 7, "key", [], { kid: 7, kty: "RSA" }, ec] }).keys.length, 1);
});

Deno.test("a token of a key that is not used is told why", async () => {
  const site = fakeSite();
  site.web.serve([keys.ES256.publicJwk, { ...second.publicJwk, use: "enc" }]);
  await assert.rejects(verify(site, second), /the key 'second' .* is not used: its 'use' is not 'sig'/);
});

Deno.test("a point that is not on its curve verifies nothing", async () => {
  const site = fakeSite();
  site.web.serve([{ ...ec, x: ec.y }]);
  await assert.rejects(verify(site), { code: "signature" });
});

Deno.test("keys are got before a token asks, and the log is told of a file that is not there", async () => {
  const site = fakeSite();
  await site.verifier.getKeys();
  assert.deepEqual([fetches(site), site.outages], [1, []]);
  await verify(site);
  assert.equal(fetches(site), 1);
  const without = fakeSite({ jwks: "cluster-jwks.json" });
  await without.verifier.getKeys();
  assert.match(
    without.outages.join("\n"),
    /^the keys of \S+ cannot be had: cluster-jwks\.json: no file cluster-jwks\.json$/,
  );
});
