/** The command as people run it, with the stock ssh. */
import assert from "node:assert/strict";
import { denoNet } from "../../src/deno/net.ts";
import { exitCodes } from "../../src/gateway/exit_codes.ts";
import { parseTcpAddress } from "../../src/platform/net.ts";
import { temporaryFolder } from "../support/folder.ts";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { meshEnvironment, meshLine, startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { jumpConfig, sshLine } from "../support/stock_client.ts";
import { startSshd } from "../support/stock_server.ts";
import { waitUntil } from "../support/wait.ts";
import { TestClient, testKey } from "./in_memory.ts";

/** Runs the command to its end in a home of its own. */
async function gateway(home: string, ...args: string[]) {
  return await run(meshLine("gateway", args), { env: meshEnvironment(home) });
}

const anyPort = ["--listen", "127.0.0.1:0", "--admin", "off"];

peerTest("without any flag it works, and prints what to type", [openssh], async () => {
  using home = temporaryFolder();
  // The default port may be taken on the machine that tests; everything else is the default.
  const running = start(meshLine("gateway", anyPort), { env: meshEnvironment(home.path) });
  try {
    const [, made] = await running.stdout.match(/one was made: (\S+)/);
    assert.equal(made, `${home.path}/.local/state/ssh-mesh/owner_ed25519`);
    const [, line] = await running.stdout.match(/^ {2}echo '(.*)' >> ~\/\.ssh\/known_hosts$/);
    const [, login] = await running.stdout.match(/^ {2}(ssh .* whoami)$/);
    Deno.mkdirSync(home.at(".ssh"), { mode: 0o700 });
    const known = home.write(".ssh/known_hosts", `${line}\n`);
    const options = ["-F", "none", "-o", "BatchMode=yes", "-o", `UserKnownHostsFile=${known}`];
    const [program, ...rest] = login.split(" ");
    const { text } = await succeed([program, ...options, ...rest]);
    assert.match(text, /^owner +true$/m);
  } finally {
    assert.equal((await running.stop()).code, exitCodes.ended.code);
  }
});

Deno.test("--help, --version and --print-schema print and end well", async () => {
  using home = temporaryFolder();
  const help = await gateway(home.path, "--help");
  assert.equal(help.code, 0);
  for (const { meaning } of Object.values(exitCodes)) assert.ok(help.text.includes(meaning));
  assert.equal((await gateway(home.path, "--version")).code, 0);
  const schema = await gateway(home.path, "--print-schema");
  assert.equal(JSON.parse(schema.text).type, "object");
});

Deno.test("each mistake is one sentence and its exit code", async (t) => {
  using home = temporaryFolder();
  const open = home.write("open-key", "x", 0o644);
  Deno.mkdirSync(home.at("wide"), { mode: 0o755 });
  Deno.chmodSync(home.at("wide"), 0o755);
  const policy = home.write("policy.yaml", "rules: [{ who: anyone, may: [fly] }]\n");
  const mistakes: [string[], keyof typeof exitCodes, RegExp][] = [
    [["--fly"], "usage", /unknown option '--fly'/],
    [["--listen", "x"], "usage", /--listen: 'x' is not HOST:PORT/],
    [["--config", home.at("none")], "files", /none cannot be read/],
    [["--authorized-keys", home.at("none")], "files", /none cannot be read/],
    [["--policy", policy], "files", /policy\.yaml:1:\d+: .*'fly' is not known/],
    [["--host-key", open], "files", /open-key has mode 0644/],
    [["--state", home.at("wide")], "state", /wide has mode 0755/],
    [
      ["--host-key-algorithms", "rsa-sha2-512"],
      "usage",
      /the host keys are of ssh-ed25519, which it leaves out/,
    ],
    [["--check", "--host-key-algorithms", "rsa-sha2-512"], "usage", /the host keys are of ssh-ed25519/],
    [["--check", "--policy", policy], "files", /'fly'/],
    [["--check", "--state", home.at("wide")], "state", /wide has mode 0755/],
  ];
  for (const [args, reason, sentence] of mistakes) {
    await t.step(args.map((arg) => arg.replace(home.path, "")).join(" "), async () => {
      const { code, stderr, text } = await gateway(home.path, ...anyPort, ...args);
      assert.equal(code, exitCodes[reason].code, stderr);
      const [last] = stderr.trimEnd().split("\n").slice(-1);
      assert.match(last, /^gateway: /);
      assert.match(last, sentence);
      assert.equal(text, "");
    });
  }
});

Deno.test("--check makes nothing and says that all is right", async () => {
  using home = temporaryFolder();
  const { code, text } = await gateway(home.path, "--check");
  assert.equal(code, 0);
  assert.match(text, /The configuration is right; owners: 0/);
  assert.deepEqual([...Deno.readDirSync(home.path)], []);
});

Deno.test("a port that is taken, and a state folder in use, are said so", async () => {
  using folder = temporaryFolder();
  const owner = await makeKey(folder, "owner");
  await using running = await startGateway(folder, { owners: [owner.line] });
  const taken = await gateway(folder.path, "--listen", `127.0.0.1:${running.port}`, "--admin", "off");
  assert.equal(taken.code, exitCodes.address.code, taken.stderr);
  assert.match(
    taken.stderr,
    /cannot listen on 127\.0\.0\.1:\d+: the address is already in use \(--listen HOST:PORT\)/,
  );
  const used = await gateway(folder.path, ...anyPort, "--state", running.state);
  assert.equal(used.code, exitCodes.state.code);
  assert.match(used.stderr, /another process uses the state folder \S+: '--state DIR'/);
});

Deno.test("health, readiness and metrics are on the admin address alone", async () => {
  using folder = temporaryFolder();
  const owner = await makeKey(folder, "owner");
  await using running = await startGateway(folder, { owners: [owner.line] });
  const page = async (path: string) => {
    const response = await fetch(`http://${running.admin}${path}`);
    return [response.status, await response.text()] as const;
  };
  assert.deepEqual(await page("/healthz"), [200, "ok\n"]);
  assert.deepEqual(await page("/readyz"), [200, "ready\n"]);
  assert.match((await page("/metrics"))[1], /^ssh_mesh_connections 0$/m);
  assert.equal((await page("/anything"))[0], 404);
});

Deno.test("killed at any instant of its start, it comes up again with the same key", async () => {
  using home = temporaryFolder();
  const line = meshLine("gateway", [...anyPort, "--log", "json"]);
  const options = { env: meshEnvironment(home.path) };
  let fingerprint: string | undefined;
  for (const delay of [120, 160, 200, 240, 280, 320]) {
    const killed = start(line, options);
    await new Promise((resolve) => setTimeout(resolve, delay));
    await killed.stop("SIGKILL");
    const [ready] = killed.stdout.all;
    if (ready) fingerprint ??= JSON.parse(ready).fingerprint;
  }
  const running = start(line, options);
  const ready = JSON.parse((await running.stdout.match(/^\{"event":"ready".*/))[0]);
  assert.equal(ready.fingerprint, fingerprint ?? ready.fingerprint);
  for (const { name } of Deno.readDirSync(ready.state)) {
    assert.equal(Deno.statSync(`${ready.state}/${name}`).mode! & 0o077, 0, name);
  }
  await running.stop();
});

/** A gateway with an authority, a stock node, and one user of each kind. */
async function makeScene(policy: string, args: string[] = []) {
  const site = await makeSite();
  const authority = await makeKey(site.folder, "authority");
  const user = await makeKey(site.folder, "certified");
  await makeCertificate(authority, user, { role: "user", principals: ["bob@mycorp.com"] });
  const hostKey = await makeKey(site.folder, "node-host");
  const sshd = await startSshd(openssh, site.folder, {
    hostKeys: [hostKey],
    authorized: [site.key.line, user.line],
  });
  const policyFile = site.folder.write("policy.yaml", policy);
  const running = await startGateway(site.folder, {
    owners: [site.key.line],
    args: ["--trust-user-ca", authority.publicPath, "--policy", policyFile, ...args],
  });
  site.expect(running.port, running.hostKey);
  Deno.writeTextFileSync(site.knownHosts, `web,web.localhost ${hostKey.bare}\n`, { append: true });
  const client = { port: running.port, user: sshd.user, knownHosts: site.knownHosts };
  const owner = { ...client, identity: site.key.path };
  const node = start(sshLine(openssh, owner, ["-N", "-R", `web:22:127.0.0.1:${sshd.port}`]));
  const ls = async () => (await run(sshLine(openssh, owner, [], "ls"))).text;
  await waitUntil("the node", async () => (await ls()).includes("web.localhost"));
  const config = site.folder.write("user-config", jumpConfig({ ...client, identity: user.path }));
  return {
    site,
    running,
    policyFile,
    owner,
    certified: { ...client, identity: user.path },
    jump: (...command: string[]) => openssh.line("ssh", "-F", config, "web", ...command),
    async [Symbol.asyncDispose]() {
      await node.stop();
      await running[Symbol.asyncDispose]();
      await sshd[Symbol.asyncDispose]();
      site[Symbol.dispose]();
    },
  };
}

const connectRule = `rules:
  - { name: bob, who: { email: "*@mycorp.com" }, may: [connect], what: { node: web, port: 22 } }
`;

peerTest(
  "a certificate and a rule lead to the node; without the rule what is open ends",
  [openssh],
  async () => {
    await using scene = await makeScene(connectRule);
    const { text } = await succeed(sshLine(openssh, scene.certified, [], "whoami"));
    assert.match(text, /^name +bob@mycorp\.com$/m);
    assert.equal((await succeed(scene.jump("echo in"))).text, "in\n");

    const session = start(scene.jump("echo open; sleep 60"));
    await session.stdout.match(/open/);
    scene.site.folder.write("policy.yaml", "rules: [nonsense\n");
    const began = performance.now();
    await scene.running.process.stderr.match(/policy stays as it was/);
    assert.equal((await succeed(scene.jump("echo still"))).text, "still\n");
    scene.site.folder.write("policy.yaml", "rules: []\n");
    const { code } = await session.status;
    assert.ok(performance.now() - began < 10_000);
    assert.equal(code, 255);
    await session.stop();
    assert.equal((await run(scene.jump("echo in"))).code, 255);
    const records = Deno.readTextFileSync(`${scene.running.state}/flows.jsonl`).trimEnd().split("\n");
    const ends = records.map((line) => JSON.parse(line)).map(({ rule, end }) => `${rule}: ${end}`);
    // The jumping ssh leaves when its session is over, now before and now after the node has closed.
    const told = ends.map((end) => end.replace("client-closed", "ended")).sort();
    assert.deepEqual(told, ["bob: ended", "bob: ended", "bob: revoked"]);
  },
);

peerTest("a key that is taken out of its file ends what its owner has open", [openssh], async () => {
  await using scene = await makeScene("");
  const session = start(sshLine(openssh, scene.owner, ["-N", "-R", "other:22:127.0.0.1:1"]));
  await waitUntil("the name", async () => {
    return (await run(sshLine(openssh, scene.owner, [], "ls"))).text.includes("other.localhost");
  });
  const began = performance.now();
  scene.site.folder.write("gateway-owners", "");
  assert.equal((await session.status).code, 255);
  assert.ok(performance.now() - began < 5000);
  await session.stop();
  assert.equal((await run(sshLine(openssh, scene.owner, [], "whoami"))).code, 255);
});

Deno.test("with few descriptors and many strangers, who is in goes on and who is revoked goes", async () => {
  using home = temporaryFolder();
  const owner = await testKey("owner");
  const keys = home.write("owners", `${owner.line}\n`);
  const line = meshLine("gateway", [...anyPort, "--log", "json", "--authorized-keys", keys]);
  const starved = start(["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", ...line], {
    env: meshEnvironment(home.path),
  });
  const strangers: Deno.Conn[] = [];
  try {
    const ready = JSON.parse((await starved.stdout.match(/^.*"ready".*$/))[0]);
    const address = parseTcpAddress(ready.listen);
    const client = await TestClient.over(await denoNet.dial(address), owner.key);
    await client.serve("web", 22, "hi");
    for (let i = 0; i < 200; i++) strangers.push(await Deno.connect(address));
    assert.equal(await client.ask("web", 22), "hi");
    const began = performance.now();
    home.write("owners", "");
    await client.connection.closed;
    assert.ok(performance.now() - began < 5000);
  } finally {
    for (const connection of strangers) connection.close();
    await starved.stop();
  }
});

peerTest("SIGTERM waits for what is open, a second one does not", [openssh], async () => {
  await using scene = await makeScene(connectRule, ["--drain-grace", "60s"]);
  const session = start(scene.jump("echo open; sleep 60"));
  await session.stdout.match(/open/);
  scene.running.process.signal("SIGTERM");
  await scene.running.process.stderr.match(/draining/);
  assert.equal(await fetch(`http://${scene.running.admin}/readyz`).then((page) => page.text()), "draining\n");
  assert.equal(session.exited, false);
  assert.notEqual((await run(sshLine(openssh, scene.owner, [], "whoami"))).code, 0);
  scene.running.process.signal("SIGTERM");
  assert.equal((await scene.running.process.status).code, exitCodes.cut.code);
  await session.stop();
});

Deno.test("SIGHUP does nothing to a gateway without a terminal, and the end of its terminal drains it", async () => {
  using home = temporaryFolder();
  const env = meshEnvironment(home.path);
  const running = start(meshLine("gateway", anyPort), { env });
  await running.stdout.match(/Listening/);
  running.signal("SIGHUP");
  await running.stderr.match(/SIGHUP is not needed/);
  assert.equal((await running.stop()).code, exitCodes.ended.code);

  const line = meshLine("gateway", anyPort).map((word) => `'${word}'`).join(" ");
  const inTerminal = start(["script", "-qec", `echo "it is $$"; exec ${line}`, "/dev/null"], { env });
  const [, pid] = await inTerminal.stdout.match(/it is (\d+)/);
  await inTerminal.stdout.match(/Listening/);
  Deno.kill(Number(pid), "SIGHUP");
  Deno.kill(Number(pid), "SIGHUP");
  await inTerminal.stdout.match(/SIGHUP: draining/);
  assert.equal((await inTerminal.status).code, exitCodes.ended.code);
});

peerTest("a user reaches a node behind a gateway that has joined another", [openssh], async () => {
  const site = await makeSite();
  const hostKey = await makeKey(site.folder, "node-host");
  const sshd = await startSshd(openssh, site.folder, { hostKeys: [hostKey], authorized: [site.key.line] });
  const a = await startGateway(site.folder, {
    name: "a",
    owners: [site.key.line],
    args: ["--domain", "a.example"],
  });
  const policy = site.folder.write(
    "b-policy.yaml",
    `rules:
  - { who: { key: "${a.hostKey.fingerprint}" }, may: [assert] }
  - { who: { key: "${site.key.fingerprint}" }, may: [connect], what: { node: "*" } }
`,
  );
  const home = site.folder.at("b-home");
  Deno.mkdirSync(home, { mode: 0o700 });
  const known = site.folder.write("a-known", `[127.0.0.1]:${a.port} ${a.hostKey.bare}\n`);
  const b = await startGateway(site.folder, {
    name: "b",
    owners: [site.key.line],
    args: [
      ...["--domain", "b.example", "--policy", policy],
      ...["--connect", `127.0.0.1:${a.port}`, "--known-hosts", known, "--identity", site.key.path],
    ],
  });
  site.expect(a.port, a.hostKey);
  site.expect(b.port, b.hostKey);
  Deno.writeTextFileSync(site.knownHosts, `web.b.example ${hostKey.bare}\n`, { append: true });
  const client = { user: sshd.user, identity: site.key.path, knownHosts: site.knownHosts };
  const node = start(
    sshLine(openssh, { ...client, port: b.port }, ["-N", "-R", `web:22:127.0.0.1:${sshd.port}`]),
  );
  try {
    const ls = async () => (await run(sshLine(openssh, { ...client, port: a.port }, [], "ls"))).text;
    await waitUntil("the node at the first gateway", async () => (await ls()).includes("web.b.example"));
    const config = site.folder.write("config", jumpConfig({ ...client, port: a.port }));
    const { text } = await succeed(openssh.line("ssh", "-F", config, "web.b.example", "echo far"));
    assert.equal(text, "far\n");
  } finally {
    await node.stop();
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
    await sshd[Symbol.asyncDispose]();
    site[Symbol.dispose]();
  }
});
