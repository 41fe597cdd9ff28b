/** Whom the gateway says to trust, and what it takes back: known hosts, authorities of users, rotation, revocation. */
import assert from "node:assert/strict";
import type { Certificate } from "../../src/cert/types.ts";
import { decodeUserCas, encodeInstance } from "../../src/mesh/requests.ts";
import { parseKnownHosts } from "../../src/keys/known_hosts.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { waitUntil } from "../support/wait.ts";
import { type TestClient, testKey } from "./in_memory.ts";
import { ann, certify, startScene } from "./authority_scene.ts";

const bob = await testKey("bob");
const fresh = await generatePrivateKey("ssh-ed25519");

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
