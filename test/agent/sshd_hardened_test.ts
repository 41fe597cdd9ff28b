/** What hardened configurations ask for, and what only shows where the client's address is known. */
import assert from "node:assert/strict";
import { knownHost, makeKey } from "../support/keygen.ts";
import { meshLine } from "../support/mesh.ts";
import { openssh, paramiko, peerTest } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { sshLine } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { freePort } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";
import { client, listening, makeScene } from "./sshd_scene.ts";

const need = [openssh];

peerTest("--stdio on a socket knows both of its ends, as sshd -i under inetd does", [
  openssh,
  paramiko,
], async () => {
  await using scene = await makeScene();
  const config = scene.config(
    "Match Address 127.0.0.0/8",
    "  ForceCommand echo $SSH_CONNECTION",
    "Match all",
    "UsePAM yes",
  );
  const script = new URL("../support/inetd.py", import.meta.url).pathname;
  const agent = meshLine("agent", ["--stdio", "--sshd-config", config]);
  await using inetd = start(paramiko.line("", script, ...agent), { env: scene.env });
  const port = Number((await inetd.stdout.match(/^\d+$/))[0]);
  Deno.writeTextFileSync(scene.site.knownHosts, knownHost(port, scene.hostKey), { append: true });
  const { text } = await succeed(sshLine(openssh, client(scene, port), [], "echo not forced"));
  assert.match(text, new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${port}\n$`));
  // The warning about UsePAM would go to the peer.
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const first = new Uint8Array(8);
  await connection.read(first);
  assert.equal(new TextDecoder().decode(first), "SSH-2.0-");
});

peerTest("RequiredRSASize keeps short keys out, the users' and the server's own", need, async () => {
  await using scene = await makeScene();
  const { folder, key } = scene.site;
  const [short, long] = [
    await makeKey(folder, "short", "rsa-2048"),
    await makeKey(folder, "long", "rsa-3072"),
  ];
  folder.write("authorized", [key, short, long].map(({ line }) => line).join("\n") + "\n");
  await using server = await listening(scene, "RequiredRSASize 3072");
  const login = (path: string) =>
    run(sshLine(openssh, { ...client(scene, server.port), identity: path }, [], "echo in"));
  assert.equal((await login(long.path)).text, "in\n");
  assert.match((await login(short.path)).stderr, /Permission denied \(publickey\)/);
  await server.event("login", { result: "refused", reason: "RequiredRSASize" });

  const own = folder.write("own_config", `HostKey ${short.path}\nRequiredRSASize 3072\n`);
  const refused = await run(meshLine("agent", ["--sshd-config", own, "--check"]), { env: scene.env });
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /short is not used: it is shorter than RequiredRSASize/);
});

peerTest("PerSourceMaxStartups limits who is not logged in yet, by where they come from", need, async () => {
  await using scene = await makeScene();
  await using server = await listening(scene, "PerSourceMaxStartups 2");
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const waiting = [await connect(), await connect()];
  const buffer = new Uint8Array(64);
  for (const connection of waiting) assert.ok(await connection.read(buffer));
  using third = await connect();
  assert.equal(await third.read(buffer), null);
  for (const connection of waiting) connection.close();
  // Who has logged in does not count, nor who has gone.
  await waitUntil("room", async () => {
    return (await run(sshLine(openssh, client(scene, server.port), [], "echo in"))).text === "in\n";
  });
});

peerTest(
  "a Match block has a Banner, MaxAuthTries and PubkeyAcceptedAlgorithms of its own",
  need,
  async () => {
    await using scene = await makeScene();
    const { folder, key } = scene.site;
    const rsa = await makeKey(folder, "rsa", "rsa-3072");
    folder.write("authorized", `${key.line}\n${rsa.line}\n`);
    await using server = await listening(
      scene,
      "PubkeyAcceptedAlgorithms ssh-ed25519",
      `Banner ${folder.write("outer", "for others\n")}`,
      `Match User ${ownUser}`,
      `  Banner ${folder.write("inner", "for you\n")}`,
      "  PubkeyAcceptedAlgorithms rsa-sha2-256",
      "  MaxAuthTries 1",
    );
    const login = (identity: string) =>
      run(sshLine(openssh, { ...client(scene, server.port), identity }, ["-v"], "echo in"));
    const byRsa = await login(rsa.path);
    assert.equal(byRsa.text, "in\n", byRsa.stderr);
    assert.match(byRsa.stderr, /for you/);
    assert.doesNotMatch(byRsa.stderr, /for others/);
    assert.match(byRsa.stderr, /server-sig-algs=<ssh-ed25519,rsa-sha2-256>/);
    assert.equal((await login(key.path)).code, 255);
  },
);

peerTest("forced internal-sftp is for subsystems alone", need, async () => {
  await using scene = await makeScene();
  await using server = await listening(scene, "ForceCommand internal-sftp");
  const done = await run(sshLine(openssh, client(scene, server.port), [], "echo in"));
  assert.deepEqual([done.code, done.text.trim(), done.stderr.trim()], [
    1,
    "",
    "This service allows sftp connections only.",
  ]);
});

peerTest("LogLevel QUIET is quiet", need, async () => {
  await using scene = await makeScene();
  const port = freePort();
  const config = scene.config(`ListenAddress 127.0.0.1:${port}`, "LogLevel QUIET");
  await using server = start(meshLine("agent", ["--sshd-config", config, "--log", "json"]), {
    env: scene.env,
  });
  Deno.writeTextFileSync(scene.site.knownHosts, knownHost(port, scene.hostKey), { append: true });
  await waitUntil("a login", async () => {
    return (await run(sshLine(openssh, client(scene, port), [], "echo in"))).text === "in\n";
  });
  assert.doesNotMatch(server.stdout.all.join("\n"), /"event":"(ready|login|warning)"/);
});

peerTest("-R listens for both families", need, async () => {
  await using scene = await makeScene();
  for (
    const [setting, address] of [["no", "::1"], ["yes", "::1"], ["no", "127.0.0.1"], ["yes", "127.0.0.1"]]
  ) {
    await using server = await listening(scene, `GatewayPorts ${setting}`);
    const port = freePort();
    const remote = ["-R", `${port}:127.0.0.1:${server.port}`];
    await using held = start(sshLine(openssh, client(scene, server.port), [...remote, "-N", "-v"]));
    await held.stderr.match(/remote forward success/);
    using through = await Deno.connect({ hostname: address, port });
    const buffer = new Uint8Array(64);
    const count = await through.read(buffer);
    assert.match(new TextDecoder().decode(buffer.subarray(0, count!)), /^SSH-2\.0-/, `${setting} ${address}`);
  }
});

const rootOnly = Deno.uid() === 0 ? "" : " [skipped: only root runs commands as others]";

Deno.test({
  name: `AuthorizedKeysCommandUser is who runs the command, in a Match block too${rootOnly}`,
  ignore: rootOnly !== "",
  fn: async () => {
    await using scene = await makeScene();
    const { folder, key } = scene.site;
    folder.write("authorized", "");
    const line = (user: string) => [
      `AuthorizedKeysCommand /bin/sh -c "test \`id -un\` = ${user} && echo '${key.line}'"`,
      "AuthorizedKeysCommandUser nobody",
    ];
    for (const [user, in_] of [["nobody", true], ["root", false]] as const) {
      for (const lines of [line(user), [`Match User ${ownUser}`, ...line(user)]]) {
        await using server = await listening(scene, ...lines);
        const { text } = await run(sshLine(openssh, client(scene, server.port), [], "echo in"));
        assert.equal(text, in_ ? "in\n" : "", lines.join("\n"));
      }
    }
  },
});
