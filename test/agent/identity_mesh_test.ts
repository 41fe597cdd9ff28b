/** The agent's command with tokens and certificates at our gateway's, when something goes wrong in between. */
import assert from "node:assert/strict";
import { ANN, identityScene } from "../support/identity_scene.ts";
import { makeKey } from "../support/keygen.ts";
import { startAgent } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { start } from "../support/process.ts";

const need = [openssh];
const WEB = { namespace: "shop", account: "web" };
const SRE_MAY = ["--trust-user-ca", "gateway", "--allow-principal", "group:sre"];

peerTest(
  "a gateway that was killed has its pod back, by the token or what stands in for it",
  need,
  async (t) => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB);
    await pod.event("certificate", { role: "user" });
    await pod.event("certificate", { role: "host" });
    /** @returns how many lines the agent had logged before it came back */
    const restart = async () => {
      const seen = pod.process.stdout.all.length;
      await scene.gateway.kill();
      scene.gateway = await scene.gateway.restart();
      await pod.event("registered", {}, { from: seen });
      return seen;
    };
    await t.step("by the token", async () => {
      const from = await restart();
      assert.deepEqual((await pod.event("certificate", { role: "host" }, { from })).principals, [pod.fqdn]);
    });
    await t.step("by the certificate that it got, with the host certificate that there is", async () => {
      Deno.removeSync(pod.tokenFile);
      const from = await restart();
      const { message } = await pod.event("warning", {}, { from });
      assert.match(
        String(message),
        /token .*cannot be read.*the certificate that the last token got is used/,
      );
      const line = scene.folder.read("pod-web/state/agent_host_ed25519_key-cert.pub");
      assert.match(line, /^ssh-ed25519-cert-v01@openssh\.com /);
    });
    await t.step("by the token again, once there is one and nobody is connected", async () => {
      const from = pod.process.stdout.all.length;
      Deno.writeTextFileSync(pod.tokenFile, await scene.cluster.podToken(WEB));
      const { principals } = await pod.event("certificate", { role: "host" }, { from, within: 40_000 });
      assert.deepEqual(principals, [pod.fqdn]);
    });
  },
);

peerTest(
  "a revocation reaches the agent also after the token has expired under its connection",
  need,
  async () => {
    await using scene = await identityScene();
    await using pod = await scene.startPod(WEB, { args: SRE_MAY, lifetime: 4 });
    const until = Date.now() + 5_000;
    const ann = await scene.person("ann", ANN);
    await ann.signIn();
    // The owner's key reaches the node, hers logs in there: so it is the node that has to end her session.
    const way = [
      ...[
        "ssh",
        "-F",
        "none",
        "-i",
        scene.owner.path,
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "HostKeyAlias=localhost",
      ],
      ...[
        "-o",
        `UserKnownHostsFile=${ann.knownHosts}`,
        "-p",
        `${scene.gateway.port}`,
        "-W",
        "%h:%p",
        "127.0.0.1",
      ],
    ];
    const options = ["-o", "BatchMode=yes", "-o", "ProxyJump=none", "-o", `ProxyCommand=${way.join(" ")}`];
    await using session = start(ann.line([...options, pod.fqdn, "echo in; sleep 100"]), { env: ann.env });
    await session.stdout.match(/^in$/);
    while (Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 100));
    Deno.writeTextFileSync(pod.tokenFile, await scene.cluster.podToken(WEB));
    const before = performance.now();
    const revoked = await scene.sshm("revoke", "key", ann.key.fingerprint);
    assert.equal(revoked.code, 0, revoked.stderr);
    const { reason } = await pod.event("ended");
    assert.equal(reason, "revoked");
    // Five seconds, and the start of the command that revokes.
    assert.ok(performance.now() - before < 8_000);
  },
);

peerTest("an agent with nothing but a key gets its host certificate over its connection", need, async () => {
  await using scene = await identityScene();
  const key = await makeKey(scene.folder, "box");
  const { gateway, owner: identity, folder } = scene;
  await using agent = await startAgent(folder, { name: "box", gateway, identity, authorized: [key.line] });
  const { principals } = await agent.event("certificate", { role: "host" });
  assert.deepEqual(principals, ["box.localhost"]);
  assert.ok(!agent.log.some(({ event, role }) => event === "certificate" && role === "user"));
});
