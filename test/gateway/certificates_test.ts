/** Certificates that the gateway gives: to whom, for what, and its own. */
import assert from "node:assert/strict";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { waitUntil } from "../support/wait.ts";
import { testKey } from "./in_memory.ts";
import { ann, certify, startScene } from "./authority_scene.ts";

const bob = await testKey("bob");
const eve = await testKey("eve");
const fresh = await generatePrivateKey("ssh-ed25519");
const freshLine = formatPublicKey(fresh.publicKey, "fresh");

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
