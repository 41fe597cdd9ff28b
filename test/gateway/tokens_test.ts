/** Tokens in place of keys: who gets in with one, who is asked for one, and what is said and recorded. */
import assert from "node:assert/strict";
import { MAX_TOKEN_LENGTH, NEXT_PART_PROMPT, TOKEN_PROMPT } from "../../src/mesh/token_words.ts";
import type { Trust } from "../../src/gateway/trust.ts";
import { prepareIssuers, tokenVerifier } from "../../src/identity/token/mod.ts";
import type { Identity } from "../../src/identity/principal.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { Credential } from "../../src/ssh/auth/client/types.ts";
import { SshError } from "../../src/ssh/error.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { temporaryFolder } from "../support/folder.ts";
import { kubernetesLikeIssuer } from "../support/oidc.ts";
import { startTestGateway, type TestGateway, testKey } from "./in_memory.ts";

const ann = await testKey("ann");
const trustDomain = "prod.example";

/** A cluster whose tokens count. */
async function makeCluster() {
  const folder = temporaryFolder();
  const cluster = await kubernetesLikeIssuer(folder);
  const [config] = prepareIssuers([
    { issuer: cluster.issuer, kind: "kubernetes", jwks: cluster.jwks, trustDomain },
  ], { audiences: ["ssh://localhost"] });
  const verifier = tokenVerifier([config], {
    fetch: () => Promise.reject(new Error("nothing is fetched")),
    readFile: (path) => Deno.readTextFile(path),
    clock: systemClock,
  });
  const trust: Partial<Trust> = { tokens: { verifier, issuers: new Set([config.issuer]) } };
  const pod = { namespace: "shop", account: "web" };
  return { cluster, trust, pod, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** Connects with one credential; resolves to what `whoami` says, or to the methods that were open and what was shown. */
async function logIn(site: TestGateway, ...credentials: Credential[]) {
  const banners: string[] = [];
  try {
    const client = await site.connectWith({ credentials, onBanner: (text) => banners.push(text) });
    const { out } = await client.run("whoami --json");
    return { client, who: JSON.parse(out), banners };
  } catch (error) {
    if (!(error instanceof SshError)) throw error;
    const { methods } = error as SshError & { methods?: readonly string[] };
    return { refused: error.message, methods, banners };
  }
}

/** Answers as `sshm askpass` does: in pieces of `size`. */
function inPieces(token: string, size: number) {
  const asked: string[] = [];
  let at = 0;
  const credential: Credential = {
    method: "keyboard-interactive",
    answer: ({ prompts }) => {
      asked.push(...prompts.map(({ text, echo }) => `${text}${echo}`));
      const piece = token.slice(at, at += size);
      return prompts.map(() => at < token.length ? `${piece}+` : piece);
    },
  };
  return { credential, asked };
}

Deno.test("a token is a password, whole or in pieces, and says who somebody is", async () => {
  using scene = await makeCluster();
  await using site = await startTestGateway({ keys: [ann.line], trust: scene.trust });
  const token = await scene.cluster.podToken(scene.pod);
  const whole = await logIn(site, { method: "password", password: token });
  const { from: _from, expires: _expires, key_id: _keyId, ...who } = whole.who;
  // The fields that HTTPS has.
  assert.deepEqual(who, {
    name: "web@shop.prod.example",
    kind: "jwt",
    issuer: scene.cluster.issuer,
    subject: "system:serviceaccount:shop:web",
    fqdn: "web.shop.svc.prod.example",
    trust_domain: "prod.example",
    groups: [],
    owner: false,
  });
  const { credential, asked } = inPieces(token, 200);
  const pieces = await logIn(site, credential);
  assert.equal(pieces.who.name, who.name);
  assert.equal(asked[0], `${TOKEN_PROMPT}false`);
  assert.ok(asked.length > 3 && asked.slice(1).every((text) => text === `${NEXT_PART_PROMPT}false`));
  assert.equal(TOKEN_PROMPT, "Token, or its first part ending in +: ");
  assert.equal(NEXT_PART_PROMPT, "Next part: ");
});

Deno.test("without an issuer nobody is asked for a token, and none is taken", async () => {
  using scene = await makeCluster();
  await using site = await startTestGateway({ keys: [ann.line] });
  const token = await scene.cluster.podToken(scene.pod);
  const { methods } = await logIn(
    site,
    { method: "password", password: token },
    inPieces(token, 200).credential,
  );
  assert.deepEqual(methods, ["publickey"]);
});

Deno.test("trusting an issuer authorises nothing", async () => {
  using scene = await makeCluster();
  await using site = await startTestGateway({ keys: [ann.line], trust: scene.trust });
  const owner = await site.connect(ann.key);
  await owner.serve("web", 22);
  const { client } = await logIn(site, {
    method: "password",
    password: await scene.cluster.podToken(scene.pod),
  });
  await assert.rejects(client!.serve("web.shop.svc.prod.example", 22));
  await assert.rejects(client!.open("web", 22));
  assert.equal((await client!.run("ls")).code, 77);
  assert.equal((await client!.run("status")).code, 77);
});

Deno.test("each token leaves one record with the reason, and no record, sentence or log holds the token", async () => {
  using scene = await makeCluster();
  await using site = await startTestGateway({ keys: [ann.line], trust: scene.trust });
  const good = await scene.cluster.podToken(scene.pod);
  const bad: [string, RegExp, RegExp][] = [
    [
      await scene.cluster.podToken({ ...scene.pod, audience: "ssh://localhost.evil" }),
      /^audience: /,
      /the token is for 'ssh:\/\/localhost\.evil'; it must be for ssh:\/\/localhost\b/,
    ],
    [
      await scene.cluster.podToken({ ...scene.pod, issuedAt: Date.now() - 7_200_000 }),
      /^expired: /,
      /the token has expired/,
    ],
    [`${good.slice(0, -8)}AAAAAAAA`, /^signature: /, /^the token is not accepted here/],
    ["correct horse battery staple", /^malformed: /, /^the token is not accepted here/],
    ["sshm1.e30", /^join token: /, /^the token is not accepted here/],
    ["x".repeat(MAX_TOKEN_LENGTH + 1), /^malformed: /, /longer than 16384 bytes/],
  ];
  for (const [password, reason, sentence] of bad) {
    const before = site.audit.length;
    const { refused, banners } = await logIn(site, { method: "password", password });
    assert.ok(refused);
    const records = site.audit.slice(before);
    assert.deepEqual(records.map(({ event }) => event), ["auth.refused"]);
    assert.match(String(records[0].reason), reason);
    assert.equal(records[0].method, "password");
    assert.match(banners.join(""), sentence);
    // Neither header nor claims nor signature.
    for (const part of password.split(".").filter((part) => part.length > 8)) {
      assert.ok(!JSON.stringify([records, banners, refused]).includes(part));
    }
  }
  const before = site.audit.length;
  await logIn(site, { method: "password", password: good });
  const accepted = site.audit.slice(before).filter(({ event }) => event === "auth.accepted");
  assert.equal(accepted.length, 1);
  assert.equal(accepted[0].method, "password");
  for (const part of good.split(".")) assert.ok(!JSON.stringify(site.audit).includes(part));
});

Deno.test("an empty answer, an endless token and a wrong number of answers are refused", async () => {
  using scene = await makeCluster();
  await using site = await startTestGateway({ keys: [ann.line], trust: scene.trust });
  const table: [string, () => string[], RegExp][] = [
    ["empty at once", () => [""], /malformed: an empty answer/],
    ["nothing but a plus", () => ["+"], /malformed: an empty answer/],
    ["endless", () => [`${"x".repeat(1000)}+`], /longer than 16384 bytes/],
  ];
  for (const [what, answers, reason] of table) {
    let rounds = 0;
    const { refused } = await logIn(site, {
      method: "keyboard-interactive",
      answer: () => ++rounds > 40 ? [""] : answers(),
    });
    assert.ok(refused, what);
    assert.ok(rounds <= 41, what);
    assert.match(String(site.audit.at(-1)!.reason), reason, what);
  }
});

Deno.test("expiry of a token ends what is new, and nothing that is open", async () => {
  using scene = await makeCluster();
  const clock = new FakeClock(Date.now());
  await using site = await startTestGateway({
    keys: [ann.line],
    trust: scene.trust,
    clock,
    policy: `rules:
  - { who: { trust_domain: prod.example }, may: [register], what: { node: self } }
  - { who: { trust_domain: prod.example }, may: [connect], what: { node: web } }
`,
  });
  const owner = await site.connect(ann.key);
  await owner.serve("web", 22, "hi");
  const password = await scene.cluster.podToken({ ...scene.pod, lifetime: 60 });
  const { client } = await logIn(site, { method: "password", password });
  await client!.serve("web.shop.svc.prod.example", 22);
  const open = await client!.open("web", 22);
  for (let i = 0; i < 15; i++) {
    await clock.advance(5_000);
    // Everybody answers keepalives.
    await Promise.all([client!.run("whoami"), owner.run("whoami")]);
  }
  await site.gateway.apply({ trust: {} });
  assert.equal((await owner.run("ls")).out.includes("web.shop.svc.prod.example"), true);
  await assert.rejects(client!.open("web", 22), /administratively prohibited|expired/);
  const buffer = new Uint8Array(8);
  assert.equal(await open.read(buffer), 2);
  open.close();
});

Deno.test("an issuer that is no longer trusted, and an identity that is revoked, end what they have open", async () => {
  using scene = await makeCluster();
  const password = await scene.cluster.podToken(scene.pod);
  const revocation = (subject: string): Partial<Trust> => ({
    authority: {
      user: [],
      host: [],
      x509: [],
      list: { isRevoked: () => Promise.resolve(false) } as never,
      domain: "localhost",
      trustDomains: [],
      revoked: {
        krl: {} as never,
        x509Serials: new Set(),
        isIdentityRevoked: (who: Pick<Identity, "subject">) => who.subject === subject,
      },
    },
  });
  for (const change of [{ tokens: undefined }, revocation("system:serviceaccount:shop:web")]) {
    await using site = await startTestGateway({ keys: [ann.line], trust: scene.trust });
    const { client } = await logIn(site, { method: "password", password });
    await site.gateway.apply({ trust: revocation("somebody else") });
    assert.equal((await client!.run("whoami")).code, 0);
    await site.gateway.apply({ trust: change });
    await client!.connection.closed;
    const { reason, method } = site.audit.at(-1)!;
    assert.match(String(reason), /^withdrawn: (the issuer is no longer trusted|revoked)$/);
    assert.equal(method, "password");
    assert.ok((await logIn(site, { method: "password", password })).refused);
  }
});
