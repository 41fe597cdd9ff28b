import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import type { IssuedRecord } from "../../src/ca/local.ts";
import { BATCH, FIRST_TURN, RETENTION, TURN_INTERVAL } from "../../src/ca/retention.ts";
import type { RevocationRecord } from "../../src/ca/types.ts";
import type { Krl } from "../../src/cert/krl.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { type Json, type Store, StoreError } from "../../src/store/types.ts";
import { Pkcs10CertificateRequestGenerator } from "../../src/x509/library.ts";
import { waitUntil } from "../support/wait.ts";
import {
  admin,
  ann,
  changedStore,
  DAY,
  HOUR,
  MINUTE,
  otherKey,
  remote,
  type Scene,
  scene,
  someKey,
  workload,
} from "./scene.ts";

const request = await (async () => {
  const keys = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const { rawData } = await Pkcs10CertificateRequestGenerator.create({
    keys: keys as CryptoKeyPair,
    signingAlgorithm: { name: "Ed25519" },
  });
  return new Uint8Array(rawData);
})();

const keysOf = async (store: Store, name: string) =>
  (await store.collection<Json>(name).list({ limit: 10_000 })).map(({ key }) => key);

const serialsOf = ({ certificates }: Krl) => [
  ...new Set(
    certificates.flatMap(({ serials }) =>
      serials.map((range) => "first" in range ? String(range.first) : "bits")
    ),
  ),
];
const revokedKinds = (records: readonly RevocationRecord[]) =>
  records.map(({ revocation }) => revocation.kind).sort();

/** Records as an authority keeps them, of certificates that ended at `expiresAt`. */
async function fill(store: Store, count: number, expiresAt: number): Promise<void> {
  const issued = store.collection<IssuedRecord>("issued");
  for (let n = 0; n < count; n++) {
    const serial = String(1_000_000 + n);
    await issued.insert(`ssh:${serial}`, {
      kind: "user",
      serial,
      issuer: "https://id.example",
      subject: `person ${n}`,
      name: `person${n}@mycorp.example`,
      keyId: "",
      principals: [],
      fingerprint: "SHA256:none",
      issuedAt: expiresAt - HOUR,
      expiresAt,
    });
  }
}

/** Lets the clock run until `isDone`, an hour at a time. */
async function untilDone(
  { clock }: Pick<Scene, "clock">,
  isDone: () => Promise<boolean>,
  step = HOUR,
): Promise<void> {
  await waitUntil("the turn to be over", async () => {
    await clock.advance(step);
    return await isDone();
  });
}

Deno.test("a certificate is on record for a month after its end, and is then forgotten with its entries", async () => {
  using made = await scene();
  const { authority, clock, parts: { store } } = made;
  await authority.issueUser({ identity: ann(), publicKey: someKey, remote });
  await authority.issueX509({ identity: ann(), csr: request, names: [], remote });
  await authority.issueHost({
    identity: workload(),
    publicKey: otherKey,
    names: ["web.shop.svc.prod.example"],
    lifetime: 5 * DAY,
    remote,
    gateway: true,
  });
  assert.equal((await keysOf(store, "issued")).length, 3);
  assert.equal((await keysOf(store, "issued-to")).length, 6);

  await clock.advance(RETENTION);
  assert.equal(
    (await keysOf(store, "issued")).length,
    3,
    "a month has passed since they began, not since they ended",
  );
  // Those of ten minutes are over; that of a machine lasted for five days.
  await untilDone(made, async () => (await keysOf(store, "issued")).length === 1);
  assert.equal((await keysOf(store, "issued-to")).length, 2);
  await untilDone(made, async () => (await keysOf(store, "issued")).length === 0);
  assert.deepEqual(await keysOf(store, "issued-to"), []);
});

Deno.test("with its record a serial number leaves the list; keys, key ids, identities and unknown serials stay", async () => {
  using made = await scene();
  const { authority, clock, parts: { store } } = made;
  const one = await authority.issueUser({ identity: ann(), publicKey: someKey, remote });
  const two = await authority.issueX509({ identity: ann(), csr: request, names: [], remote });
  const mallory = ann({ subject: "mallory" });
  const fallen = await authority.issueUser({ identity: mallory, publicKey: someKey, remote });
  const fallenX509 = await authority.issueX509({ identity: mallory, csr: request, names: [], remote });
  const serial = String(one.certificate.serial);
  await authority.revoke({ kind: "serial", serial }, admin);
  await authority.revoke({ kind: "x509-serial", serial: two.serial }, admin);
  await authority.revoke({ kind: "serial", serial: "7" }, admin);
  await authority.revoke({ kind: "x509-serial", serial: "0abc" }, admin);
  await authority.revoke({ kind: "identity", issuer: mallory.issuer, subject: mallory.subject }, admin);
  await authority.revoke({ kind: "key", key: formatPublicKey(otherKey) }, admin);
  await authority.revoke({ kind: "key-id", keyId: "some id" }, admin);

  const before = await authority.revoked();
  assert.deepEqual(
    serialsOf(before.krl).sort(),
    [serial, "7", String(fallen.certificate.serial)].sort(),
  );
  assert.deepEqual([...before.x509Serials].sort(), [two.serial, "0abc", fallenX509.serial].sort());
  assert.equal(before.krl.version, 7n);

  let heard = 0;
  authority.watch(() => heard++);
  await clock.advance(RETENTION + TURN_INTERVAL);
  await untilDone(made, async () => (await keysOf(store, "issued")).length === 0);
  const after = await authority.revoked();
  assert.deepEqual(serialsOf(after.krl), ["7"]);
  assert.deepEqual([...after.x509Serials], ["0abc"]);
  assert.deepEqual(after.krl.keys, before.krl.keys);
  assert.deepEqual(after.krl.certificates.at(-1)!.keyIds, ["some id"]);
  assert.ok(after.isIdentityRevoked(mallory));
  assert.ok(after.krl.version > before.krl.version, "a shorter list is a later edition");
  assert.deepEqual(revokedKinds(await authority.revocations()), [
    "identity",
    "key",
    "key-id",
    "serial",
    "x509-serial",
  ]);
  assert.ok(heard > 0, "who watches hears of the shorter list");
  await assert.rejects(authority.issueUser({ identity: mallory, publicKey: someKey, remote }), /revoked/);

  const { krl: { version } } = after;
  await authority.revoke({ kind: "serial", serial: "8" }, admin);
  assert.equal((await authority.revoked()).krl.version, version + 1n);
  const restarted = await openAuthority(made.parts);
  assert.equal((await restarted.revoked()).krl.version, version + 1n, "it is counted on after a restart");
  restarted.close();
});

Deno.test("what was got with an X.509 certificate is forgotten with all its entries, and leaves the list with it", async () => {
  using made = await scene();
  const { authority, records, parts: { store } } = made;
  const { serial, expiresAt } = await authority.issueX509({
    identity: ann(),
    csr: request,
    names: [],
    remote,
  });
  const { fingerprint } = records.find(({ name }) => name === "cert.issued")!.details;
  const bearer = ann({
    kind: "x509",
    issuer: "x509",
    subject: "spiffe://prod.example/ann",
    expiresAt,
    credential: { serial, fingerprint: String(fingerprint) },
  });
  await authority.issueUser({ identity: bearer, publicKey: someKey, remote });
  assert.equal((await keysOf(store, "issued-to")).length, 2 + 5);
  await authority.revoke({ kind: "x509-serial", serial }, admin);
  assert.equal(serialsOf((await authority.revoked()).krl).length, 1);
  await made.clock.advance(RETENTION + TURN_INTERVAL);
  await untilDone(made, async () => (await keysOf(store, "issued")).length === 0);
  assert.deepEqual(await keysOf(store, "issued-to"), []);
  assert.deepEqual(await keysOf(store, "revocations"), []);
  const { krl, x509Serials } = await authority.revoked();
  assert.deepEqual([serialsOf(krl), [...x509Serials]], [[], []]);
});

Deno.test("a certificate that still counts stays revoked, however old its revocation is", async () => {
  using made = await scene({}, { retention: HOUR });
  const { authority, clock, parts: { store } } = made;
  const { certificate } = await authority.issueHost({
    identity: workload(),
    publicKey: otherKey,
    names: ["web.shop.svc.prod.example"],
    lifetime: 7 * DAY,
    remote,
    gateway: true,
  });
  await authority.revoke({ kind: "serial", serial: String(certificate.serial) }, admin);
  await clock.advance(7 * DAY - MINUTE);
  assert.deepEqual(serialsOf((await authority.revoked()).krl), [String(certificate.serial)]);
  await clock.advance(TURN_INTERVAL + HOUR);
  await untilDone(made, async () => (await keysOf(store, "issued")).length === 0);
  assert.deepEqual(serialsOf((await authority.revoked()).krl), []);
});

Deno.test("what a process has left is forgotten soon after the next start, in batches with pauses between them", async () => {
  const store = openMemoryStore();
  let batch = 0;
  const batches: number[] = [];
  const counted = changedStore(store, "issued", (inner) => ({
    list: async (options) => {
      assert.ok(options!.limit! <= BATCH);
      if (batch > 0) batches.push(batch);
      batch = 0;
      return await inner.list(options);
    },
    remove: async (read) => {
      batch++;
      return await inner.remove(read);
    },
  }));
  using made = await scene({ store: counted });
  const { clock } = made;
  const count = 3 * BATCH + BATCH / 2;
  await fill(store, count, clock.now() - RETENTION);
  await clock.advance(FIRST_TURN - 1);
  assert.equal((await keysOf(store, "issued")).length, count, "the start itself does not look at them");
  await untilDone(made, async () => (await keysOf(store, "issued")).length < count, 1);
  assert.equal((await keysOf(store, "issued")).length, count - BATCH, "then there is a pause");
  await untilDone(made, async () => (await keysOf(store, "issued")).length === 0);
  assert.deepEqual(batches, [BATCH, BATCH, BATCH]);
});

Deno.test("a store that fails is asked again the next day, and does no harm until then", async () => {
  const store = openMemoryStore();
  let fails = true;
  const failing = changedStore(store, "issued", (inner) => ({
    remove: async (read) => {
      if (fails) throw new StoreError("failed", "the disk fails");
      return await inner.remove(read);
    },
  }));
  using made = await scene({ store: failing });
  const { authority, clock } = made;
  await fill(store, 3, clock.now() - RETENTION);
  await clock.advance(FIRST_TURN);
  await waitUntil("the turn to have failed", () => clock.pending === 1);
  assert.equal((await keysOf(store, "issued")).length, 3);
  assert.ok(await authority.issueUser({ identity: ann(), publicKey: someKey, remote }));
  fails = false;
  await clock.advance(TURN_INTERVAL);
  await untilDone(made, async () => (await keysOf(store, "issued")).length === 1);
});

Deno.test("an authority that is closed while it forgets stops at once, and leaves no timer", async () => {
  const store = openMemoryStore();
  const made = await scene({ store });
  const { authority, clock } = made;
  await fill(store, 3 * BATCH, clock.now() - RETENTION);
  await clock.advance(FIRST_TURN);
  await waitUntil(
    "the first batch",
    async () => clock.pending === 1 && (await keysOf(store, "issued")).length === 2 * BATCH,
  );
  authority.close();
  assert.equal(clock.pending, 0);
  await clock.advance(2 * DAY);
  assert.equal((await keysOf(store, "issued")).length, 2 * BATCH);
  assert.equal(clock.pending, 0);
});
