/** What an attacker tries on the gateway's command, as far as it takes a whole process to see; see `slow_and_many_test.ts` too. */
import assert from "node:assert/strict";
import { equal } from "../../src/bytes/bytes.ts";
import { openTcp } from "../../src/ssh/forward/outgoing.ts";
import { makeAgentScene } from "../support/agent_scene.ts";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { connectLibrary } from "../support/library_client.ts";
import { readSigner } from "../support/library_server.ts";
import { MeshCommand, meshEnvironment, meshLine, startGateway } from "../support/mesh.ts";
import { openssh, opensshNewest, paramiko, peerTest, sshAudit } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { echoServer, freePort } from "../support/tcp.ts";
import { deadline, waitUntil } from "../support/wait.ts";
import { dial, greeting, makeScene } from "./hardening_scene.ts";

// -- algorithms ------------------------------------------------------------------------------------------------------

/** Algorithm and sentence of everything that ssh-audit finds `level` in. */
async function findings(port: number, level: "fail" | "warn"): Promise<string[]> {
  const { text } = await run(
    sshAudit.line("ssh-audit", "-j", "--skip-rate-test", "-p", `${port}`, "127.0.0.1"),
  );
  const report = JSON.parse(text) as Record<string, unknown>;
  const rows = ["kex", "key", "enc", "mac"].flatMap((kind) =>
    report[kind] as { algorithm: string; notes: Record<string, string[] | undefined> }[]
  );
  assert.ok(rows.length > 8, text);
  assert.deepEqual(report.cves, []);
  return rows.flatMap(({ algorithm, notes }) => (notes[level] ?? []).map((note) => `${algorithm}: ${note}`));
}

peerTest("ssh-audit finds no fault with the gateway, and one thing to warn of", [sshAudit], async () => {
  await using scene = await makeScene();
  assert.deepEqual(await findings(scene.gateway.port, "fail"), []);
  // What OpenSSH before 9.9 speaks, and every other client of today.
  const weakness = "does not provide protection against post-quantum attacks";
  assert.deepEqual(await findings(scene.gateway.port, "warn"), [
    `curve25519-sha256: ${weakness}`,
    `curve25519-sha256@libssh.org: ${weakness}`,
  ]);
});

peerTest("ssh-audit finds nothing at all where only post-quantum key exchange is configured", [
  sshAudit,
], async () => {
  using site = await makeSite();
  const port = freePort();
  const hostKey = await makeKey(site.folder, "host");
  const config = site.folder.write(
    "sshd_config",
    `ListenAddress 127.0.0.1:${port}\nHostKey ${hostKey.path}\nKexAlgorithms mlkem768x25519-sha256\nPidFile none\n`,
  );
  const line = meshLine("agent", ["--sshd-config", config, "--log", "json"]);
  await using agent = new MeshCommand(start(line, { env: meshEnvironment(site.folder.path) }));
  await agent.event("ready");
  await using scene = await makeScene(["--kex-algorithms", "-curve25519*"]);
  for (const served of [port, scene.gateway.port]) {
    for (const level of ["fail", "warn"] as const) assert.deepEqual(await findings(served, level), []);
  }
});

peerTest("what the gateway is told to leave out is refused", [openssh], async () => {
  await using scene = await makeScene([
    ...["--ciphers", "aes256-gcm@openssh.com", "--pubkey-accepted-algorithms", "-ssh-ed25519*"],
  ]);
  const cipher = await run(sshLine(openssh, scene.owner, ["-c", "chacha20-poly1305@openssh.com"], "whoami"));
  assert.equal(cipher.code, 255);
  assert.match(cipher.stderr, /no matching cipher found\. Their offer: aes256-gcm@openssh\.com/);
  const key = await run(sshLine(openssh, scene.owner, [], "whoami"));
  assert.equal(key.code, 255);
  assert.match(key.stderr, /Permission denied \(publickey\)/);
});

peerTest(
  "the gateway renews keys as often as it is told, in both directions at once",
  [openssh],
  async () => {
    await using scene = await makeScene(["--rekey-limit", "1M", "--allow-dial", "127.0.0.1:1-65535"]);
    await using echo = echoServer();
    const sent = crypto.getRandomValues(new Uint8Array(65536));
    const stdin = new Uint8Array(20 * 1024 * 1024);
    for (let at = 0; at < stdin.length; at += sent.length) stdin.set(sent, at);
    const { stdout, stderr } = await succeed(
      sshLine(openssh, scene.owner, ["-v", "-W", `127.0.0.1:${echo.port}`]),
      { stdin },
    );
    assert.ok(equal(stdout, stdin));
    // Whichever direction is ahead counts: each MB that goes up comes down as well.
    const renewed = stderr.match(/SSH2_MSG_KEXINIT received/g)?.length ?? 0;
    assert.ok(renewed > 15, `${renewed}`);
  },
);

peerTest("the newest OpenSSH has nothing to say of the gateway, nor of the agent behind it", [
  openssh,
  opensshNewest,
], async () => {
  await using scene = await makeAgentScene({ ssh: ["LogLevel=INFO"] });
  const { gateway, site, config } = scene;
  const client = { port: gateway.port, identity: site.key.path, knownHosts: site.knownHosts };
  assert.equal((await succeed(sshLine(opensshNewest, client, [], "whoami"))).stderr, "");
  const { text, stderr } = await succeed(opensshNewest.line("ssh", "-T", "-F", config, "box", "echo in"));
  assert.equal(text, "in\n");
  // The login's start-up files may have their say, the client may not.
  assert.doesNotMatch(stderr, /^\*\*|warning|quantum/im);
});

// -- where one gets --------------------------------------------------------------------------------------------------

peerTest("PROXY headers are no business of anybody's: they break the protocol", [openssh], async () => {
  await using scene = await makeScene();
  const { gateway } = scene;
  const text = new TextEncoder();
  const v2 = new Uint8Array([
    ...[0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a],
    ...[0x21, 0x11, 0, 12, 192, 0, 2, 7, 127, 0, 0, 1, 0x30, 0x39, 0x3a, 0xae],
  ]);
  for (const header of [text.encode("PROXY TCP4 192.0.2.7 127.0.0.1 12345 15022\r\n"), v2]) {
    using connection = await dial(gateway.port);
    await connection.write(new Uint8Array([...header, ...text.encode("SSH-2.0-honest\r\n")]));
    let said = "";
    for (let part; (part = await deadline(greeting(connection), "the end")) !== "";) said += part;
    // Its own identification is all it says, and perhaps a reason: no key exchange began.
    assert.match(said, /^SSH-2\.0-SshMesh[^\r]*\r\n/);
    await waitUntil("a line in the log", () => /came to nothing/.test(gateway.process.stderr.toString()));
  }
  assert.doesNotMatch(
    `${gateway.process.stderr}${Deno.readTextFileSync(`${gateway.state}/audit.jsonl`)}`,
    /192\.0\.2\.7/,
  );
});

peerTest("a forbidden channel stays forbidden after an allowed one, and harms none", [openssh], async () => {
  await using scene = await makeScene();
  const { gateway, site, owner } = scene;
  await using echo = echoServer();
  await using _agent = start(sshLine(openssh, owner, ["-N", "-R", `web:7:127.0.0.1:${echo.port}`]));
  const signer = await readSigner(site.key);
  const connection = await connectLibrary({
    port: gateway.port,
    user: "ann",
    hostKey: { ...site.key, ...gateway.hostKey },
    signer,
  });
  const web = { host: "web", port: 7 };
  const channel = await waitUntil("the node", () => openTcp(connection, web).catch(() => undefined));
  const adminPort = Number(gateway.admin.split(":").at(-1));
  const forbidden = [
    ["127.0.0.1", adminPort],
    ["localhost", adminPort],
    ["::1", adminPort],
    ["0.0.0.0", adminPort],
    ["127.0.0.1", echo.port],
    ["169.254.169.254", 80],
    ["metadata.google.internal", 80],
    ["fd00:ec2::254", 80],
    ["192.0.2.1", 80],
  ] as const;
  for (const [host, port] of forbidden) {
    await assert.rejects(openTcp(connection, { host, port }), { code: "channel-refused" }, `${host}:${port}`);
  }
  const sent = new TextEncoder().encode("still here");
  await channel.write(sent);
  const buffer = new Uint8Array(64);
  assert.equal(await channel.read(buffer), sent.length);
  channel.close();
  (await openTcp(connection, web)).close();
  connection.close();
  await connection.gone;
  assert.equal(echo.accepted, 2);
});

peerTest(
  "dialling flags and wide rules open loopback and metadata addresses to owners alone",
  [openssh],
  async () => {
    using site = await makeSite();
    const authority = await makeKey(site.folder, "authority");
    const guest = await makeKey(site.folder, "guest");
    await makeCertificate(authority, guest, { role: "user", principals: ["guest@example.com"] });
    const policy = site.folder.write(
      "policy.yaml",
      `rules: [{ who: { email: "*@example.com" }, may: [dial], what: { dial: ["0.0.0.0/0:1-65535"] } }]\n`,
    );
    await using gateway = await startGateway(site.folder, {
      owners: [site.key.line],
      args: [
        ...["--trust-user-ca", authority.publicPath, "--policy", policy],
        ...["--allow-dial", "127.0.0.0/8:1-65535", "--allow-dial", "169.254.0.0/16:1-65535"],
      ],
    });
    site.expect(gateway.port, gateway.hostKey);
    const page = async (identity: string, to: string) => {
      const client = { port: gateway.port, identity, knownHosts: site.knownHosts };
      return await run(sshLine(openssh, client, ["-W", to]), {
        stdin: `GET /healthz HTTP/1.1\r\nHost: ${gateway.admin}\r\nConnection: close\r\n\r\n`,
      });
    };
    assert.match((await page(site.key.path, gateway.admin)).text, /^HTTP\/1\.1 200/);
    for (const to of [gateway.admin, gateway.admin.replace("127.0.0.1", "localhost"), "169.254.169.254:80"]) {
      const { code, text, stderr } = await page(guest.path, to);
      assert.deepEqual([code, text], [255, ""], to);
      assert.match(stderr, /administratively prohibited/, to);
    }
  },
);

// -- what is said of it ----------------------------------------------------------------------------------------------

/** Tries a password, which the gateway never asks for, and a name that would like to be two lines. */
const INTRUDER = `
import sys, paramiko
transport = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
transport.start_client(timeout=15)
try:
    transport.auth_password(sys.argv[2], sys.argv[3], fallback=False)
except paramiko.SSHException:
    pass
transport.close()
`;

peerTest(
  "neither keys nor passwords are in logs, records, metrics or command lines, and no peer writes lines there",
  [
    openssh,
    paramiko,
  ],
  async () => {
    await using scene = await makeAgentScene();
    const { site, gateway, agent } = scene;
    const password = "correct-horse-battery-staple";
    const name = 'mallory\x1b[31m\r\n{"event":"forged"}\u202e';
    await succeed(paramiko.line("python3", "-c", INTRUDER, `${gateway.port}`, name, password));
    await succeed(openssh.line("ssh", "-T", "-F", scene.config, "box", "echo in"));
    const client = { port: gateway.port, identity: site.key.path, knownHosts: site.knownHosts };
    const { text: status } = await succeed(sshLine(openssh, client, [], "status"));
    const stranger = await makeKey(site.folder, "stranger");
    await run(sshLine(openssh, { ...client, identity: stranger.path }, [], "whoami"));
    const metrics = await (await fetch(`http://${gateway.admin}/metrics`)).text();
    const commandLines = [gateway, agent].map(({ process }) =>
      Deno.readTextFileSync(`/proc/${process.pid}/cmdline`)
    );
    const records = () =>
      ["flows.jsonl", "audit.jsonl"].map((file) => Deno.readTextFileSync(`${gateway.state}/${file}`));
    await waitUntil("the records", () => records().join("").includes(stranger.fingerprint));
    const said = [
      ...[gateway, agent].flatMap(({ process }) => [`${process.stdout}`, `${process.stderr}`]),
      ...[...records(), ...commandLines, metrics, status],
    ].join("\n");
    // Nothing was kept from this test: the run itself is in there.
    for (const trace of ["mallory", stranger.fingerprint, "is connected"]) {
      assert.ok(
        said.includes(trace),
        trace,
      );
    }

    const keys = [site.key.path, stranger.path, site.folder.at("agent")].map((path) =>
      Deno.readTextFileSync(path)
    );
    keys.push(...privateKeysIn(gateway.state), ...privateKeysIn(site.folder.at("box-home/state")));
    assert.ok(keys.length >= 5);
    const secrets = keys.flatMap((text) =>
      text.split("\n").filter((line) => /^[A-Za-z0-9+/=]{20,}$/.test(line))
    );
    for (const secret of [password, ...secrets]) assert.ok(!said.includes(secret), secret);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(said.replaceAll("\0", " "), /[\x00-\x08\x0b-\x1f\x7f\u202e]/);
    assert.doesNotMatch(said, /^\{"event":"forged"/m);
  },
);

/** The texts of all private keys in a folder. */
function privateKeysIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].filter(({ isFile }) => isFile)
    .map(({ name }) => Deno.readTextFileSync(`${folder}/${name}`))
    .filter((text) => text.includes("PRIVATE KEY"));
}
