import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import { knownHost, makeCertificate, makeKey } from "../support/keygen.ts";
import { startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { start, succeed } from "../support/process.ts";
import { tcpServer } from "../support/tcp.ts";
import { deadline, waitUntil } from "../support/wait.ts";
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
  assert.match(stderr, /has a passphrase, and nobody gave the right one: ssh-add/);
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

/** Runs `sshm` on a terminal; `type` is typed when `prompt` is shown. Resolves to all that it showed. */
async function onTerminal(
  line: readonly string[],
  env: Record<string, string>,
  prompt: RegExp,
  type: string,
) {
  const [file, ...args] = line;
  const size = { columns: 200, rows: 50, term: "dumb" };
  const child = await denoProcesses.spawnOnTerminal({
    file,
    args,
    env: { PATH: Deno.env.get("PATH")!, ...env },
  }, size);
  let shown = "";
  let typed = false;
  const buffer = new Uint8Array(4096);
  for (let count; (count = await deadline(child.output.read(buffer), "output")) !== null;) {
    shown += new TextDecoder().decode(buffer.subarray(0, count));
    if (typed || !prompt.test(shown)) continue;
    typed = true;
    await child.input.write(encodeText(type));
  }
  const status = await child.status;
  child.close();
  return { shown, status };
}

Deno.test("at a terminal the passphrase is asked for, not shown, and asked for again when it is wrong", async () => {
  await using site = await meshSite();
  const { folder, line, env } = site;
  const locked = await makeKey(folder, "locked", "ed25519", { passphrase: "secret words" });
  await using gateway = await startGateway(folder, { name: "second", owners: [locked.line] });
  const at = [`--gateway=127.0.0.1:${gateway.port}`, "--gateway-key", gateway.hostKey.fingerprint];
  const command = line(...at, "--identity", locked.path, "whoami");
  const typed = "wrong\rsecret wordz\x7fs\r";
  const { shown, status } = await onTerminal(command, { ...env }, /Passphrase of/, typed);
  assert.deepEqual(status, { code: 0 }, shown);
  assert.equal(shown.match(/Passphrase of/g)!.length, 2, shown);
  assert.ok(!shown.includes("secret"), shown);
  assert.ok(shown.includes(locked.fingerprint), shown);

  const withoutTerminal = await site.sshm([...at, "--identity", locked.path, "whoami"]);
  assert.equal(withoutTerminal.code, 3, withoutTerminal.stderr);
  assert.match(withoutTerminal.stderr, /nobody gave the right one/);
});

Deno.test("at a terminal connect ends with the node's last word, though nobody ended the input", async () => {
  await using motd = tcpServer(async (connection) => void await connection.write(encodeText("last word\n")));
  await using site = await meshSite();
  await site.serve("motd", 17, motd.port);
  const { shown, status } = await onTerminal(
    site.line(...site.flags, "connect", "motd:17"),
    { ...site.env },
    /never/,
    "",
  );
  assert.deepEqual(status, { code: 0 }, shown);
  assert.match(shown, /last word/);
});
