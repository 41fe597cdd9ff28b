/** Machines with no identity at all: one-time tokens, and the keys that come of them. */
import assert from "node:assert/strict";
import { readWithKeygen } from "../support/certificate_text.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { ANN, type IdentityScene, identityScene } from "../support/identity_scene.ts";
import { makeKey } from "../support/keygen.ts";
import { MeshCommand, meshEnvironment, meshLine } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";

/** An agent that is told nothing but a gateway's address and a token. */
function startJoining(
  { gateway: { port } }: IdentityScene,
  folder: Folder,
  token: string | undefined,
  args: readonly string[] = [],
): MeshCommand {
  const line = meshLine("agent", [
    ...["--gateway", `localhost:${port}`, "--state", folder.at("state"), "--log", "json"],
    ...(token === undefined ? [] : ["--join", token]),
    ...args,
  ]);
  return new MeshCommand(start(line, { env: meshEnvironment(folder.path) }));
}

async function createToken(scene: IdentityScene, name: string, ...more: string[]) {
  const made = await scene.sshm("token", "create", "--name", name, ...more, "--json");
  assert.equal(made.code, 0, made.stderr);
  return JSON.parse(made.text) as { id: string; token: string; name: string };
}

async function isRegistered(scene: IdentityScene, name: string): Promise<boolean> {
  return (await scene.sshm("node", "ls", "--json")).text.includes(`"${name}"`);
}

peerTest(
  "a machine joins by a token, once, and has its name and its certificates from then on",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    using machine = temporaryFolder();
    const { id, token, name } = await createToken(scene, "box");
    assert.equal(name, "box.localhost");
    assert.match(token, /^sshm1\./);
    const login = ["--trust-user-ca", "gateway", "--allow-principal", "group:sre"];

    await t.step("nothing else is needed: the token says which gateway to believe", async () => {
      await using agent = startJoining(scene, machine, token, login);
      await agent.event("ready");
      assert.ok(await isRegistered(scene, name));
      const ann = await scene.person("ann", ANN);
      await ann.signIn();
      const landed = await ann.ssh(["-o", "BatchMode=yes", name, "echo in"]);
      assert.equal(landed.text, "in\n", landed.stderr);
      const [used] = JSON.parse((await scene.sshm("token", "ls", "--json")).text);
      assert.ok(used.used, "it is listed as used");
    });
    await t.step("it does not work a second time", async () => {
      using thief = temporaryFolder();
      await using agent = startJoining(scene, thief, token);
      const { code } = await agent.process.status;
      assert.notEqual(code, 0);
    });
    await t.step("the machine comes back with its key, without the token", async () => {
      await using agent = startJoining(scene, machine, undefined, login);
      await agent.event("ready");
      assert.ok(await isRegistered(scene, name));
      const removed = await scene.sshm("token", "rm", id);
      assert.equal(removed.code, 0, removed.stderr);
      const began = performance.now();
      await waitUntil("the end of its registration", async () => !await isRegistered(scene, name), 10_000);
      assert.ok(performance.now() - began < 8000);
    });
  },
);

peerTest("a join token does nothing but join, goes by stock ssh too, and ends", [openssh], async (t) => {
  await using scene = await identityScene();
  const { token, name } = await createToken(scene, "box", "--ttl", "1h");
  // A person whose token is the join token.
  const somebody = await scene.person("machine", ANN);
  somebody.folder.write("token", token);
  await t.step("no certificate, no registration, no list", async () => {
    for (const command of ["cert", "ls", "token ls", "known-hosts"]) {
      const { code } = await somebody.ssh(["gw", command], { stdin: `${somebody.key.line}\n` });
      assert.notEqual(code, 0, command);
    }
    const forward = await somebody.ssh(["-N", "-R", `${name}:22:127.0.0.1:1`, "gw"]);
    assert.equal(forward.code, 255, forward.stderr);
  });
  await t.step("ssh GW join enrols a key, which then has the name", async () => {
    const joined = await somebody.ssh(["gw", "join"], { stdin: `${somebody.key.line}\n` });
    assert.equal(joined.code, 0, joined.stderr);
    assert.match(joined.text, /box\.localhost/);
    const whoami = await somebody.ssh(["-o", "BatchMode=yes", "gw", "whoami"], {
      env: { HOME: somebody.folder.path },
    });
    assert.match(whoami.text, /^name +box\.localhost$/m, whoami.stderr);
    await using _forward = start(
      somebody.line(["-o", "BatchMode=yes", "-N", "-R", `${name}:22:127.0.0.1:1`, "gw"]),
    );
    await waitUntil("the registration", () => isRegistered(scene, name));
    const hostKey = await makeKey(somebody.folder, "hostkey");
    const { text, stderr } = await somebody.ssh(["-o", "BatchMode=yes", "gw", "cert", "--host"], {
      stdin: `${hostKey.line}\n`,
    });
    const facts = await readWithKeygen(somebody.folder.write("hostkey-cert.pub", text));
    assert.equal(facts.Principals, name, stderr);
  });
  await t.step("one that is over is refused", async () => {
    const short = await createToken(scene, "late", "--ttl", "1s");
    await waitUntil("its end", async () => {
      const [late] = JSON.parse((await scene.sshm("token", "ls", "--json")).text)
        .filter(({ name }: { name: string }) => name === "late.localhost");
      return !late || Date.now() > Date.parse(late.expires) + 100;
    });
    const late = await scene.person("late", ANN);
    late.folder.write("token", short.token);
    assert.notEqual((await late.ssh(["gw", "join"], { stdin: `${late.key.line}\n` })).code, 0);
  });
  await t.step("only a digest of the secret is kept, and nothing of it is logged", async () => {
    const secret = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")))
      .s as string;
    const { state } = scene.gateway;
    const { code } = await run(["grep", "-r", "-q", "-a", "-F", "-e", secret, state]);
    assert.equal(code, 1, "it is in no file");
    assert.ok(!`${scene.gateway.process.stdout}${scene.gateway.process.stderr}`.includes(secret));
  });
});
