/** The agent's command: stock sshd as gateway, a child, its endings, what happens when the gateway goes. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { meshLine } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { ownUser, type StockServer } from "../support/stock_server.ts";
import { echoServer, exchange, freePort } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";
import { into, makeScene, need, sentence } from "./command_scene.ts";

peerTest("a stock sshd is a gateway: the built-in server is reached through its port", need, async () => {
  await using scene = await makeScene();
  const port = freePort();
  await using agent = scene.start("--expose", `${port}:ssh`);
  await agent.event("registered", { port });
  const done = await run(into(scene.site, port, [], "echo out; echo err >&2; exit 42"));
  assert.deepEqual([done.text, done.code], ["out\n", 42]);
  assert.match(done.stderr, /^err$/m);
});

peerTest("a service is exposed beside it, and half-close passes through", need, async () => {
  await using scene = await makeScene();
  await using service = echoServer();
  const port = freePort();
  await using agent = scene.start("--expose", `${port}:127.0.0.1:${service.port}`);
  await agent.event("ready");
  const sent = new Uint8Array(300_000).fill(7);
  assert.deepEqual(await exchange(port, sent), sent);
});

peerTest("another login name is refused with the right one, to those whose key is known", need, async () => {
  await using scene = await makeScene();
  const { site } = scene;
  const port = freePort();
  await using agent = scene.start("--expose", `${port}:ssh`);
  await agent.event("ready");
  const known = await run(into(site, port, [], "true", "nobody-here"));
  assert.equal(known.code, 255);
  assert.match(known.stderr, new RegExp(`as ${ownUser} only`));
  const stranger = await makeKey(site.folder, "stranger");
  const line = into({ ...site, key: stranger }, port, [], "true", "nobody-here");
  const unknown = await run(line);
  assert.equal(unknown.code, 255);
  assert.doesNotMatch(unknown.stderr, /only/);
});

peerTest(
  "forwards through the agent: -L and -D to itself, not beyond; -R back; sockets both ways",
  need,
  async () => {
    await using scene = await makeScene();
    const { site } = scene;
    await using service = echoServer();
    const port = freePort();
    await using agent = scene.start("--expose", `${port}:ssh`);
    await agent.event("ready");
    const [local, socks, remote, toSocket] = [freePort(), freePort(), freePort(), freePort()];
    const [near, far] = [site.folder.at("near.sock"), site.folder.at("far.sock")];
    await using _tunnel = start(into(site, port, [
      "-N",
      ...["-L", `127.0.0.1:${local}:localhost:${service.port}`, "-D", `127.0.0.1:${socks}`],
      ...["-R", `127.0.0.1:${remote}:127.0.0.1:${service.port}`],
      // near.sock here leads to far.sock there, which leads back here to the service.
      ...[
        "-R",
        `${far}:127.0.0.1:${service.port}`,
        "-L",
        `${near}:${far}`,
        "-L",
        `127.0.0.1:${toSocket}:${far}`,
      ],
    ]));
    const hello = new TextEncoder().encode("hello");
    for (const forwarded of [local, remote, toSocket]) {
      await waitUntil(
        `port ${forwarded}`,
        () => exchange(forwarded, hello).then((got) => got.length === 5, () => false),
      );
    }
    assert.equal((await socksConnect(socks, "localhost", service.port)).reply, 0);
    // 192.0.2.1 leads nowhere (RFC 5737): refused before anybody tries.
    assert.notEqual((await socksConnect(socks, "192.0.2.1", 80)).reply, 0);
  },
);

/** Asks a SOCKS 5 server to connect; `reply` 0 is success (RFC 1928 §6). */
async function socksConnect(proxy: number, host: string, port: number): Promise<{ reply: number }> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy });
  const name = new TextEncoder().encode(host);
  await connection.write(new Uint8Array([5, 1, 0]));
  const answer = new Uint8Array(64);
  await connection.read(answer);
  await connection.write(new Uint8Array([5, 1, 0, 3, name.length, ...name, port >> 8, port & 255]));
  const count = await connection.read(answer);
  return { reply: count === null ? 255 : answer[1] };
}

peerTest("a line's options limit its key", need, async () => {
  await using scene = await makeScene();
  const { site } = scene;
  const forced = site.folder.write(
    "forced",
    `restrict,command="echo forced: $SSH_ORIGINAL_COMMAND" ${site.key.line}\n`,
  );
  const port = freePort();
  await using agent = scene.start("--expose", `${port}:ssh`, "--authorized-keys", forced);
  await agent.event("ready");
  // The first line that fits counts: take the unrestricted one out.
  site.folder.write("authorized", "");
  const done = await run(into(site, port, [], "rm -rf everything"));
  assert.equal(done.text, "forced: rm -rf everything\n");
  const tunnel = await run(into(site, port, ["-W", "127.0.0.1:1"]));
  assert.match(tunnel.stderr, /stdio forwarding failed/);
});

peerTest(
  "a child has the agent's input, output and environment, and its status is the agent's",
  need,
  async () => {
    await using scene = await makeScene();
    const port = freePort();
    const line = meshLine("agent", [
      ...[...scene.args, "--expose", `${port}:ssh`],
      ...["--", "sh", "-c", 'read word; echo "$word $MINE"; exit 7'],
    ]);
    const done = await run(line, { env: { ...scene.env, MINE: "theirs" }, stdin: "hello\n" });
    assert.deepEqual([done.text, done.code], ["hello theirs\n", 7]);
  },
);

peerTest("signals reach the child first, and what it makes of them is the agent's end", need, async () => {
  await using scene = await makeScene();
  const port = freePort();
  const child = 'trap "exit 12" TERM; trap "exit 13" INT; echo up; while :; do sleep 0.05; done';
  for (const [signal, code] of [["SIGTERM", 12], ["SIGINT", 13]] as const) {
    await using agent = scene.start("--expose", `${port}:ssh`, "--", "sh", "-c", child);
    await agent.process.stdout.match(/up/);
    agent.process.signal(signal);
    assert.equal((await agent.process.status).code, code);
  }
  // A child is told to read its files again, and lives.
  {
    const child = 'trap "echo again" HUP; echo up; while :; do sleep 0.05; done';
    await using agent = scene.start("--expose", `${port}:ssh`, "--", "sh", "-c", child);
    await agent.process.stdout.match(/up/);
    agent.process.signal("SIGHUP");
    await agent.process.stdout.match(/again/);
  }
  // One that dies of a signal ends the agent as a shell would tell it.
  const killed = await scene.end("--expose", `${port}:ssh`, "--", "sh", "-c", "kill -KILL $$");
  assert.equal(killed.code, 128 + 9);
});

peerTest("SIGTERM ends an idle agent at once, with 0", need, async () => {
  await using scene = await makeScene();
  await using agent = scene.start("--expose", `${freePort()}:ssh`);
  await agent.event("ready");
  const before = performance.now();
  agent.process.signal("SIGTERM");
  assert.equal((await agent.process.status).code, 0);
  // Long before it would give up waiting for anybody.
  assert.ok(performance.now() - before < 10_000);
});

peerTest("a gateway that was killed and comes back finds its agent", need, async () => {
  await using scene = await makeScene();
  const { site, gateway } = scene;
  const port = freePort();
  await using agent = scene.start("--expose", `${port}:ssh`);
  await agent.event("ready");
  await killSshd(gateway);
  await agent.event("disconnected");
  const config = site.folder.at(`sshd_config_${gateway.port}`);
  await using _again = start(openssh.line("/usr/sbin/sshd", "-D", "-e", "-f", config));
  const before = agent.process.stdout.all.length;
  await agent.event("registered", { port }, { from: before });
  assert.equal((await run(into(site, port, [], "echo back"))).text, "back\n");
});

/** Ends the server and the processes of its connections. */
async function killSshd(server: StockServer): Promise<void> {
  await run(["pkill", "-KILL", "-P", String(server.process.pid)]);
  await server.process.stop("SIGKILL");
}

peerTest("two agents cannot share a state folder", need, async () => {
  await using scene = await makeScene();
  await using agent = scene.start("--expose", `${freePort()}:ssh`);
  await agent.event("ready");
  const second = await scene.end("--expose", `${freePort()}:ssh`);
  assert.equal(second.code, 4);
  assert.match(sentence(second), /another process uses the state folder/);
});

peerTest("a pinned gateway that shows another key gets no second chance", need, async () => {
  await using scene = await makeScene();
  const { site, identity, gateway } = scene;
  const port = freePort();
  {
    await using agent = scene.start("--expose", `${port}:ssh`);
    await agent.event("pinned");
    await agent.event("ready");
  }
  await gateway.process.stop();
  const impostor = await makeKey(site.folder, "impostor");
  const pretended = site.folder.write(
    "impostor_config",
    [
      `ListenAddress 127.0.0.1:${gateway.port}`,
      `HostKey ${impostor.path}`,
      `AuthorizedKeysFile ${site.folder.write("impostor_keys", identity.line + "\n")}`,
      "PidFile none",
      "UsePAM no",
      "StrictModes no",
      "",
    ].join("\n"),
  );
  await using _server = start(openssh.line("/usr/sbin/sshd", "-D", "-e", "-f", pretended));
  await waitUntil(
    "the impostor",
    () =>
      Deno.connect({ hostname: "127.0.0.1", port: gateway.port }).then((c) => (c.close(), true), () => false),
  );
  const done = await scene.end("--expose", `${port}:ssh`);
  assert.equal(done.code, 8, done.stderr);
  assert.match(sentence(done), /shows another host key.*\(ssh-keygen -R '\[127\.0\.0\.1\]:\d+' -f \S+\)/);
});
