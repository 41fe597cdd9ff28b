import assert from "node:assert/strict";
import { parseJoinToken } from "../../src/agent/join_token.ts";
import { decodeBase64Url, encodeBase64Url } from "../../src/bytes/encoding.ts";
import { type Enrolment, JoinError, MAX_TOKEN_LIFETIME, openEnrolment } from "../../src/ca/enrolment.ts";
import { RETENTION } from "../../src/ca/retention.ts";
import { CaError } from "../../src/ca/types.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/types.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { ann, changedStore, DAY, HOUR, otherKey, recorder, remote, scene, someKey } from "./scene.ts";

const by = { identity: ann({ owner: true }), remote };
const hosts = [await someKey.fingerprint(), await otherKey.fingerprint()];
const fails = (code: JoinError["code"], words: RegExp) => (error: unknown) =>
  error instanceof JoinError && error.code === code && words.test(error.message);

function place(store: Store = openMemoryStore(), domain = "mesh.example") {
  const clock = new FakeClock();
  const { records, record } = recorder();
  const withdrawn: string[] = [];
  const enrolment = openEnrolment({
    store,
    clock,
    domain,
    hosts: () => Promise.resolve(hosts),
    record,
    withdraw: ({ issuer, subject }) => Promise.resolve(void withdrawn.push(`${issuer} ${subject}`)),
  });
  return { enrolment, clock, records, store, withdrawn };
}

const join = async (enrolment: Enrolment, token: string, key = someKey) =>
  await enrolment.enrol(await enrolment.holderOf(token), key, remote);

Deno.test("a token enrols a key, and the key is the machine from then on", async () => {
  const { enrolment, clock } = place();
  const made = await enrolment.tokens.create({ name: "web" }, by);
  assert.deepEqual([made.name, made.by, made.expiresAt], [
    "web.mesh.example",
    "ann@mycorp.example",
    clock.now() + HOUR,
  ]);
  // The agent reads the same token.
  const read = parseJoinToken(made.token);
  assert.deepEqual([read.id, read.name, read.hosts], [made.id, "web.mesh.example", hosts]);

  assert.equal(await enrolment.identityOf(someKey), undefined);
  assert.ok(await enrolment.hasOpenTokens());
  const holder = await enrolment.holderOf(made.token);
  assert.deepEqual([holder.kind, holder.subject, holder.name], ["join", made.id, `join:${made.id}`]);
  const identity = await enrolment.enrol(holder, someKey, remote);
  const fingerprint = await someKey.fingerprint();
  assert.deepEqual(identity, {
    kind: "key",
    issuer: "enrolled",
    subject: fingerprint,
    name: "web.mesh.example",
    fqdn: "web.mesh.example",
    groups: [],
    claims: {},
    owner: false,
    restrictions: {},
    credential: { fingerprint, keyId: made.id },
  });
  assert.deepEqual(await enrolment.identityOf(someKey), identity);
  assert.deepEqual(await enrolment.enrolledKey(fingerprint), identity);
  assert.equal(await enrolment.identityOf(otherKey), undefined);
  assert.ok(!await enrolment.hasOpenTokens());
  const [listed] = await enrolment.tokens.list();
  assert.deepEqual([listed.usedAt, listed.fingerprint], [clock.now(), fingerprint]);
  assert.ok(!("token" in listed) && !("secret" in listed));
});

Deno.test("a token works once, and once more for the machine that did not hear the answer", async () => {
  const { enrolment } = place();
  const { token } = await enrolment.tokens.create({ name: "web" }, by);
  const holder = await enrolment.holderOf(token);
  const identity = await enrolment.enrol(holder, someKey, remote);
  assert.deepEqual(await enrolment.enrol(holder, someKey, remote), identity);
  await assert.rejects(enrolment.enrol(holder, otherKey, remote), fails("token", /has been used/));
  await assert.rejects(enrolment.holderOf(token), fails("token", /has been used/));
});

Deno.test("of two machines that use a token at once, one joins", async () => {
  const { enrolment } = place();
  const { token } = await enrolment.tokens.create({ name: "web" }, by);
  const answers = await Promise.allSettled([join(enrolment, token), join(enrolment, token, otherKey)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const enrolled = [await enrolment.identityOf(someKey), await enrolment.identityOf(otherKey)];
  assert.equal(enrolled.filter(Boolean).length, 1);
});

Deno.test("of two tokens for one name that are used at once, at most one gives it", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const { enrolment } = place(slowed(openMemoryStore(), turns));
    const tokens = [
      await enrolment.tokens.create({ name: "web" }, by),
      await enrolment.tokens.create({ name: "web" }, by),
    ];
    await Promise.allSettled([
      join(enrolment, tokens[0].token),
      join(enrolment, tokens[1].token, otherKey),
    ]);
    const enrolled = [await enrolment.identityOf(someKey), await enrolment.identityOf(otherKey)];
    assert.ok(enrolled.filter(Boolean).length <= 1, `${turns}`);
  }
});

/** A store whose answers come after a few turns more or less, another number each time. */
function slowed(store: Store, seed: number): Store {
  let random = seed * 7919 + 1;
  const turn = async () => {
    random = (random * 48271) % 2147483647;
    for (let n = random % 5; n > 0; n--) await Promise.resolve();
  };
  return changedStore(store, undefined, (inner) => ({
    get: (key) => turn().then(() => inner.get(key)),
    insert: (key, value) => turn().then(() => inner.insert(key, value)),
    replace: (read, value) => turn().then(() => inner.replace(read, value)),
    remove: (read) => turn().then(() => inner.remove(read)),
  }));
}

Deno.test("a token that is over, unknown or changed lets nobody in", async () => {
  const { enrolment, clock } = place();
  const { token, id } = await enrolment.tokens.create({ name: "web", lifetime: HOUR }, by);
  const content = JSON.parse(new TextDecoder().decode(decodeBase64Url(token.slice("sshm1.".length))));
  const forge = (change: object) =>
    "sshm1." + encodeBase64Url(new TextEncoder().encode(JSON.stringify({ ...content, ...change })));
  assert.equal((await enrolment.holderOf(` ${token}\n`)).subject, id);
  // Its name counts for the machine alone: here it is what was kept.
  assert.equal((await join(enrolment, forge({ n: "db.mesh.example" }))).name, "web.mesh.example");

  const again = await enrolment.tokens.create({ name: "db", lifetime: HOUR }, by);
  const bad = [
    "",
    "sshm1.",
    "sshm1.xyz",
    "sshm1.bnVsbA",
    again.token.slice(0, -8),
    forge({ i: again.id }),
    forge({ i: "0000000000000000" }),
    forge({ i: again.id, s: "" }),
    forge({ i: again.id, s: null }),
    forge({ i: ["x"] }),
    forge({ i: "../x" }),
    "eyJhbGciOiJub25lIn0.e30.",
  ];
  for (const text of bad) await assert.rejects(enrolment.holderOf(text), fails("token", /unknown/), text);
  const holder = await enrolment.holderOf(again.token);
  assert.ok(await enrolment.stands(holder));
  await clock.advance(HOUR);
  await assert.rejects(enrolment.holderOf(again.token), fails("token", /expired/));
  await assert.rejects(enrolment.enrol(holder, otherKey, remote), fails("token", /expired/));
  assert.ok(!await enrolment.stands(holder));
  assert.ok(!await enrolment.hasOpenTokens());
});

Deno.test("no part of a token and no token with a bit changed gives more than the refusal", async () => {
  const { enrolment } = place();
  const { token } = await enrolment.tokens.create({ name: "web" }, by);
  const content = decodeBase64Url(token.slice("sshm1.".length));
  const secretAt = new TextDecoder().decode(content).indexOf('"s":"') + 5;
  for (let length = 0; length < token.length; length++) {
    await assert.rejects(enrolment.holderOf(token.slice(0, length)), fails("token", /unknown/));
  }
  // Everything from the beginning to the end of the secret: the rest is for the machine that joins.
  for (let bit = 0; bit < 8 * (secretAt + 43); bit++) {
    const changed = content.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    await assert.rejects(
      enrolment.holderOf(`sshm1.${encodeBase64Url(changed)}`),
      fails("token", /unknown/),
      `${bit}`,
    );
  }
  assert.ok(await enrolment.holderOf(token));
});

Deno.test("removing a token takes back everything: key, name and certificates", async () => {
  const { enrolment, withdrawn, records } = place();
  const unused = await enrolment.tokens.create({ name: "db" }, by);
  const used = await enrolment.tokens.create({ name: "web" }, by);
  const holder = await enrolment.holderOf(used.token);
  await enrolment.enrol(holder, someKey, remote);
  let heard = 0;
  const stop = enrolment.watch(() => heard++);

  assert.ok(await enrolment.tokens.remove(used.id, by));
  assert.equal(await enrolment.identityOf(someKey), undefined);
  assert.deepEqual(withdrawn, [`enrolled ${await someKey.fingerprint()}`]);
  assert.ok(!await enrolment.stands(holder));
  await assert.rejects(enrolment.holderOf(used.token), fails("token", /unknown/));
  await assert.rejects(enrolment.enrol(holder, someKey, remote), fails("token", /taken back/));
  assert.ok(await enrolment.tokens.remove(unused.id, by));
  assert.equal(withdrawn.length, 1);
  assert.ok(!await enrolment.tokens.remove(unused.id, by));
  assert.ok(!await enrolment.tokens.remove("nonsense", by));
  assert.deepEqual(await enrolment.tokens.list(), []);
  await settle();
  assert.equal(heard, 2);
  stop();
  assert.deepEqual(records.map(({ name }) => name), [
    "token.created",
    "token.created",
    "key.enrolled",
    "token.removed",
    "join.refused",
    "token.removed",
  ]);

  // The same machine with the same key may come again.
  const { token } = await enrolment.tokens.create({ name: "web" }, by);
  assert.equal((await join(enrolment, token)).name, "web.mesh.example");
});

Deno.test("name theft: a name or a key that is enrolled is nobody else's", async () => {
  const { enrolment } = place();
  const early = await enrolment.tokens.create({ name: "web" }, by);
  const first = await enrolment.tokens.create({ name: "web" }, by);
  await join(enrolment, first.token);
  await assert.rejects(enrolment.tokens.create({ name: "web" }, by), fails("name", /enrolled already/));
  await assert.rejects(join(enrolment, early.token, otherKey), fails("name", /enrolled already/));
  const other = await enrolment.tokens.create({ name: "db" }, by);
  await assert.rejects(join(enrolment, other.token, someKey), fails("name", /enrolled already, as web/));
  assert.equal((await join(enrolment, other.token, otherKey)).name, "db.mesh.example");
  // An unused token of the same name goes without taking the name along.
  await enrolment.tokens.remove(early.id, by);
  await assert.rejects(enrolment.tokens.create({ name: "web" }, by), fails("name", /enrolled already/));
});

Deno.test("a token whose name is taken leaves nothing behind, whatever keys come with it", async () => {
  const { enrolment, store } = place();
  const [first, second] = [
    await enrolment.tokens.create({ name: "web" }, by),
    await enrolment.tokens.create({ name: "web" }, by),
  ];
  await join(enrolment, first.token);
  const led = async () =>
    (await store.collection("enrolled").list()).map(({ key, value }) => `${key} ${value}`);
  const before = await led();
  await assert.rejects(join(enrolment, second.token, otherKey), fails("name", /enrolled already/));
  assert.deepEqual(await led(), before);
});

Deno.test("names are one label or full names under the domain", async () => {
  const { enrolment } = place();
  const good = [["web", "web.mesh.example"], ["WEB2", "web2.mesh.example"], [
    "a.b.mesh.example",
    "a.b.mesh.example",
  ]];
  for (const [asked, full] of good) {
    assert.equal((await enrolment.tokens.create({ name: asked }, by)).name, full);
  }
  const bad = [
    "",
    "mesh.example",
    "web.other.example",
    "a.b",
    "*",
    "a b",
    "web,db",
    "127.0.0.1",
    "-",
    "x".repeat(64),
  ];
  for (const name of bad) {
    await assert.rejects(enrolment.tokens.create({ name }, by), fails("name", /no name for a machine/), name);
  }
  const local = place(undefined, "localhost").enrolment;
  assert.equal((await local.tokens.create({ name: "web" }, by)).name, "web.localhost");
  await assert.rejects(local.tokens.create({ name: "localhost" }, by), fails("name", /./));
});

Deno.test("tokens last as long as was asked, within bounds; weak keys don't join", async () => {
  const { enrolment, clock } = place();
  assert.equal(
    (await enrolment.tokens.create({ name: "a", lifetime: DAY }, by)).expiresAt,
    clock.now() + DAY,
  );
  for (const lifetime of [0, 999, NaN, MAX_TOKEN_LIFETIME + 1]) {
    await assert.rejects(
      enrolment.tokens.create({ name: "a", lifetime }, by),
      (error) => error instanceof CaError && error.code === "invalid",
    );
  }
  const { token } = await enrolment.tokens.create({ name: "b" }, by);
  const weak = { ...someKey, type: "ssh-rsa" as const, bits: 1024, fingerprint: () => someKey.fingerprint() };
  await assert.rejects(join(enrolment, token, weak), CaError);
  await assert.rejects(enrolment.enrol(ann(), someKey, remote), fails("token", /unknown/));
});

Deno.test("secrets are in no record and not in the store", async () => {
  const { enrolment, records, store } = place();
  const { token } = await enrolment.tokens.create({ name: "web" }, by);
  const { s: secret } = JSON.parse(new TextDecoder().decode(decodeBase64Url(token.slice("sshm1.".length))));
  await join(enrolment, token);
  await assert.rejects(join(enrolment, token, otherKey));
  const kept = [
    await store.collection("join-tokens").list(),
    await store.collection("enrolled").list(),
    records,
  ];
  assert.ok(!JSON.stringify(kept).includes(secret));
  assert.equal(decodeBase64Url(secret).length, 32);
});

Deno.test("a machine whose token is taken back loses the certificates it has, and gets no more", async () => {
  const store = openMemoryStore();
  const later: { enrolment?: Enrolment } = {};
  using made = await scene({
    store,
    stands: async ({ issuer, subject }) =>
      issuer !== "enrolled" || await later.enrolment?.enrolledKey(subject) !== undefined,
  });
  const { authority, clock } = made;
  const { record } = recorder();
  const enrolment = later.enrolment = openEnrolment({
    store,
    clock,
    domain: "mesh.example",
    hosts: () => Promise.resolve(hosts),
    record,
    withdraw: (...args) => authority.withdraw(...args),
  });
  const key = (await generatePrivateKey("ssh-ed25519")).publicKey;
  const { token, id } = await enrolment.tokens.create({ name: "web" }, by);
  const identity = await join(enrolment, token, key);
  const request = { identity, publicKey: key, remote };
  const { certificate } = await authority.issueHost({ ...request, names: ["web.mesh.example"] });
  await enrolment.tokens.remove(id, by);
  const { krl } = await authority.revoked();
  assert.deepEqual(krl.certificates.map(({ serials }) => serials), [
    [{ first: certificate.serial, last: certificate.serial }],
    [{ first: certificate.serial, last: certificate.serial }],
  ]);
  await assert.rejects(authority.issueUser(request), /taken back/);
});

Deno.test("tokens that nobody used are dropped a month after their end; those that machines joined with stay", async () => {
  const { enrolment, clock, store } = place();
  const used = await enrolment.tokens.create({ name: "web" }, by);
  await join(enrolment, used.token);
  const lapsed = await enrolment.tokens.create({ name: "db" }, by);
  await clock.advance(RETENTION);
  await enrolment.tokens.create({ name: "mail", lifetime: HOUR }, by);
  const ids = async () => (await enrolment.tokens.list()).map(({ id }) => id);
  assert.ok((await ids()).includes(lapsed.id), "it ended an hour after it was made");
  await assert.rejects(enrolment.holderOf(lapsed.token), fails("token", /has expired/));

  await clock.advance(HOUR);
  const last = await enrolment.tokens.create({ name: "db" }, by);
  assert.ok(!(await ids()).includes(lapsed.id));
  assert.equal((await enrolment.identityOf(someKey))?.name, "web.mesh.example");
  await assert.rejects(enrolment.holderOf(lapsed.token), fails("token", /unknown/));
  await join(enrolment, last.token, otherKey);
  assert.equal((await enrolment.identityOf(otherKey))?.name, "db.mesh.example");
  // What is left there is the one that ended an hour ago.
  assert.equal((await store.collection<number>("open-join-tokens").list()).length, 1);
});

Deno.test("however many tokens lapse, they do not pile up", async () => {
  const { enrolment, clock } = place();
  for (let n = 0; n < 250; n++) await enrolment.tokens.create({ name: `m${n}` }, by);
  await clock.advance(RETENTION + HOUR);
  for (let n = 0; n < 4; n++) await enrolment.tokens.create({ name: `n${n}` }, by);
  assert.equal((await enrolment.tokens.list()).length, 4);
});
