/** Nobody has a long-lived key: tokens, the certificates that they give, and stock programs that take them. */
import assert from "node:assert/strict";
import { readWithKeygen, validityOf } from "../support/certificate_text.ts";
import { ANN, BOB, identityScene, type Person, TRUST_DOMAIN } from "../support/identity_scene.ts";
import { startAskingServer } from "../support/asking_server.ts";
import { makeKey } from "../support/keygen.ts";
import { meshEnvironment, meshLine } from "../support/mesh.ts";
import { openssh, opensshNewest, peerStep, peerTest } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { opensshOptions } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { waitUntil } from "../support/wait.ts";

const WEB = { namespace: "shop", account: "web" };
/** What an agent is told about who may log in. */
const SRE_MAY = ["--trust-user-ca", "gateway", "--allow-principal", "group:sre"];

peerTest(
  "a pod registers by its token, a person gets a certificate by theirs and logs in there: no prompt, no key copied",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB, { args: SRE_MAY });
    const ann = await scene.person("ann", ANN);

    await t.step("the gateway knows her by her token alone", async () => {
      const { code, text, stderr } = await ann.ssh(["gw", "whoami"]);
      assert.equal(code, 0, stderr);
      assert.match(text, /^name +ann@mycorp\.com$/m);
      assert.match(text, /^kind +jwt$/m);
    });
    await t.step("the certificate says who she is, for ten minutes at most", async () => {
      await ann.signIn();
      const facts = await readWithKeygen(ann.certificate);
      assert.match(facts.Type, /user certificate$/);
      assert.equal(facts.Principals, "ann@mycorp.com group:sre");
      assert.equal(facts["Public key"].split(" ")[1], ann.key.fingerprint);
      assert.match(facts["Key ID"], /ann@mycorp\.com/);
      assert.match(facts["Key ID"], new RegExp(scene.provider.issuer));
      const { to } = validityOf(facts);
      assert.ok(Math.abs(to - Date.now() - 10 * 60_000) < 60_000, facts.Valid);
    });
    for (const peer of [openssh, opensshNewest]) {
      await peerStep(t, `${peer.name} lands on the pod, asking nothing`, [peer], async () => {
        const args = ["-o", "BatchMode=yes", pod.fqdn, "echo in; id -un"];
        const { code, text, stderr } = await ann.ssh(args, { peer, env: { HOME: ann.folder.path } });
        assert.equal(code, 0, stderr);
        assert.equal(text.split("\n")[0], "in");
      });
    }
    await t.step(
      "the pod proves its name by a certificate, for nobody's known_hosts holds its key",
      async () => {
        const { stderr } = await ann.ssh(["-v", "-o", "BatchMode=yes", pod.fqdn, "true"]);
        assert.match(stderr, new RegExp(`Server host certificate: .*ID .*`));
        assert.match(
          stderr,
          new RegExp(`Host '${pod.fqdn}' is known and matches the .*CERT host certificate`),
        );
        const hosts = Deno.readTextFileSync(ann.knownHosts);
        assert.match(hosts, /^@cert-authority /m);
        assert.ok(!/^@cert-authority \*[ ,]/m.test(hosts), hosts);
      },
    );
    await t.step("another login name is refused with the right one in the message", async () => {
      const { code, stderr } = await ann.ssh(["-l", "postgres", "-o", "BatchMode=yes", pod.fqdn, "true"]);
      assert.equal(code, 255);
      assert.match(stderr, /Permission denied|log in as/i);
    });
    await t.step("who is not of the group reaches nothing, and learns nothing", async () => {
      const bob = await scene.person("bob", BOB);
      await bob.signIn();
      assert.equal((await readWithKeygen(bob.certificate)).Principals, "bob@mycorp.com");
      const { code, stderr } = await bob.ssh(["-o", "StrictHostKeyChecking=no", pod.fqdn, "true"]);
      assert.equal(code, 255);
      assert.match(stderr, /administratively prohibited|stdio forwarding failed/);
    });
    await t.step("the audit says who came with what, and holds no token", async () => {
      const audit = await waitUntil("the audit", () => {
        const text = Deno.readTextFileSync(`${scene.gateway.state}/audit.jsonl`);
        return /ann@mycorp\.com/.test(text) && text;
      });
      assert.match(audit, /"web@shop\.prod\.mycorp\.com"/);
      const logs = [audit, scene.gateway.process.stdout, scene.gateway.process.stderr, pod.process.stdout];
      for (const token of [ann.folder.read("token"), Deno.readTextFileSync(pod.tokenFile)]) {
        const signature = token.trim().split(".")[2];
        for (const log of logs) assert.ok(!String(log).includes(signature));
      }
    });
  },
);

peerTest(
  "a certificate gets no certificate, nor does it outlive the token that it was got with",
  [openssh],
  async () => {
    await using scene = await identityScene();
    const ann = await scene.person("ann", ANN);
    await ann.signIn();
    // Now her key has a certificate beside it, and no token.
    const again = await ann.ssh(["-o", "BatchMode=yes", "gw", "cert"], {
      stdin: `${ann.key.line}\n`,
      env: { HOME: ann.folder.path },
    });
    assert.notEqual(again.code, 0);
    assert.match(again.stderr, /certificate/);
    Deno.removeSync(ann.certificate);
    const long = await ann.ssh(["gw", "cert", "--ttl", "8h"], { stdin: `${ann.key.line}\n` });
    assert.notEqual(long.code, 0);
    assert.equal(long.text, "");
  },
);

/** A session of `person` on `host` that stays open. Resolves when it is. */
async function openSession(person: Person, host: string) {
  const line = person.line(["-o", "BatchMode=yes", host, "echo open; read line; echo $line"]);
  const session = start(line, { env: person.env, stdin: "piped" });
  await session.stdout.match(/^open$/);
  return session;
}

/** How long it takes until the session has ended, in milliseconds. */
async function untilEnded(session: Awaited<ReturnType<typeof openSession>>): Promise<number> {
  const began = performance.now();
  await waitUntil("the end of the session", () => session.exited, 10_000);
  return performance.now() - began;
}

peerTest(
  "revocation ends within five seconds what is open, at the gateway and on the node",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB, { args: SRE_MAY });
    const ann = await scene.person("ann", ANN);
    const ways: [name: string, words: () => Promise<string[]>][] = [
      ["by serial", async () => ["serial", (await readWithKeygen(ann.certificate)).Serial]],
      [
        "by key id",
        async () => [
          "key-id",
          ...(await readWithKeygen(ann.certificate))["Key ID"].replaceAll('"', "").split(" "),
        ],
      ],
      ["by key", () => Promise.resolve(["key", ann.key.fingerprint])],
    ];
    for (const [name, words] of ways) {
      await t.step(name, async () => {
        await ann.signIn();
        await using session = await openSession(ann, pod.fqdn);
        const revoked = await scene.sshm("revoke", ...await words(), "--reason", "the laptop is gone");
        assert.equal(revoked.code, 0, revoked.stderr);
        assert.ok(await untilEnded(session) < 5000);
        const after = await ann.ssh(["-o", "BatchMode=yes", "gw", "whoami"], {
          env: { HOME: ann.folder.path },
        });
        assert.notEqual(after.code, 0);
      });
    }
    await t.step("what was revoked is listed, with the reason", async () => {
      const list = JSON.parse((await scene.sshm("revoked", "--json")).text);
      assert.equal(list.length, ways.length);
      assert.ok(list.every(({ reason }: { reason: string }) => reason === "the laptop is gone"));
    });
    await t.step("an identity goes with its tokens", async () => {
      const bob = await scene.person("bob", BOB);
      assert.equal((await bob.ssh(["gw", "whoami"])).code, 0);
      const revoked = await scene.sshm("revoke", "identity", scene.provider.issuer, BOB.sub);
      assert.equal(revoked.code, 0, revoked.stderr);
      assert.notEqual((await bob.ssh(["gw", "whoami"])).code, 0);
    });
  },
);

peerTest("expiry ends what is new and leaves open what is open", [openssh], async () => {
  await using scene = await identityScene();
  await using pod = await scene.startPod(WEB, { args: SRE_MAY });
  const ann = await scene.person("ann", ANN);
  await ann.signIn("12s");
  await using session = await openSession(ann, pod.fqdn);
  const { to } = validityOf(await readWithKeygen(ann.certificate));
  await waitUntil("the certificate's end", () => Date.now() > to + 1000);
  const after = await ann.ssh(["-o", "BatchMode=yes", pod.fqdn, "true"], { env: { HOME: ann.folder.path } });
  assert.notEqual(after.code, 0, "it opens nothing new");
  const writer = session.stdin!.getWriter();
  await writer.write(new TextEncoder().encode("still here\n"));
  writer.releaseLock();
  await session.stdout.match(/^still here$/);
});

peerTest(
  "a pod's registration outlives its token and takes the next one from the same file",
  [openssh],
  async () => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB, { args: SRE_MAY, lifetime: 10 });
    await waitUntil("the token's end", async () => {
      const list = JSON.parse((await scene.sshm("node", "ls", "--json")).text);
      assert.ok(list.some(({ name }: { name: string }) => name === pod.fqdn), "it stays registered");
      return performance.now() > 0 && Date.now() > expiry(Deno.readTextFileSync(pod.tokenFile)) + 1000;
    });
    Deno.writeTextFileSync(pod.tokenFile, await scene.cluster.podToken(WEB));
    await scene.gateway.kill();
    scene.gateway = await scene.gateway.restart();
    await waitUntil("the pod again", async () => {
      const { text } = await scene.sshm("node", "ls", "--json");
      return text.includes(pod.fqdn);
    });
  },
);

/** Milliseconds since 1970. */
function expiry(token: string): number {
  return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).exp * 1000;
}

peerTest(
  "the gateway offers stock clients that know no certificates its plain host key",
  [openssh],
  async () => {
    await using scene = await identityScene();
    const { text } = await run(
      openssh.line("ssh-keyscan", "-t", "ed25519", "-p", `${scene.gateway.port}`, "127.0.0.1"),
    );
    assert.match(text, new RegExp(scene.gateway.hostKey.bare.replaceAll(/[+/]/g, "\\$&")));
    const certified = await run(
      openssh.line("ssh-keyscan", "-c", "-p", `${scene.gateway.port}`, "127.0.0.1"),
    );
    const [line] = /\S+-cert-v01@openssh\.com \S+/.exec(certified.text) ?? [];
    assert.ok(line, certified.text + certified.stderr);
    const file = scene.folder.write("gateway-cert.pub", `${line}\n`);
    const facts = await readWithKeygen(file);
    assert.match(facts.Type, /host certificate$/);
    assert.deepEqual(facts.Principals.split(" "), ["localhost"]);
    assert.equal(facts["Critical Options"], "(none)");
  },
);

peerTest(
  "with sshm it takes three commands: a key and its certificate, an ssh_config, ssh",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB, { args: SRE_MAY });
    const { folder, gateway } = scene;
    Deno.mkdirSync(folder.at("laptop"), { mode: 0o700 });
    const token = folder.write("laptop/token", await scene.provider.idToken(ANN));
    const env = {
      ...meshEnvironment(folder.at("laptop")),
      SSHM_GATEWAY: `localhost:${gateway.port}`,
      SSHM_KNOWN_HOSTS: scene.gatewayHosts,
      SSHM_TOKEN_COMMAND: `cat ${token}`,
    };
    const sshm = (...words: string[]) => run(meshLine("sshm", words), { env });
    const key = folder.at("laptop/.ssh/id_ed25519");
    await t.step("sshm cert --new", async () => {
      const { code, text, stderr } = await sshm("cert", "--new");
      assert.equal(code, 0, stderr);
      assert.match(text, /id_ed25519-cert\.pub: ann@mycorp\.com group:sre, until /);
      assert.equal((await readWithKeygen(`${key}-cert.pub`)).Principals, "ann@mycorp.com group:sre");
    });
    const config = folder.at("laptop/config");
    const hosts = folder.at("laptop/hosts");
    await t.step("sshm ssh-config --save-hosts", async () => {
      const { code, text, stderr } = await sshm("ssh-config", "--save-hosts", hosts, "--login", ownUser);
      assert.equal(code, 0, stderr);
      Deno.writeTextFileSync(config, text);
      assert.match(Deno.readTextFileSync(hosts), /^@cert-authority /m);
    });
    await t.step("ssh", async () => {
      const options = [
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        `IdentityFile=${key}`,
        "IdentityAgent=none",
      ]
        .flatMap((option) => ["-o", option]);
      // The jump reads the configuration, not the options: what it needs is in the file's first block for it.
      const common = `Host *\n  IdentityFile ${key}\n  GlobalKnownHostsFile /dev/null\n  BatchMode yes\n`;
      Deno.writeTextFileSync(config, common, { append: true });
      const { code, text, stderr } = await run(
        openssh.line("ssh", "-F", config, ...options, pod.fqdn, "echo in"),
        { env },
      );
      assert.deepEqual([code, text], [0, "in\n"], stderr);
    });
    await t.step("a wrong token is a sentence and a code", async () => {
      Deno.writeTextFileSync(token, await scene.provider.idToken(ANN, "ssh://elsewhere"));
      const { code, text, stderr } = await sshm("whoami");
      assert.deepEqual([code, text], [9, ""]);
      assert.match(stderr, /it must be for ssh:\/\/localhost /);
    });
  },
);

peerTest("a node that asks for the token in the gateway's own words is not told it", [openssh], async () => {
  await using scene = await identityScene();
  const { folder, gateway } = scene;
  const hostKey = await makeKey(folder, "trap-host");
  await using trap = await startAskingServer(hostKey);
  const owner = opensshOptions({
    port: gateway.port,
    identity: scene.owner.path,
    knownHosts: scene.gatewayHosts,
    options: ["HostKeyAlias=localhost"],
  });
  const forward = ["-N", "-R", `trap:22:127.0.0.1:${trap.port}`, "own@127.0.0.1"];
  await using _forward = start(openssh.line("ssh", ...owner, "-p", `${gateway.port}`, ...forward));
  await waitUntil("the trap", async () => (await scene.sshm("node", "ls")).text.includes("trap.localhost"));
  const ann = await scene.person("ann", ANN);
  Deno.writeTextFileSync(ann.knownHosts, `trap.localhost ${hostKey.bare}\n`, { append: true });
  const { code, stderr } = await ann.ssh(["trap.localhost", "true"]);
  assert.equal(code, 255);
  // The gateway was told it, or the trap would not have been reached.
  assert.ok(trap.given.length > 0, stderr);
  assert.deepEqual([...new Set([...trap.given, ...trap.passwords])], [""]);
  assert.match(stderr, /'trap\.localhost' asks for a token and is not the gateway localhost: it gets none/);
});

peerTest("a pod renews its certificates before they end, and nothing is dropped", [openssh], async () => {
  await using scene = await identityScene({
    config: `profiles:
  - name: short
    who: { trust_domain: ${TRUST_DOMAIN} }
    lifetime: { default: 24s, max: 30s }
    host_lifetime: { default: 24s, max: 30s }
`,
  });
  await using pod = await scene.startPod(WEB, { args: SRE_MAY });
  const ann = await scene.person("ann", ANN);
  await ann.signIn();
  await using session = await openSession(ann, pod.fqdn);
  const first = await pod.event("certificate", { role: "host" });
  const ends = Date.parse(String(first.expires));
  await waitUntil("the end of the first one", () => Date.now() > ends + 1000, 40_000);
  const certificates = pod.log.filter(({ event, role }) => event === "certificate" && role === "host");
  assert.ok(certificates.length >= 2);
  assert.ok(Date.parse(String(certificates[1].time)) < ends, "it was renewed in time");
  assert.notEqual(certificates[1].serial, first.serial);
  const landed = await ann.ssh(["-o", "BatchMode=yes", pod.fqdn, "echo in"]);
  assert.equal(landed.text, "in\n", landed.stderr);
  assert.ok(!session.exited);
  assert.equal(pod.log.filter(({ event }) => event === "registered").length, 1, "it never came anew");
});
