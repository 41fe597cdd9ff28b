import assert from "node:assert/strict";
import { knownHost, makeCertificate, makeKey } from "../support/keygen.ts";
import { startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { start, succeed } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";
import { meshSite } from "./mesh_site.ts";

peerTest(
  "without --identity the keys of the SSH agent are used, then those of ~/.ssh",
  [openssh],
  async () => {
    await using site = await meshSite();
    const { folder, sshm, gateway, key, knownHosts } = site;
    const flags = [`--gateway=127.0.0.1:${gateway.port}`, "--known-hosts", knownHosts, "whoami", "--json"];
    const socket = folder.at("agent");
    await using agent = start(["ssh-agent", "-D", "-a", socket]);
    await waitUntil("the agent's socket", () => Deno.stat(socket).then(() => true, () => false));
    await succeed(["ssh-add", "-q", key.path], { env: { SSH_AUTH_SOCK: socket } });
    const byAgent = await sshm(flags, { env: { SSH_AUTH_SOCK: socket } });
    assert.equal(JSON.parse(byAgent.text).fingerprint, key.fingerprint, byAgent.stderr);
    await agent.stop();

    Deno.mkdirSync(folder.at(".ssh"), { mode: 0o700 });
    Deno.copyFileSync(key.path, folder.at(".ssh/id_ed25519"));
    const byFile = await sshm(flags, { env: { SSH_AUTH_SOCK: socket } });
    assert.equal(JSON.parse(byFile.text).fingerprint, key.fingerprint, byFile.stderr);
    assert.match(byFile.stderr, /no SSH agent answers/);
  },
);

Deno.test("a key with a passphrase that nobody can be asked for: a sentence, and only when the gateway wants the key", async () => {
  await using site = await meshSite();
  const { folder, sshm, gateway, key, knownHosts } = site;
  const locked = await makeKey(folder, "locked", "ed25519", { passphrase: "secret words" });
  const at = [`--gateway=127.0.0.1:${gateway.port}`, "--known-hosts", knownHosts];
  // The gateway does not know it: it is not asked about.
  const unneeded = await sshm([...at, "--identity", locked.path, "--identity", key.path, "whoami"]);
  assert.equal(unneeded.code, 0, unneeded.stderr);
  Deno.removeSync(locked.publicPath);
  const { code, stderr } = await sshm([...at, "--identity", locked.path, "whoami"]);
  assert.equal(code, 3, stderr);
  assert.match(stderr, /has a passphrase and nobody gave it: ssh-add/);
});

Deno.test("the certificate beside a key is shown", async () => {
  await using site = await meshSite();
  const { folder, sshm } = site;
  const [authority, key] = [await makeKey(folder, "ca"), await makeKey(folder, "ann")];
  await makeCertificate(authority, key, { role: "user", principals: ["ann@mycorp.com"] });
  await using gateway = await startGateway(folder, {
    name: "second",
    owners: [`cert-authority ${authority.line}`],
  });
  const hosts = folder.write("second_hosts", knownHost(gateway.port, gateway.hostKey as typeof key));
  const at = [`--gateway=127.0.0.1:${gateway.port}`, "--known-hosts", hosts, "--identity", key.path];
  const { text, stderr } = await sshm([...at, "whoami", "--json"]);
  assert.equal(JSON.parse(text || "{}").email, "ann@mycorp.com", stderr);
  // Without a rule it may do nothing else: the gateway says so in its own words.
  const status = await sshm([...at, "status"]);
  assert.equal(status.code, 10);
  assert.match(status.stderr, /the gateway refused 'status': .*not permitted/);
});
