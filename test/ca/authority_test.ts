import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import { type Authorities, CaError } from "../../src/ca/types.ts";
import { checkCertificate } from "../../src/cert/check.ts";
import { RevocationList } from "../../src/cert/revocation.ts";
import type { Certificate } from "../../src/cert/types.ts";
import { certificateIdentity } from "../../src/identity/ssh_certificate.ts";
import type { Identity, IdentityKind } from "../../src/identity/principal.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import type { PublicKey } from "../../src/keys/types.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { StoreError } from "../../src/store/types.ts";
import { Pkcs10CertificateRequestGenerator } from "../../src/x509/library.ts";
import { settle } from "../support/fake_clock.ts";
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

const fails = (code: CaError["code"], words: RegExp = /./) => (error: unknown) =>
  error instanceof CaError && error.code === code && words.test(error.message);

const user = (identity: Identity = ann(), publicKey: PublicKey = someKey) => ({
  identity,
  publicKey,
  remote,
});
const host = (names: string[], identity: Identity = workload()) => ({ ...user(identity, otherKey), names });

/** A request for X.509, made with a key of its own. */
async function csr() {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
  });
  return new Uint8Array(request.rawData);
}

async function fault(
  { authority, clock }: Scene,
  certificate: Certificate,
  principal: string,
  at = clock.now(),
) {
  const authorities = await authority.authorities();
  const { role } = certificate;
  const list = new RevocationList((await authority.revoked()).krl);
  return await checkCertificate(certificate, {
    role,
    principals: [principal],
    now: at,
    peerAddress: "192.0.2.7",
    trusted: ({ blob }) => authorities[role].some((key) => formatPublicKey(key) === formatPublicKey(blob)),
    revoked: (one) => list.isRevoked(one),
  });
}

Deno.test("a user certificate counts for its bearer until its time is over", async () => {
  using made = await scene();
  const { certificate, line } = await made.authority.issueUser(user(ann({ groups: ["sre"] })));
  assert.deepEqual(parsePublicKeyLine(line).certificate, certificate.blob);
  assert.equal(parsePublicKeyLine(line).comment, "ann@mycorp.example");
  assert.equal(await fault(made, certificate, "ann@mycorp.example"), undefined);
  assert.equal(await fault(made, certificate, "group:sre"), undefined);
  assert.equal(await fault(made, certificate, "root"), "principal");
  assert.equal(
    await fault(made, certificate, "ann@mycorp.example", made.clock.now() + 10 * MINUTE),
    "expired",
  );
});

Deno.test("what the authority certifies, it reads back as the same person with the same groups", async () => {
  using made = await scene();
  const { certificate } = await made.authority.issueUser(user(workload({ groups: ["sre"] })));
  const identity = certificateIdentity(certificate, {
    fingerprint: await someKey.fingerprint(),
    authority: await (await made.authority.authorities()).user[0].fingerprint(),
    trustDomain: "prod.example",
    ours: true,
  });
  const { name, fqdn, trustDomain, groups } = workload({ groups: ["sre"] });
  assert.deepEqual(
    [identity.name, identity.fqdn, identity.trustDomain, identity.groups],
    [name, fqdn, trustDomain, groups],
  );
});

Deno.test("a token whose subject is root gets no certificate for root, and is called root in rules all the same", async () => {
  using made = await scene();
  const names = ["root", "web.mesh.example"];
  const context = {
    fingerprint: await someKey.fingerprint(),
    authority: "SHA256:x",
    trustDomain: "mesh.example",
    ours: true,
  };
  for (const name of names) {
    const { certificate } = await made.authority.issueUser(user(ann({ name, subject: name })));
    assert.deepEqual(certificate.principals, [`name:${name}`]);
    assert.equal(await fault(made, certificate, name), "principal");
    const { fqdn, trustDomain, ...identity } = certificateIdentity(certificate, context);
    assert.deepEqual([identity.name, fqdn, trustDomain], [name, undefined, undefined]);
    // Of another's authority it is what is written.
    assert.equal(certificateIdentity(certificate, { ...context, ours: false }).name, `name:${name}`);
  }
  await assert.rejects(made.authority.issueUser(user(ann({ name: "group:sre" }))), fails("refused"));
});

Deno.test("two certificates for one key, one of a user and one of a host, are signed by different roots", async () => {
  using made = await scene();
  const { authority } = made;
  const one = await authority.issueUser(user(workload()));
  const two = await authority.issueHost({ ...host(["web.shop.svc.prod.example"]), publicKey: someKey });
  const { user: users, host: hosts } = await authority.authorities();
  assert.deepEqual(one.certificate.signatureKey.blob, users[0].blob);
  assert.deepEqual(two.certificate.signatureKey.blob, hosts[0].blob);
  assert.notDeepEqual(users[0].blob, hosts[0].blob);
  assert.equal(await fault(made, two.certificate, "web.shop.svc.prod.example"), undefined);
});

Deno.test("host certificate for someone else's name: the gateway's, localhost and addresses are refused", async () => {
  using made = await scene();
  for (const name of ["mesh.example", "localhost", "127.0.0.1", "::1", "*.mesh.example", "web"]) {
    await assert.rejects(made.authority.issueHost(host([name])), fails("refused"), name);
    await assert.rejects(
      made.authority.issueX509({ identity: workload(), csr: await csr(), names: [name], remote }),
      fails("refused"),
      name,
    );
  }
  await assert.rejects(made.authority.issueHost(host([])), fails("refused"));
  assert.ok(await made.authority.issueHost({ ...host(["mesh.example"]), gateway: true }));
});

Deno.test("certificate begets certificate: who may ask for what", async () => {
  using made = await scene();
  const { authority } = made;
  const cases: [IdentityKind, boolean, boolean][] = [
    ["key", true, true],
    ["jwt", true, true],
    ["oidc", true, true],
    ["x509", true, false],
    ["ssh-cert", false, false],
    ["join", false, false],
    ["anonymous", false, false],
  ];
  for (const [kind, ssh, x509] of cases) {
    const identity = workload({ kind, expiresAt: made.clock.now() + 5 * MINUTE });
    const request = await csr();
    const asked: [boolean, () => Promise<unknown>][] = [
      [ssh, () => authority.issueUser(user(identity))],
      [ssh, () => authority.issueHost(host(["web.mesh.example"], identity))],
      [x509, () => authority.issueX509({ identity, csr: request, names: [], remote })],
    ];
    for (const [may, answer] of asked) {
      if (may) await answer();
      else await assert.rejects(answer(), fails("refused", /no certificate/), kind);
    }
  }
});

Deno.test("every issue and every refusal leaves one record, and nothing secret is in it", async () => {
  using made = await scene();
  const { authority, records } = made;
  records.length = 0;
  const { certificate } = await authority.issueUser(user());
  await authority.issueHost(host(["web.mesh.example"]));
  const x509 = await authority.issueX509({ identity: workload(), csr: await csr(), names: [], remote });
  await assert.rejects(authority.issueUser(user(ann({ name: "deploy,root" }))));
  await assert.rejects(authority.issueUser({ ...user(), lifetime: DAY }));
  assert.deepEqual(records.map(({ name, details }) => [name, details.kind]), [
    ["cert.issued", "user"],
    ["cert.issued", "host"],
    ["cert.issued", "x509"],
    ["cert.refused", "user"],
    ["cert.refused", "user"],
  ]);
  assert.deepEqual(records[0].details, {
    kind: "user",
    serial: certificate.serial.toString(),
    principals: ["ann@mycorp.example"],
    expires: "2026-08-01T12:10:00.000Z",
    profile: "default",
    fingerprint: await someKey.fingerprint(),
    keyId: certificate.keyId,
  });
  assert.equal(records[2].details.serial, x509.serial);
  assert.match(String(records[3].details.reason), /',' is in it/);
  for (const { context } of records) assert.equal(context.remote, remote);
  assert.equal(records[0].context.identity?.name, "ann@mycorp.example");
});

Deno.test("an X.509 certificate names the workload, and lasts no longer than its sign-in", async () => {
  using made = await scene();
  const { authority, clock } = made;
  const identity = workload({ expiresAt: clock.now() + HOUR });
  const issued = await authority.issueX509({
    identity,
    csr: await csr(),
    names: ["web.mesh.example"],
    remote,
  });
  assert.equal(issued.expiresAt, clock.now() + HOUR);
  assert.match(issued.serial, /^[0-9a-f]{32}$/);
  assert.deepEqual(issued.chain, [...(await authority.authorities()).x509]);
  await assert.rejects(
    authority.issueX509({ identity, csr: new Uint8Array([1, 2, 3]), names: [], remote }),
    fails("invalid"),
  );
});

Deno.test("keys of the authority are certified by nobody", async () => {
  using made = await scene();
  const { user: [root], host: [hosts] } = await made.authority.authorities();
  for (const key of [root, hosts]) {
    await assert.rejects(
      made.authority.issueUser(user(ann(), key)),
      fails("refused", /key of the authority/),
    );
  }
});

Deno.test("serial numbers are unique over restarts: one that is taken is drawn again", async () => {
  const store = openMemoryStore();
  const serials = new Set<string>();
  using first = await scene({ store });
  for (let restart = 0; restart < 3; restart++) {
    const authority = await openAuthority(first.parts);
    for (let n = 0; n < 20; n++) {
      const { certificate } = await authority.issueUser(user());
      assert.ok(certificate.serial > 0n && certificate.serial < 2n ** 63n);
      serials.add(certificate.serial.toString());
    }
    authority.close();
  }
  assert.equal(serials.size, 60);
  const kept = await store.collection("issued").list();
  assert.deepEqual(kept.map(({ key }) => key.slice("ssh:".length)).sort(), [...serials].sort());
});

Deno.test("a serial number that is taken is drawn again, and a generator that repeats itself is found out", async () => {
  let taken = 1;
  const store = changedStore(openMemoryStore(), "issued", (inner) => ({
    insert: (key, value) => taken-- > 0 ? Promise.resolve(undefined) : inner.insert(key, value),
  }));
  using made = await scene({ store });
  assert.ok(await made.authority.issueUser(user()));
  taken = 3;
  await assert.rejects(made.authority.issueUser(user()), fails("unavailable", /serial number/));
});

Deno.test("without a record there is no certificate", async () => {
  const store = changedStore(openMemoryStore(), "issued", () => ({
    insert: () => Promise.reject(new StoreError("failed", "the disk is full")),
  }));
  using made = await scene({ store });
  await assert.rejects(made.authority.issueUser(user()), fails("unavailable", /cannot keep its records/));
  await assert.rejects(
    made.authority.issueX509({ identity: workload(), csr: await csr(), names: [], remote }),
    fails("unavailable", /cannot keep its records/),
  );
  assert.ok(made.records.every(({ name }) => name !== "cert.issued"));
});

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

Deno.test("rotation under way: old and new are trusted, the old one signs, then the new one, then the old one goes", async () => {
  using made = await scene();
  const { authority, clock } = made;
  const prints = async (list: Authorities["user"]) => await Promise.all(list.map((key) => key.fingerprint()));
  const signer = async () => await (await authority.issueUser(user())).certificate.signatureKey.fingerprint();
  let heard = 0;
  authority.watch(() => heard++);
  const [old] = await prints((await authority.authorities()).user);
  const before = (await authority.issueUser(user(workload()))).certificate;

  await authority.rotate("user", { overlap: HOUR });
  const both = await prints((await authority.authorities()).user);
  assert.equal(both.length, 2);
  assert.equal(both[0], old);
  assert.equal(await signer(), old);
  assert.equal(heard, 1);

  // Restart in the middle of it: nothing is forgotten.
  const restarted = await openAuthority(made.parts);
  assert.deepEqual(await prints((await restarted.authorities()).user), both);
  restarted.close();

  await clock.advance(HOUR);
  assert.equal(heard, 2, "it is told when the new one begins to sign");
  assert.equal(await signer(), both[1]);
  assert.deepEqual(await prints((await authority.authorities()).user), [both[1], old]);
  assert.equal(await fault(made, before, "web@shop.prod.example"), undefined);

  await clock.advance(7 * DAY);
  assert.equal(heard, 3, "it is told when the old one is dropped");
  assert.deepEqual(await prints((await authority.authorities()).user), [both[1]]);
  const dropped = made.state.files.get("ca_user_1")!;
  assert.ok(dropped.length > 0);
  (await openAuthority(made.parts)).close();
  assert.equal(
    made.state.files.get("ca_user_1")!.length,
    0,
    "the next start forgets its private key",
  );
});

Deno.test("rotating under live traffic: every certificate that leaves counts at once, and after", async () => {
  using made = await scene();
  const { authority } = made;
  const issued: Certificate[] = [];
  let goOn = true;
  const traffic = Array.from({ length: 8 }, async () => {
    while (goOn) {
      const { certificate } = await authority.issueUser(user());
      assert.equal(await fault(made, certificate, "ann@mycorp.example"), undefined);
      issued.push(certificate);
      await settle();
    }
  });
  // Twice as many as are under way at once: some were asked for and signed in between.
  const more = async () => {
    const enough = issued.length + 2 * traffic.length;
    while (issued.length < enough) await Promise.race([settle(), Promise.all(traffic)]);
  };
  await more();
  for (const overlap of [0, HOUR, 0, 0]) {
    await authority.rotate("user", { overlap });
    await more();
  }
  goOn = false;
  await Promise.all(traffic);
  for (const certificate of issued) {
    assert.equal(await fault(made, certificate, "ann@mycorp.example"), undefined);
  }
  const signers = new Set(issued.map(({ signatureKey }) => formatPublicKey(signatureKey)));
  assert.equal(signers.size, 4, "the first root and the three that signed at once");
});

Deno.test("rotating X.509 roots: chains lead to the new one, both are trusted", async () => {
  using made = await scene();
  const { authority } = made;
  const [old] = (await authority.authorities()).x509;
  await authority.rotate("x509", { overlap: 0 });
  const { x509 } = await authority.authorities();
  assert.equal(x509.length, 2);
  assert.equal(x509[1], old);
  const issued = await authority.issueX509({ identity: workload(), csr: await csr(), names: [], remote });
  assert.deepEqual(issued.chain, [x509[0]]);
});

Deno.test("a closed authority leaves no timer behind", async () => {
  const made = await scene();
  await made.authority.rotate("host");
  assert.equal(made.clock.pending, 2, "the next root, and forgetting");
  made.authority.close();
  assert.equal(made.clock.pending, 0);
});
