/** What is revoked, and who hears of it. */
import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import type { CaError } from "../../src/ca/types.ts";
import type { Certificate } from "../../src/cert/types.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { settle } from "../support/fake_clock.ts";
import { csr, fails, fault, host, user } from "./requests.ts";
import { admin, ann, changedStore, MINUTE, otherKey, remote, type Scene, scene, workload } from "./scene.ts";

Deno.test("revoked: by serial, key id, key, fingerprint and identity; by nothing else", async () => {
  const revocations: [
    string,
    (certificate: Certificate) => Promise<Parameters<Scene["authority"]["revoke"]>[0]>,
  ][] = [
    ["serial", ({ serial }) => Promise.resolve({ kind: "serial", serial: `${serial}` })],
    ["key-id", ({ keyId }) => Promise.resolve({ kind: "key-id", keyId })],
    [
      "key",
      ({ publicKey }) => Promise.resolve({ kind: "key", key: formatPublicKey(publicKey, "ann@laptop") }),
    ],
    ["fingerprint", async ({ publicKey }) => ({ kind: "key", key: await publicKey.fingerprint() })],
    ["identity", () => Promise.resolve({ kind: "identity", issuer: "https://id.example", subject: "ann-1" })],
  ];
  for (const [name, revocation] of revocations) {
    using made = await scene();
    const { authority } = made;
    const { certificate } = await authority.issueUser(user());
    const { certificate: other } = await authority.issueUser(user(ann({ subject: "ann-2" }), otherKey));
    await authority.revoke(await revocation(certificate), admin, "laptop lost\n");
    assert.equal(await fault(made, certificate, "ann@mycorp.example"), "revoked", name);
    assert.equal(await fault(made, other, "ann@mycorp.example"), undefined, name);
    const [record] = await authority.revocations();
    assert.deepEqual([record.by, record.at, record.reason], [admin.name, made.clock.now(), "laptop lost"]);
    assert.equal(made.records.at(-1)!.name, "cert.revoked");
  }
});

Deno.test("who or what is revoked gets no certificate any more", async () => {
  using made = await scene();
  const { authority } = made;
  await authority.revoke({ kind: "identity", issuer: "https://id.example", subject: "ann-1" }, admin);
  await authority.revoke({ kind: "key", key: await otherKey.fingerprint() }, admin);
  await assert.rejects(authority.issueUser(user()), fails("refused", /identity has been revoked/));
  await assert.rejects(
    authority.issueUser(user(workload(), otherKey)),
    fails("refused", /key has been revoked/),
  );
  await assert.rejects(
    authority.issueHost(host(["web.mesh.example"])),
    fails("refused", /key has been revoked/),
  );
  await assert.rejects(
    authority.issueX509({ identity: ann(), csr: await csr(), names: [], remote }),
    fails("refused", /identity has been revoked/),
  );
  const revoked = await authority.revoked();
  assert.ok(revoked.isIdentityRevoked(ann()));
  assert.ok(!revoked.isIdentityRevoked(ann({ issuer: "https://other.example" })));
});

Deno.test("X.509 certificates fall with their serial, their key and their bearer", async () => {
  using made = await scene();
  const { authority } = made;
  const issue = async (subject: string) => {
    const identity = workload({ subject });
    const { serial } = await authority.issueX509({ identity, csr: await csr(), names: [], remote });
    const [{ fingerprint }] = await authority.issuedTo(identity);
    return { serial, fingerprint };
  };
  const [one, two, three, four] = [await issue("1"), await issue("2"), await issue("3"), await issue("4")];
  await authority.revoke(
    { kind: "x509-serial", serial: one.serial.toUpperCase().replace(/..(?=.)/g, "$&:") },
    admin,
  );
  await authority.revoke({ kind: "key", key: two.fingerprint }, admin);
  await authority.revoke({ kind: "identity", issuer: "https://cluster.example", subject: "3" }, admin);
  const { x509Serials } = await authority.revoked();
  assert.deepEqual([...x509Serials].sort(), [one, two, three].map(({ serial }) => serial).sort());
  assert.ok(!x509Serials.has(four.serial));
});

Deno.test("what is revoked while its certificate is made does not leave", async () => {
  let meanwhile: (() => Promise<unknown>) | undefined;
  const store = changedStore(openMemoryStore(), "issued", (inner) => ({
    insert: async (key, value) => {
      const kept = await inner.insert(key, value);
      await meanwhile?.();
      return kept;
    },
  }));
  using made = await scene({ store });
  const { authority } = made;
  meanwhile = () =>
    authority.revoke({ kind: "identity", issuer: "https://id.example", subject: "ann-1" }, admin);
  await assert.rejects(authority.issueUser(user()), fails("refused", /has been revoked/));
  meanwhile = undefined;

  let stands = true;
  using other = await scene({ stands: () => Promise.resolve(stands) });
  assert.ok(await other.authority.issueUser(user()));
  stands = false;
  await assert.rejects(other.authority.issueUser(user()), fails("refused", /taken back/));
});

Deno.test("withdrawing ends what a bearer has, and not what he may get", async () => {
  using made = await scene();
  const { authority, clock } = made;
  const { certificate: old } = await authority.issueUser({ ...user(), lifetime: 2 * MINUTE });
  await clock.advance(3 * MINUTE);
  const { certificate } = await authority.issueUser(user());
  const { serial } = await authority.issueX509({ identity: ann(), csr: await csr(), names: [], remote });
  await authority.withdraw(ann(), admin, "left");
  assert.equal(await fault(made, certificate, "ann@mycorp.example"), "revoked");
  assert.ok((await authority.revoked()).x509Serials.has(serial));
  assert.equal((await authority.revocations()).length, 2, "what has run out needs no revocation");
  assert.equal(await fault(made, old, "ann@mycorp.example"), "expired");
  const { certificate: again } = await authority.issueUser(user());
  assert.equal(await fault(made, again, "ann@mycorp.example"), undefined);
});

Deno.test("what cannot be revoked is said, and a root in use is rotated first", async () => {
  using made = await scene();
  const { authority } = made;
  const root = (await authority.authorities()).user[0];
  const bad: [Parameters<typeof authority.revoke>[0], CaError["code"]][] = [
    [{ kind: "serial", serial: "0" }, "invalid"],
    [{ kind: "serial", serial: "-1" }, "invalid"],
    [{ kind: "serial", serial: "18446744073709551616" }, "invalid"],
    [{ kind: "serial", serial: "12ab" }, "invalid"],
    [{ kind: "x509-serial", serial: "xyz" }, "invalid"],
    [{ kind: "x509-serial", serial: "0" }, "invalid"],
    [{ kind: "key-id", keyId: "" }, "invalid"],
    [{ kind: "key-id", keyId: "a\0b" }, "invalid"],
    [{ kind: "key", key: "SHA256:short" }, "invalid"],
    [{ kind: "key", key: "ssh-ed25519 AAAA" }, "invalid"],
    [{ kind: "key", key: "" }, "invalid"],
    [{ kind: "identity", issuer: "", subject: "x" }, "invalid"],
    [{ kind: "key", key: formatPublicKey(root) }, "refused"],
    [{ kind: "key", key: await root.fingerprint() }, "refused"],
  ];
  for (const [revocation, code] of bad) {
    await assert.rejects(authority.revoke(revocation, admin), fails(code), JSON.stringify(revocation));
  }
  assert.deepEqual(await authority.revocations(), []);
});

Deno.test("the edition of the list counts up, and equal lists have equal bytes", async () => {
  using made = await scene();
  const { authority } = made;
  assert.equal((await authority.revoked()).krl.version, 0n);
  await authority.revoke({ kind: "serial", serial: "007" }, admin);
  await authority.revoke({ kind: "serial", serial: "7" }, admin);
  await authority.revoke({ kind: "serial", serial: "3" }, admin);
  const { krl } = await authority.revoked();
  assert.equal(krl.version, 2n);
  const { user: [userRoot], host: [hostRoot] } = await authority.authorities();
  assert.deepEqual(krl.certificates.map(({ authority }) => authority?.blob), [userRoot.blob, hostRoot.blob]);
  assert.deepEqual(krl.certificates[0].serials, [{ first: 3n, last: 3n }, { first: 7n, last: 7n }]);
});

Deno.test("who watches hears of revocations, of other processes' too, and of roots, until he stops", async () => {
  using made = await scene();
  const other = await openAuthority(made.parts);
  let heard = 0;
  const stop = made.authority.watch(() => heard++);
  await made.authority.revoke({ kind: "serial", serial: "1" }, admin);
  await settle();
  assert.equal(heard, 1);
  await other.revoke({ kind: "serial", serial: "2" }, admin);
  await settle();
  assert.equal(heard, 2);
  assert.equal((await made.authority.revoked()).krl.version, 2n);
  await made.authority.rotate("user");
  assert.equal(heard, 3);
  stop();
  await made.authority.revoke({ kind: "serial", serial: "3" }, admin);
  await settle();
  assert.equal(heard, 3);
  other.close();
});
