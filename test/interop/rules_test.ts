/** Rules, profiles and explicit principals between people with certificates and nodes, with stock ssh at both ends of it. */
import assert from "node:assert/strict";
import { readWithKeygen } from "../support/certificate_text.ts";
import { ANN, BOB, identityScene, type Person, TRUST_DOMAIN } from "../support/identity_scene.ts";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { startAgent, startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { ownUser } from "../support/stock_server.ts";
import { waitUntil } from "../support/wait.ts";

const WEB = { namespace: "shop", account: "web" };
const SRE_MAY = ["--trust-user-ca", "gateway", "--allow-principal", "group:sre"];

/** `ssh` with the certificate alone: no token, no prompt. */
function byCertificate(person: Person, ...args: string[]) {
  return person.ssh(["-o", "BatchMode=yes", ...args], { env: { HOME: person.folder.path } });
}

peerTest(
  "a rule that is taken out ends what it let in, and one that is put in lets in",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB, { args: SRE_MAY });
    const ann = await scene.person("ann", ANN);
    await ann.signIn();
    const full = Deno.readTextFileSync(scene.policy);
    const without = full.slice(0, full.indexOf("  - name: sre reaches production"));
    await using session = start(ann.line(["-o", "BatchMode=yes", pod.fqdn, "echo open; cat"]), {
      env: ann.env,
      stdin: "piped",
    });
    await session.stdout.match(/^open$/);
    await t.step("a broken file changes nothing and is complained about", async () => {
      Deno.writeTextFileSync(scene.policy, full.replace("rules:", "ruels:"));
      await scene.gateway.process.stderr.match(/ruels/);
      assert.equal((await byCertificate(ann, pod.fqdn, "echo in")).text, "in\n");
      assert.ok(!session.exited);
    });
    await t.step("without the rule it is over within five seconds", async () => {
      Deno.writeTextFileSync(scene.policy, without);
      const began = performance.now();
      await waitUntil("the end", () => session.exited, 10_000);
      assert.ok(performance.now() - began < 5000);
      assert.notEqual((await byCertificate(ann, pod.fqdn, "true")).code, 0);
    });
    await t.step("with it again she is in again", async () => {
      Deno.writeTextFileSync(scene.policy, full);
      await waitUntil("the rule", async () => (await byCertificate(ann, pod.fqdn, "true")).code === 0);
    });
  },
);

peerTest(
  "the gateway's word opens no shell: a node names the principals that it lets in",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB, { args: SRE_MAY });
    Deno.writeTextFileSync(
      scene.policy,
      `
  - name: bob may reach it as well
    who:  { email: ${BOB.email} }
    may:  [connect, login, exec]
    what: { node: "*.${TRUST_DOMAIN}" }
`,
      { append: true },
    );
    const bob = await scene.person("bob", BOB);
    await bob.signIn();
    await t.step("who is none of them gets to its door and no further", async () => {
      const refused = await waitUntil("the rule", async () => {
        const tried = await byCertificate(bob, pod.fqdn, "true");
        return /Permission denied/.test(tried.stderr) && tried;
      });
      assert.equal(refused.code, 255);
      assert.ok(refused.stderr.includes(pod.fqdn), "it is the node that says so");
    });
    await t.step("nor does a certificate of another authority with the right words in it", async () => {
      const authority = await makeKey(scene.folder, "other-ca");
      await makeCertificate(authority, bob.key, {
        role: "user",
        principals: ["group:sre", "ann@mycorp.com"],
      });
      assert.notEqual((await byCertificate(bob, pod.fqdn, "true")).code, 0);
    });
  },
);

peerTest("a profile's command and addresses bind at the gateway and on the node", [openssh], async (t) => {
  await using scene = await identityScene({
    config: `profiles:
  - name: sre asks who it is
    who: { group: sre }
    lifetime: { default: 2m, max: 3m }
    force_command: whoami
    source_address: [127.0.0.0/8]
    extensions: [permit-port-forwarding]
`,
  });
  await using pod = await scene.startPod(WEB, { args: SRE_MAY });
  const ann = await scene.person("ann", ANN);
  await ann.signIn();
  await t.step("ssh-keygen shows them", async () => {
    const facts = await readWithKeygen(ann.certificate);
    assert.match(facts["Critical Options"], /force-command whoami/);
    assert.match(facts["Critical Options"], /source-address 127\.0\.0\.0\/8/);
    assert.equal(facts.Extensions, "permit-port-forwarding");
  });
  await t.step("whatever is asked for, the command runs", async () => {
    assert.match((await byCertificate(ann, "gw", "ls")).text, /^name +ann@mycorp\.com$/m);
    const { text, stderr } = await byCertificate(ann, pod.fqdn, "echo something else");
    assert.equal(text, `${ownUser}\n`, stderr);
  });
  await t.step("more than the profile's maximum is refused", async () => {
    const late = await scene.person("late", ANN);
    const ask = (ttl: string) => late.ssh(["gw", "cert", "--ttl", ttl], { stdin: `${late.key.line}\n` });
    const refused = await ask("4m");
    assert.deepEqual([refused.code, refused.text], [65, ""]);
    assert.match(refused.stderr, /180 s at most by the profile 'sre asks who it is'/);
    assert.equal((await ask("3m")).code, 0);
  });
});

peerTest("owners with keys: known-hosts once, and no node is ever asked about", [openssh], async () => {
  using site = await makeSite();
  const { folder, key } = site;
  const identity = await makeKey(folder, "agent");
  await using gateway = await startGateway(folder, { owners: [key.line, identity.line] });
  await using _agent = await startAgent(folder, {
    name: "web",
    gateway,
    identity,
    authorized: [key.line],
  });
  const config = folder.write(
    "config",
    `Host *
  User ${ownUser}
  IdentityFile ${key.path}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile ${site.knownHosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
`,
  );
  Deno.writeTextFileSync(site.knownHosts, `[localhost]:${gateway.port} ${gateway.hostKey.bare}\n`);
  const ssh = (...args: string[]) => run(openssh.line("ssh", "-F", config, ...args));
  const hosts = await ssh("-p", `${gateway.port}`, "localhost", "known-hosts");
  assert.equal(hosts.code, 0, hosts.stderr);
  Deno.writeTextFileSync(site.knownHosts, hosts.text);
  const landed = await waitUntil("the agent's certificate", async () => {
    const tried = await ssh("-J", `localhost:${gateway.port}`, "web.localhost", "echo in");
    return tried.code === 0 && tried;
  });
  assert.equal(landed.text, "in\n");
});
