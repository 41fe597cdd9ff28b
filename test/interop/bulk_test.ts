/** 100 MB every way there is, compared by hash, with new keys each MB: what is lost or doubled in a rekey shows here. */
import assert from "node:assert/strict";
import { makeAgentScene } from "../support/agent_scene.ts";
import { makeKey } from "../support/keygen.ts";
import { startGateway } from "../support/mesh.ts";
import { openssh, opensshNewest, type Peer, peerTest } from "../support/peers.ts";
import { type Running, start, succeed } from "../support/process.ts";
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
import { waitUntil } from "../support/wait.ts";

const SIZE = 100_000_000;
const hash = patternHash(SIZE);

/** New keys that a transfer gets at least: one time in each MiB that is sent, and the first ones are none of them. */
const REKEYS = 90;

/** Per transfer, in milliseconds: three machines' worth of encryption and 100 key exchanges on one core or two. */
const within = 120_000;

const rekeys = "RekeyLimit=1M";

/** Between stock peers the post-quantum exchange of OpenSSH 9.2 would take most of the time. */
const cheapRekeys = [rekeys, "KexAlgorithms=curve25519-sha256"];

/** `program -F FILE …` */
const configured = (file: string) => (peer: Peer, program: string, ...args: string[]) =>
  peer.line(program, "-F", file, ...args);

/** How often `ssh -v` tells of new keys. */
const renewals = ({ stderr }: { stderr: { toString(): string } }) =>
  stderr.toString().match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0;

/** Whether one transfer, or `transfers`, had keys renewed as often as asked for. */
function expectRenewals(said: { stderr: string }, transfers = 1): void {
  const count = renewals(said);
  assert.ok(count > transfers * REKEYS, `${count} times new keys`);
}

/** Does one transfer through programs that run with `-v`, each of which must have had its keys renewed meanwhile. */
async function renewing(
  programs: Readonly<Record<string, Running>>,
  transfer: () => Promise<void>,
): Promise<void> {
  const before = Object.entries(programs).map(([name, program]) => ({
    name,
    program,
    had: renewals(program),
  }));
  await transfer();
  for (const { name, program, had } of before) {
    // What they say may come later than what they carry.
    await waitUntil(`new keys of ${name}`, () => renewals(program) - had >= REKEYS);
  }
}

interface CopyFolder {
  readonly path: string;
  at(name: string): string;
  read(name: string): string;
  write(name: string, text: string): string;
}

/** Copies a file to `node` and back by scp, sftp and pipes. In the folder's `config` the node is reached by a jump. */
async function copyAllWays(t: Deno.TestContext, folder: CopyFolder, node: string): Promise<void> {
  writePattern(folder.at("bulk"), SIZE);
  /** Says what `ssh -v` says on the way to one host alone: `-v` would go for the host in between as well. */
  const telling = (hosts: string) =>
    configured(
      folder.write(
        `telling-${hosts.length}`,
        `Host ${hosts}\n  LogLevel DEBUG1\n${folder.read("config")}`,
      ),
    );
  const line = telling("* !gateway");
  await t.step("scp, up and down", async () => {
    const up = [folder.at("bulk"), `${node}:${folder.at("scp-up")}`];
    expectRenewals(await succeed(line(openssh, "scp", ...up), { within }));
    assert.equal(fileHash(folder.at("scp-up")), hash);
    const down = [`${node}:${folder.at("scp-up")}`, folder.at("scp-down")];
    expectRenewals(await succeed(line(opensshNewest, "scp", ...down), { within }));
    assert.equal(fileHash(folder.at("scp-down")), hash);
  });
  await t.step("sftp, up and down", async () => {
    const [up, down] = [folder.at("sftp-up"), folder.at("sftp-down")];
    const batch = folder.write("batch", `put ${folder.at("bulk")} ${up}\nget ${up} ${down}\n`);
    expectRenewals(await succeed(line(openssh, "sftp", "-b", batch, node), { within }), 2);
    assert.equal(fileHash(up), hash);
    assert.equal(fileHash(down), hash);
  });
  await t.step("tar |, up and down", async () => {
    Deno.mkdirSync(folder.at("unpacked"));
    const up = quoted(line(openssh, "ssh", node, `tar -C ${folder.at("unpacked")} -xf -`));
    expectRenewals(await succeed(["sh", "-c", `tar -C ${folder.path} -cf - bulk | ${up}`], { within }));
    assert.equal(fileHash(folder.at("unpacked/bulk")), hash);
    const down = quoted(line(opensshNewest, "ssh", node, `tar -C ${folder.path} -cf - bulk`));
    const unpacked = await succeed(["sh", "-c", `${down} | tar -xOf - | sha256sum`], { within });
    assert.equal(unpacked.text.split(" ")[0], hash);
    expectRenewals(unpacked);
  });
  await t.step("-J, up and down, as the gateway's client sees it", async () => {
    const jump = telling("gateway");
    const up = quoted(jump(openssh, "ssh", node, `cat > ${folder.at("jump-up")}`));
    expectRenewals(await succeed(["sh", "-c", `${up} < ${folder.at("bulk")}`], { within }));
    assert.equal(fileHash(folder.at("jump-up")), hash);
    const down = await succeed(jump(opensshNewest, "ssh", node, `cat ${folder.at("bulk")}`), { within });
    assert.equal(sha256(down.stdout), hash);
    expectRenewals(down);
  });
}

/** For a shell. */
const quoted = (line: readonly string[]) => line.map((word) => `'${word}'`).join(" ");

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
  await using sshd = await startSshd(openssh, folder, {
    hostKeys: [hostKey],
    authorized: [site.key.line],
    // Where only the receiving end asks, much is under way before the sender knows.
    config: ["RekeyLimit 1M"],
  });
  await using sink = sinkServer();
  await using source = sourceServer(SIZE);
  const open = freePort();
  await using gateway = await startGateway(folder, {
    owners: [site.key.line],
    args: ["--allow-listen", String(open), "--rekey-limit", "1M"],
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
  const forwards = ["-L", `${up}:web:1`, "-L", `${down}:web:2`];
  await using user = start(sshLine(opensshNewest, client, ["-N", "-v", ...forwards]));
  const sent = async (port: number) => assert.equal(await sendPattern(await ready(port), SIZE), hash);

  await t.step("-L to -R, up", () => renewing({ user, agent }, () => sent(up)));
  await t.step(
    "-L to -R, down",
    () => renewing({ user, agent }, async () => assert.equal(await receiveHash(down), hash)),
  );
  await t.step("-R of a real port", () => renewing({ agent }, () => sent(open)));
  folder.write("config", jumpConfig(client));
  await copyAllWays(t, folder, "web");
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
  // Of `-v` on the way to the agent alone.
  const config = folder.write("user-config", `Host box\n  LogLevel DEBUG1\n${folder.read("config")}`);
  const forwards = [
    ...["-L", `${up}:127.0.0.1:${sink.port}`, "-L", `${down}:127.0.0.1:${source.port}`],
    ...["-R", `${far}:127.0.0.1:${sink.port}`],
  ];
  await using user = start(openssh.line("ssh", "-F", config, "-N", ...forwards, "box"));
  const sent = async (port: number) => assert.equal(await sendPattern(await ready(port), SIZE), hash);

  await t.step("-L, up", () => renewing({ user }, () => sent(up)));
  await t.step("-L, down", () => renewing({ user }, async () => assert.equal(await receiveHash(down), hash)));
  await t.step("-R", () => renewing({ user }, () => sent(far)));
  await copyAllWays(t, folder, "box");
  await t.step("the agent asks for new keys by itself", async () => {
    const own = folder.write("plain-config", folder.read("config").replace(/^ *RekeyLimit.*\n/m, ""));
    const said = await succeed(
      openssh.line("ssh", "-v", "-F", own, "box", `cat ${folder.at("bulk")}`),
      { within },
    );
    assert.equal(sha256(said.stdout), hash);
    expectRenewals(said);
  });
});
