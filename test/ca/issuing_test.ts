/** Who gets which certificate. */
import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import { certificateIdentity } from "../../src/identity/ssh_certificate.ts";
import type { IdentityKind } from "../../src/identity/principal.ts";
import { parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { StoreError } from "../../src/store/types.ts";
import { csr, fails, fault, host, user } from "./requests.ts";
import { ann, changedStore, DAY, HOUR, MINUTE, remote, scene, someKey, workload } from "./scene.ts";

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
