/** 100 MB every way there is, compared by hash, with new keys each MB: what is lost or doubled in a rekey shows here. */
import assert from "node:assert/strict";
import { makeAgentScene } from "../support/agent_scene.ts";
import { makeKey } from "../support/keygen.ts";
import { startGateway } from "../support/mesh.ts";
import { openssh, opensshNewest, type Peer, peerTest } from "../support/peers.ts";
import { start, succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { jumpConfig, sshLine } from "../support/stock_client.ts";
import { ownUser, startSshd } from "../support/stock_server.ts";
import {
  exchangeSoon,
  fileHash,
  freePort,
  patternHash,
  receiveHash,
  sendPattern,
  sha256,
  sinkServer,
  sourceServer,
  writePattern,
} from "../support/tcp.ts";

const SIZE = 100_000_000;
const hash = patternHash(SIZE);

/** Key exchanges that a transfer with new keys each MB has at least: what is under way meanwhile counts for the next one. */
const REKEYS = 50;

/** Per transfer, in milliseconds: three machines' worth of encryption and 100 key exchanges on one core or two. */
const within = 120_000;

const rekeys = "RekeyLimit=1M";

/** Between stock peers the post-quantum exchange of OpenSSH 9.2 would take most of the time. */
const cheapRekeys = [rekeys, "KexAlgorithms=curve25519-sha256"];

/** `program -F FILE …` */
const configured = (file: string) => (peer: Peer, program: string, ...args: string[]) =>
  peer.line(program, "-F", file, ...args);

/** How many key exchanges `ssh -v` tells of. */
const keyExchanges = (stderr: string) => [...stderr.matchAll(/SSH2_MSG_NEWKEYS received/g)].length;

/** Copies a file to `node` and back by scp, sftp and pipes. */
async function copyAllWays(
  t: Deno.TestContext,
  folder: { at(name: string): string; write(name: string, text: string): string; readonly path: string },
  node: string,
  line: ReturnType<typeof configured>,
): Promise<void> {
  writePattern(folder.at("bulk"), SIZE);
  await t.step("scp, up and down", async () => {
    await succeed(line(openssh, "scp", folder.at("bulk"), `${node}:${folder.at("scp-up")}`), { within });
    assert.equal(fileHash(folder.at("scp-up")), hash);
    const down = [`${node}:${folder.at("scp-up")}`, folder.at("scp-down")];
    await succeed(line(opensshNewest, "scp", ...down), { within });
    assert.equal(fileHash(folder.at("scp-down")), hash);
  });
  await t.step("sftp, up and down", async () => {
    const [up, down] = [folder.at("sftp-up"), folder.at("sftp-down")];
    const batch = folder.write("batch", `put ${folder.at("bulk")} ${up}\nget ${up} ${down}\n`);
    await succeed(line(openssh, "sftp", "-b", batch, node), { within });
    assert.equal(fileHash(up), hash);
    assert.equal(fileHash(down), hash);
  });
  await t.step("tar |, up and down", async () => {
    Deno.mkdirSync(folder.at("unpacked"));
    const up = line(openssh, "ssh", "-v", node, `tar -C ${folder.at("unpacked")} -xf -`);
    const words = up.map((word) => `'${word}'`).join(" ");
    const { stderr } = await succeed(["sh", "-c", `tar -C ${folder.path} -cf - bulk | ${words}`], { within });
    assert.equal(fileHash(folder.at("unpacked/bulk")), hash);
    assert.ok(keyExchanges(stderr) > REKEYS, `${keyExchanges(stderr)} key exchanges`);
    const down = line(opensshNewest, "ssh", node, `tar -C ${folder.path} -cf - bulk`);
    const piped = down.map((word) => `'${word}'`).join(" ");
    const { stdout } = await succeed(["sh", "-c", `${piped} | tar -xOf - | sha256sum`], { within });
    assert.equal(new TextDecoder().decode(stdout).split(" ")[0], hash);
  });
}

/** Fails at once where a listener is not there, and then sends. */
async function ready(port: number): Promise<number> {
  await exchangeSoon(port, new Uint8Array());
  return port;
}

peerTest("100 MB pass through our gateway and a stock agent by -L, -R, -J, scp, sftp and tar", [
  openssh,
  opensshNewest,
], async (t) => {
  using site = await makeSite();
  const { folder } = site;
  const hostKey = await makeKey(folder, "node-host");
  await using sshd = await startSshd(openssh, folder, { hostKeys: [hostKey], authorized: [site.key.line] });
  await using sink = sinkServer();
  await using source = sourceServer(SIZE);
  const open = freePort();
  await using gateway = await startGateway(folder, {
    owners: [site.key.line],
    args: ["--allow-listen", String(open)],
  });
  site.expect(gateway.port, gateway.hostKey);
  Deno.writeTextFileSync(site.knownHosts, `web ${hostKey.bare}\n`, { append: true });
  const client = {
    port: gateway.port,
    user: ownUser,
    identity: site.key.path,
    knownHosts: site.knownHosts,
    options: cheapRekeys,
  };
  const [up, down] = [freePort(), freePort()];
  const exposed = [["web:22", sshd], ["web:1", sink], ["web:2", source], [`${open}`, sink]] as const;
  const served = exposed.flatMap(([bind, { port }]) => ["-R", `${bind}:127.0.0.1:${port}`]);
  await using agent = start(sshLine(openssh, client, ["-N", "-v", ...served]));
  await agent.stderr.match(/remote forward success for: listen \d+, connect 127\.0\.0\.1:\d+$/);
  await using _user = start(
    sshLine(opensshNewest, client, ["-N", "-L", `${up}:web:1`, "-L", `${down}:web:2`]),
  );

  await t.step("-L to -R, up", async () => assert.equal(await sendPattern(await ready(up), SIZE), hash));
  await t.step("-L to -R, down", async () => assert.equal(await receiveHash(down), hash));
  await t.step("-R of a real port", async () => {
    assert.equal(await sendPattern(await ready(open), SIZE), hash);
    const count = keyExchanges(agent.stderr.toString());
    assert.ok(count > 3 * REKEYS, `${count} key exchanges`);
  });
  const config = folder.write("config", jumpConfig(client));
  await copyAllWays(t, folder, "web", configured(config));
});

peerTest("100 MB pass to and from our agent by -L, -R, scp, sftp and tar, both ends asking for new keys", [
  openssh,
  opensshNewest,
], async (t) => {
  await using scene = await makeAgentScene({
    ssh: [rekeys],
    agent: ({ folder, key }) => {
      const lines = [
        "RekeyLimit 1M",
        `AuthorizedKeysFile ${folder.write("box-keys", key.line + "\n")}`,
        `HostKey ${folder.at("agent")}`,
        "StrictModes no",
        "PermitRootLogin yes",
        "PidFile none",
        "Subsystem sftp internal-sftp",
      ];
      return ["--sshd-config", folder.write("box_config", lines.join("\n") + "\n")];
    },
  });
  const { folder } = scene.site;
  await using sink = sinkServer();
  await using source = sourceServer(SIZE);
  const [up, down, far] = [freePort(), freePort(), freePort()];
  const line = configured(scene.config);
  const forwards = [`-L${up}:127.0.0.1:${sink.port}`, `-L${down}:127.0.0.1:${source.port}`];
  await using _user = start(
    line(openssh, "ssh", "-N", ...forwards, "-R", `${far}:127.0.0.1:${sink.port}`, "box"),
  );
  await t.step("-L, up", async () => assert.equal(await sendPattern(await ready(up), SIZE), hash));
  await t.step("-L, down", async () => assert.equal(await receiveHash(down), hash));
  await t.step("-R", async () => assert.equal(await sendPattern(await ready(far), SIZE), hash));
  await copyAllWays(t, folder, "box", line);
  await t.step("the agent asks for new keys by itself", async () => {
    const own = folder.write("plain-config", folder.read("config").replace(/^ *RekeyLimit.*\n/m, ""));
    const { stdout, stderr } = await succeed(
      openssh.line("ssh", "-v", "-F", own, "box", `cat ${folder.at("bulk")}`),
      { within },
    );
    assert.equal(sha256(stdout), hash);
    assert.ok(keyExchanges(stderr) > REKEYS, `${keyExchanges(stderr)} key exchanges`);
  });
});
