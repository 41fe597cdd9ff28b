/** Machines that join the gateway with a token, and are known by their key from then on. */
import assert from "node:assert/strict";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type TestGateway, testKey } from "./in_memory.ts";
import { ann, certify, startScene } from "./authority_scene.ts";

const bob = await testKey("bob");
const eve = await testKey("eve");
const fresh = await generatePrivateKey("ssh-ed25519");
const freshLine = formatPublicKey(fresh.publicKey, "fresh");

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
