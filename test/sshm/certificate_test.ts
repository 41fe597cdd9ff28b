import assert from "node:assert/strict";
import { readWithKeygen } from "../support/certificate_text.ts";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";
import { meshSite } from "./mesh_site.ts";

peerTest(
  "cert gets a certificate for the key, puts it beside it, and gets the next one too",
  [openssh],
  async (t) => {
    await using site = await meshSite();
    const { sshm, flags, key, gateway } = site;
    const file = `${key.path}-cert.pub`;
    await t.step("it is a user certificate for this key", async () => {
      const { code, text, stderr } = await sshm([...flags, "cert"]);
      assert.equal(code, 0, stderr);
      assert.match(text, /-cert\.pub: .*, until \d{4}-/);
      const facts = await readWithKeygen(file);
      assert.match(facts.Type, /user certificate$/);
      assert.equal(facts["Public key"].split(" ")[1], key.fingerprint);
    });
    await t.step("--show tells what ssh-keygen tells", async () => {
      const shown = JSON.parse((await sshm([...flags, "cert", "--show", "--json"])).text);
      const facts = await readWithKeygen(file);
      assert.equal(shown.serial, facts.Serial);
      assert.equal(shown.key_id, facts["Key ID"].replaceAll('"', ""));
      assert.deepEqual(shown.principals, facts.Principals.split(" "));
      assert.equal(shown.authority, facts["Signing CA"].split(" ")[1]);
      assert.equal(shown.key, key.fingerprint);
      assert.equal(shown.valid, true);
      assert.match((await sshm([...flags, "cert", "--show"])).text, /^principals +SHA256:/m);
    });
    await t.step("a certificate gets no certificate: the plain key asks for the next one", async () => {
      const before = (await readWithKeygen(file)).Serial;
      const again = await sshm([...flags, "cert", "--ttl", "5m", "--json"]);
      assert.equal(again.code, 0, again.stderr);
      assert.notEqual(JSON.parse(again.text).serial, before);
    });
    await t.step("the gateway's refusal is one sentence, and the old one stays", async () => {
      const before = Deno.readTextFileSync(file);
      const { code, stderr } = await sshm([...flags, "cert", "--ttl", "30d"]);
      assert.equal(code, 10, stderr);
      assert.match(stderr, /at most/);
      assert.equal(Deno.readTextFileSync(file), before);
    });
    await t.step("--keep asks nobody while it lasts", async () => {
      await gateway.kill();
      assert.equal((await sshm([...flags, "cert", "--keep", "1m"])).code, 0);
      assert.equal((await sshm([...flags, "cert", "--keep", "1h"])).code, 11);
    });
  },
);

Deno.test("cert --new makes a key of the user's alone, and never touches one that is there", async () => {
  await using site = await meshSite();
  const { sshm, folder, flags: [gateway, ...flags] } = site;
  const path = folder.at(".ssh/id_ed25519");
  const none = await sshm([gateway, ...flags, "cert", "--key", path]);
  assert.equal(none.code, 3);
  assert.match(none.stderr, /there is no key at .*--new/);
  const made = await sshm([gateway, ...flags, "cert", "--key", path, "--new"]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
  assert.equal(Deno.statSync(folder.at(".ssh")).mode! & 0o777, 0o700);
  const before = Deno.readTextFileSync(path);
  assert.equal((await sshm([gateway, ...flags, "cert", "--key", `${path}.pub`, "--new"])).code, 0);
  assert.equal(Deno.readTextFileSync(path), before);
});

peerTest("what is no certificate, or not there, is said in one sentence", [openssh], async () => {
  await using site = await meshSite();
  const { sshm, flags, folder, key } = site;
  const shown = await sshm([...flags, "cert", "--show"]);
  assert.deepEqual([shown.code, shown.text], [3, ""]);
  assert.match(shown.stderr, /there is no certificate/);
  folder.write("user-cert.pub", `${key.line}\n`);
  const plain = await sshm([...flags, "cert", "--show"]);
  assert.equal(plain.code, 3);
  assert.match(plain.stderr, /a plain public key/);
  const authority = await makeKey(folder, "ca");
  await makeCertificate(authority, key, { role: "user", principals: ["ann"], validity: "-2d:-1d" });
  assert.equal(JSON.parse((await sshm([...flags, "cert", "--show", "--json"])).text).valid, false);
  assert.equal((await sshm([...flags, "cert", "--ttl", "soon"])).code, 2);
});

peerTest("ca, krl, token and revoke say what the gateway says, as text and as JSON", [openssh], async () => {
  await using site = await meshSite();
  const { sshm, flags, folder } = site;
  const all = JSON.parse((await sshm([...flags, "ca"])).text);
  assert.deepEqual((await sshm([...flags, "ca", "user"])).text.trimEnd().split("\n"), all.user);
  assert.deepEqual(JSON.parse((await sshm([...flags, "ca", "host", "--json"])).text), { host: all.host });
  assert.match((await sshm([...flags, "ca", "x509"])).text, /^-----BEGIN CERTIFICATE-----$/m);

  const stranger = await makeKey(folder, "stranger");
  const revoked = await sshm([
    ...flags,
    "revoke",
    "key",
    stranger.fingerprint,
    "--reason",
    "it is out of date",
  ]);
  assert.deepEqual(
    [revoked.code, revoked.text],
    [0, `revoked: key ${stranger.fingerprint}\n`],
    revoked.stderr,
  );
  const mistaken = await sshm([...flags, "revoke", "person", "ann"]);
  assert.match(
    mistaken.stderr,
    /^sshm: KIND is one of serial, x509-serial, key-id, key, identity, not 'person'$/m,
  );
  const list = folder.at("list.krl");
  Deno.writeFileSync(list, (await sshm([...flags, "krl"])).stdout);
  assert.match(
    (await run(openssh.line("ssh-keygen", "-Q", "-f", list, stranger.publicPath))).text,
    /REVOKED/,
  );
  const { krl } = JSON.parse((await sshm([...flags, "krl", "--json"])).text);
  assert.deepEqual(Uint8Array.fromBase64(krl), Deno.readFileSync(list));
  const [record] = JSON.parse((await sshm([...flags, "revoked", "--json"])).text);
  assert.equal(record.reason, "it is out of date");
  assert.match((await sshm([...flags, "revoked"])).text, /it is out of date/);

  const made = await sshm([...flags, "token", "create", "--name", "web", "--ttl", "10m"]);
  assert.match(made.text, /^sshm1\.[\w-]+\n$/);
  assert.match(made.stderr, /^for web\.localhost, once, until .*; id \S+\n$/);
  const [token] = JSON.parse((await sshm([...flags, "token", "ls", "--json"])).text);
  assert.match((await sshm([...flags, "token", "ls"])).text, new RegExp(`^${token.id} `));
  assert.equal((await sshm([...flags, "token", "rm", token.id])).code, 0);
  assert.equal((await sshm([...flags, "token", "rm", token.id])).code, 10);
  for (
    const words of [["revoke", "serial", "a\nb"], ["token", "create", "--name", "a b"], [
      "revoke",
      "luck",
      "x",
    ]]
  ) {
    assert.equal((await sshm([...flags, ...words])).code, 2, words.join(" "));
  }
});
