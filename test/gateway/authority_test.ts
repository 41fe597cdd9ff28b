/** A gateway with a certificate authority: certificates by command, revocation of what is open, machines that join. */
import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import { type Enrolment, openEnrolment } from "../../src/ca/enrolment.ts";
import type { LocalAuthority } from "../../src/ca/local.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import type { Certificate } from "../../src/cert/types.ts";
import { OwnCertificates } from "../../src/gateway/own_certificates.ts";
import { Repeated } from "../../src/gateway/repeated.ts";
import { decodeUserCas, encodeInstance } from "../../src/mesh/requests.ts";
import { parseKnownHosts } from "../../src/keys/known_hosts.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import type { Signer } from "../../src/keys/types.ts";
import { withCertificate } from "../../src/cert/certificate.ts";
import { generatePrivateKey, type PrivateKey } from "../../src/keys/private_key.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { MemoryState } from "../ca/scene.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { waitUntil } from "../support/wait.ts";
import {
  startTestGateway,
  type TestClient,
  type TestGateway,
  type TestGatewayOptions,
  testKey,
} from "./in_memory.ts";

const ann = await testKey("ann");
const bob = await testKey("bob");
const eve = await testKey("eve");
const fresh = await generatePrivateKey("ssh-ed25519");
const freshLine = formatPublicKey(fresh.publicKey, "fresh");

interface Scene extends AsyncDisposable {
  readonly site: TestGateway;
  readonly authority: LocalAuthority;
  readonly enrolment: Enrolment;
}

/** Ann is the owner; others need rules. */
async function startScene(
  options: Omit<TestGatewayOptions, "keys"> & {
    readonly users?: readonly string[];
    readonly trustDomains?: readonly string[];
    /** By which join tokens end; else by that of all. */
    readonly tokenClock?: Clock;
  } = {},
): Promise<Scene> {
  const { clock = systemClock, tokenClock = clock, domain = "gw.example", users = [] } = options;
  const store = openMemoryStore();
  const record = () => {};
  const authority = await openAuthority({
    state: new MemoryState(),
    store,
    clock: clock as Clock,
    config: { domain, trustDomain: domain, profiles: [] },
    record,
  });
  const enrolment = openEnrolment({
    store,
    clock: tokenClock,
    domain,
    hosts: () => Promise.resolve(["SHA256:host"]),
    record,
    withdraw: (...args) => authority.withdraw(...args),
  });
  const hostKey = await generatePrivateKey("ssh-ed25519");
  const own = new OwnCertificates({
    authority,
    hostKeys: [hostKey],
    domain,
    trustDomains: [domain, ...options.trustDomains ?? []],
    // HTTPS has a test of its own.
    tls: () => ({ certificate: "", privateKey: "" }),
    clock,
  });
  const site = await startTestGateway({
    ...options,
    domain,
    keys: [ann.line, ...users.map((line) => `user:${line}`)],
    hostKey,
    trust: { enrolment },
    parts: {
      authority,
      revocations: () => authority.revocations(),
      rotate: (kind, options) => authority.rotate(kind, options),
      enrolment,
      hostSigners: () => own.signers,
    },
  });
  await own.start(site.gateway);
  const again = new Repeated(clock, 10, () => site.gateway.apply({ trust: { enrolment } }));
  const stop = enrolment.watch(() => again.ask());
  return {
    site,
    authority,
    enrolment,
    async [Symbol.asyncDispose]() {
      stop();
      again.stop();
      own.stop();
      authority.close();
      await site[Symbol.asyncDispose]();
      await store.close();
    },
  };
}

/** Asks for a certificate for `key`. */
async function certify(
  client: TestClient,
  key: PrivateKey,
  command = "cert",
): Promise<Signer & { read: Certificate }> {
  const { out, err, code } = await client.run(command, `${formatPublicKey(key.publicKey)}\n`);
  assert.equal(code, 0, err);
  const { certificate } = parsePublicKeyLine(out);
  return Object.assign(withCertificate(key, certificate!), { read: parseCertificate(certificate!) });
}

Deno.test("cert gives a certificate that logs in as the same person, with the groups that rules see", async () => {
  await using scene = await startScene({
    users: [bob.line],
    policy: `groups: { sre: { key: "${bob.fingerprint}" } }
rules: [{ who: { group: sre }, may: [connect], what: { node: web } }]
`,
  });
  const { site } = scene;
  await (await site.connect(ann.key)).serve("web", 22, "hi");
  const signer = await certify(await site.connect(bob.key), fresh, "cert --ttl 5m");
  assert.deepEqual(signer.read.principals, [bob.fingerprint, "group:sre"]);
  assert.ok(Number(signer.read.validBefore) * 1000 - Date.now() <= 300_000);
  const client = await site.connect(signer);
  const who = JSON.parse((await client.run("whoami --json")).out);
  assert.deepEqual({ kind: who.kind, name: who.name, groups: who.groups, owner: who.owner }, {
    kind: "ssh-cert",
    name: bob.fingerprint,
    groups: ["sre"],
    owner: false,
  });
  assert.equal(await client.ask("web", 22), "hi");
});

Deno.test("certificate begets no certificate, whatever the rules", async () => {
  await using scene = await startScene({
    policy: `rules: [{ who: authenticated, may: [cert, admin] }]`,
  });
  const client = await scene.site.connect(await certify(await scene.site.connect(ann.key), fresh));
  const { code, err } = await client.run("cert", freshLine);
  assert.equal(code, 77);
  assert.match(err, /^a certificate does not get another certificate/);
});

Deno.test("cert refuses what is no public key, and says what to do", async () => {
  await using scene = await startScene();
  const client = await scene.site.connect(ann.key);
  const certificate = (await client.run("cert", freshLine)).out;
  const table: [string, string, number, RegExp][] = [
    ["cert", "", 65, /there is no public key/],
    ["cert", "hello", 65, /that is no public key/],
    ["cert", fresh.format(), 65, /that is a private key: send the file that ends in \.pub/],
    ["cert", certificate, 65, /that is a certificate/],
    ["cert", `${freshLine}\n${freshLine}`, 65, /more than one line/],
    ["cert", "x".repeat(17 * 1024), 65, /more than 16384 bytes/],
    ["cert --ttl soon", freshLine, 64, /'soon' is not a duration/],
    ["cert --ttl", freshLine, 64, /--ttl needs a value/],
    ["cert --ttl 9d", freshLine, 65, /./],
    ["cert --forever", freshLine, 64, /'--forever' is not understood/],
  ];
  for (const [command, input, code, sentence] of table) {
    const outcome = await client.run(command, input);
    assert.equal(outcome.code, code, `${command}: ${outcome.err}`);
    assert.match(outcome.err, sentence);
    assert.equal(outcome.out, "");
  }
});

Deno.test("cert --host is for leased names that a rule gives, and for no other", async () => {
  await using scene = await startScene({
    users: [bob.line, eve.line],
    policy: `rules:
  - { who: { key: "${bob.fingerprint}" }, may: [register], what: { node: [web, db] } }
  - { who: { key: "${bob.fingerprint}" }, may: [cert-host], what: { node: web } }
`,
  });
  const { site } = scene;
  const client = await site.connect(bob.key);
  const before = await client.run("cert --host", freshLine);
  assert.equal(before.code, 77);
  assert.match(before.err, /you serve no name now/);
  await client.serve("db", 22);
  assert.equal((await client.run("cert --host", freshLine)).code, 77);
  await client.serve("web", 22);
  const { read } = await certify(client, fresh, "cert --host");
  assert.equal(read.role, "host");
  assert.deepEqual(read.principals, ["web.gw.example"]);
  // On another connection of the same identity too, and never for somebody else's lease.
  assert.deepEqual((await certify(await site.connect(bob.key), fresh, "cert --host")).read.principals, [
    "web.gw.example",
  ]);
  assert.equal((await (await site.connect(eve.key)).run("cert --host", freshLine)).code, 77);
  client.close();
  const later = await site.connect(bob.key);
  await waitUntil("the lease to end", async () => (await later.run("cert --host", freshLine)).code === 77);
});

Deno.test("known-hosts names the domain, its nodes and the client's own FQDNs, and never everybody", async () => {
  await using scene = await startScene();
  const client = await scene.site.connect(ann.key);
  await client.serve("web", 22);
  const { out } = await client.run("known-hosts");
  const { entries, faults } = parseKnownHosts(out);
  assert.deepEqual(faults, []);
  assert.deepEqual(entries.map(({ marker, hosts }) => [marker, hosts]), [
    ["cert-authority", "gw.example,[gw.example]:15022,*.gw.example"],
    [undefined, "[gw.example]:15022"],
  ]);
  const { host } = await scene.authority.authorities();
  assert.deepEqual(entries[0].key.blob, host[0].blob);
  assert.equal((await client.run("ca host")).out, `${formatPublicKey(host[0])}\n`);
});

Deno.test("workloads of trust domains are in known-hosts before they come, other nodes elsewhere by their names", async () => {
  await using scene = await startScene({ trustDomains: ["prod.example", "gcp.gw.example"] });
  const client = await scene.site.connect(ann.key);
  await client.serve("db.example.com", 22);
  const [line] = (await client.run("known-hosts")).out.split("\n");
  const [marker, hosts] = line.split(" ");
  assert.equal(marker, "@cert-authority");
  const expected = "gw.example,[gw.example]:15022,*.gw.example,*.svc.prod.example,db.example.com";
  assert.equal(hosts, expected);
});

Deno.test("the gateway shows a host certificate, and a new one when two thirds of its life are over", async () => {
  const clock = new FakeClock(Date.now());
  await using scene = await startScene({ clock });
  const shown = async () => {
    const { connection } = await scene.site.connect(ann.key);
    const { certificate } = connection.provenHostKey!;
    connection.close();
    return certificate!;
  };
  const first = await shown();
  assert.equal(first.role, "host");
  assert.deepEqual(first.principals, ["gw.example"]);
  await clock.advance(15 * 3_600_000);
  assert.equal((await shown()).serial, first.serial);
  await clock.advance(2 * 3_600_000);
  await waitUntil("a new certificate", async () => (await shown()).serial !== first.serial);
});

Deno.test("what is revoked ends what it has open, at once, and lets nobody in again", async (t) => {
  const ways: [string, (read: Certificate) => string | Promise<string>][] = [
    ["serial", ({ serial }) => `serial ${serial}`],
    ["key id", ({ keyId }) => `key-id ${keyId}`],
    ["key", async ({ publicKey }) => `key ${await publicKey.fingerprint()}`],
    ["key line", ({ publicKey }) => `key ${formatPublicKey(publicKey)}`],
    ["key in base64", ({ publicKey }) => `key ${formatPublicKey(publicKey).split(" ")[1]}`],
    ["identity", () => `identity key ${bob.fingerprint}`],
  ];
  for (const [name, way] of ways) {
    await t.step(name, async () => {
      await using scene = await startScene({
        users: [bob.line],
        policy: `rules: [{ who: authenticated, may: [connect], what: { node: web } }]`,
      });
      const { site } = scene;
      const owner = await site.connect(ann.key);
      await owner.serve("web", 22);
      const signer = await certify(await site.connect(bob.key), fresh);
      const client = await site.connect(signer);
      const channel = await client.open("web", 22);
      const began = performance.now();
      const { code, err } = await owner.run(`revoke ${await way(signer.read)} --reason lost in a train`);
      assert.equal(code, 0, err);
      await client.connection.closed;
      assert.ok(performance.now() - began < 5000);
      assert.equal(await channel.read(new Uint8Array(8)).catch(() => null), null);
      await assert.rejects(site.connect(signer));
      assert.ok(site.audit.some(({ reason }) => reason === "withdrawn: revoked"));
      assert.ok(site.audit.some(({ reason }) => reason === "revoked"));
      assert.equal(site.flows.at(-1)!.end, "revoked");
      const [record] = JSON.parse((await owner.run("revoked --json")).out);
      assert.equal(record.reason, "lost in a train");
      assert.equal(record.by, ann.fingerprint);
      assert.equal((await owner.run("krl")).code, 0);
    });
  }
});

Deno.test("only administrators revoke, and make and see tokens", async () => {
  await using scene = await startScene({ users: [bob.line] });
  const client = await scene.site.connect(bob.key);
  for (const command of ["revoke serial 1", "revoked", "token create --name x", "token ls", "token rm 1"]) {
    const { code, err } = await client.run(command);
    assert.equal(code, 77, command);
    assert.match(err, /you are not permitted to 'admin' here/);
  }
  const owner = await scene.site.connect(ann.key);
  const wrong = [
    "revoke",
    "revoke serial x",
    "revoke colour blue",
    "revoke serial 1 2",
    "token",
    "token create",
    "token rm",
  ];
  for (const command of wrong) assert.equal((await owner.run(command)).code, 64, command);
  assert.equal((await owner.run("token rm 0000000000000000")).code, 65);
});

/** Connects with a join token. */
function connectWithToken(site: TestGateway, password: string) {
  return site.connectWith({ credentials: [{ method: "password", password }] });
}

Deno.test("a join token enrols a key once, and does nothing else; the key serves its name until it is taken back", async () => {
  await using scene = await startScene();
  const { site } = scene;
  const owner = await site.connect(ann.key);
  const { token, id, name } = JSON.parse((await owner.run("token create --name web --ttl 1h --json")).out);
  assert.equal(name, "web.gw.example");
  assert.ok(!JSON.stringify(site.audit).includes(token.slice(10, 60)));

  const joining = await connectWithToken(site, token);
  for (const command of ["whoami", "known-hosts", "cert", "help", "ls", "token ls"]) {
    const { code, err } = await joining.run(command, freshLine);
    assert.equal(code, 77, command);
    assert.match(err, /^a join token is for join/);
  }
  await assert.rejects(joining.serve("web", 22));
  await assert.rejects(joining.open("web", 22));
  assert.equal((await joining.run("join", "nonsense")).code, 65);
  assert.equal((await joining.run("join", freshLine)).out, "web.gw.example\n");
  await assert.rejects(connectWithToken(site, token), "it works once");
  assert.equal((await owner.run("join", freshLine)).code, 77);

  const machine = await site.connect(fresh);
  const who = JSON.parse((await machine.run("whoami --json")).out);
  assert.deepEqual({ name: who.name, issuer: who.issuer, owner: who.owner, fqdn: who.fqdn }, {
    name: "web.gw.example",
    issuer: "enrolled",
    owner: false,
    fqdn: "web.gw.example",
  });
  await machine.serve("web.gw.example", 22);
  await assert.rejects(machine.serve("db", 22));
  await assert.rejects(machine.open("web", 22));
  assert.deepEqual((await certify(machine, bob.key, "cert --host")).read.principals, ["web.gw.example"]);
  const certified = await certify(machine, eve.key);
  assert.ok(JSON.parse((await owner.run("token ls --json")).out)[0].used);

  assert.equal((await owner.run(`token rm ${id}`)).code, 0);
  await machine.connection.closed;
  await assert.rejects(site.connect(fresh));
  await assert.rejects(site.connect(certified), "what it was given is revoked");
});

Deno.test("clients are asked for a token while one is open, and not before or after", async () => {
  // Logins take their own time: a clock that ran while they compute would end the token, or them, on a busy machine.
  const tokenClock = new FakeClock(Date.now());
  await using scene = await startScene({ tokenClock });
  const { site } = scene;
  const methods = async () => {
    const credentials = [{ method: "password", password: "x" }] as const;
    return (await site.connectWith({ credentials }).catch((error) => error)).methods as string[];
  };
  assert.deepEqual(await methods(), ["publickey"]);
  const owner = await site.connect(ann.key);
  assert.equal((await owner.run("token create --name web --ttl 1m")).code, 0);
  assert.deepEqual(await methods(), ["publickey", "keyboard-interactive", "password"]);
  owner.close();
  await tokenClock.advance(61_000);
  assert.deepEqual(await methods(), ["publickey"]);
});

Deno.test("agents learn whose certificates count, and are told when that changes", async () => {
  await using scene = await startScene();
  const { site, authority } = scene;
  const agent = await site.connect(ann.key);
  let told = 0;
  agent.router.onRequest("trust@ssh-mesh", () => {
    told++;
    return true;
  });
  await agent.connection.request("instance@ssh-mesh", encodeInstance("one"), true);
  const ask = async () => {
    const reply = await agent.connection.request("user-ca@ssh-mesh", new Uint8Array(), true);
    return decodeUserCas(reply as Uint8Array<ArrayBuffer>).map((blob) => formatPublicKey(blob.slice()));
  };
  const before = (await authority.authorities()).user.map((key) => formatPublicKey(key));
  assert.deepEqual(await ask(), before);
  await authority.rotate("user", { overlap: 0 });
  await waitUntil("the word", () => told > 0);
  assert.equal((await ask()).length, 2);
  const heard = told;
  await authority.revoke({ kind: "serial", serial: "42" }, { name: "ann", remote: "test" });
  await waitUntil("the next word", () => told > heard);
});

Deno.test("rotation of the user authority lets old certificates in, and new ones", async () => {
  await using scene = await startScene();
  const owner = await scene.site.connect(ann.key);
  const old = await certify(owner, fresh);
  await scene.authority.rotate("user", { overlap: 0 });
  const young = await certify(owner, fresh);
  assert.notDeepEqual(young.read.signatureKey.blob, old.read.signatureKey.blob);
  await waitUntil("the new one to count", () => scene.site.connect(young).then(() => true, () => false));
  await scene.site.connect(old);
});

Deno.test("ca rotate makes a new root that signs at once or after the overlap, for administrators", async () => {
  await using scene = await startScene({ users: [bob.line] });
  const { site } = scene;
  const client = await site.connect(ann.key);
  const lines = async () => (await client.run("ca user")).out.trim().split("\n");
  const [first] = await lines();
  assert.equal((await client.run("ca rotate user --overlap 1h")).code, 0);
  const [stillSigns, next] = await lines();
  assert.equal(stillSigns, first);
  assert.notEqual(next, undefined);
  const { read } = await certify(client, fresh);
  assert.equal(formatPublicKey(read.signatureKey), first);
  assert.equal((await client.run("ca rotate host --overlap 0")).code, 0);
  const table: [TestClient, string, number, RegExp][] = [
    [await site.connect(bob.key), "ca rotate user", 77, /./],
    [client, "ca rotate", 64, /^write ca rotate/],
    [client, "ca rotate everything", 64, /^write ca rotate/],
    [client, "ca rotate user --overlap soon", 64, /^--overlap: /],
  ];
  for (const [who, command, code, sentence] of table) {
    const outcome = await who.run(command);
    assert.equal(outcome.code, code, `${command}: ${outcome.err}`);
    assert.match(outcome.err, sentence);
  }
});

Deno.test("a certificate permits no more than the line of the key that it was got with", async () => {
  const lines = {
    ranges: `from="192.0.2.0/24,10.0.0.1"`,
    patterns: `from="192.0.2.*,!192.0.2.9"`,
    command: `command="whoami"`,
    restricted: "restrict",
    open: `permitopen="web:22"`,
  };
  const keys = Object.fromEntries(
    await Promise.all(Object.keys(lines).map(async (name) => [name, await testKey(name)] as const)),
  );
  await using scene = await startScene({
    users: Object.entries(lines).map(([name, options]) => `${options} ${keys[name].line}`),
  });
  const from = async (name: string) => await scene.site.connect(keys[name].key, { from: "192.0.2.1" });
  const source = async (name: string) => {
    const { read } = await certify(await from(name), fresh);
    const value = read.criticalOptions.get("source-address");
    return value && new TextDecoder().decode(value);
  };
  assert.match((await source("ranges"))!, /^192\.0\.2\.0\/24,10\.0\.0\.1(\/32)?$/);
  assert.match((await source("patterns"))!, /^192\.0\.2\.1(\/32)?$/);
  for (const name of ["restricted", "open"]) {
    const { code, err } = await (await from(name)).run("cert", freshLine);
    assert.equal(code, 77, name);
    assert.match(err, /your key's line permits less than a certificate would/);
  }
  // The forced command is all that this key runs: it gets no certificate either.
  assert.match((await (await from("command")).run("cert", freshLine)).out, /^name/);
});
