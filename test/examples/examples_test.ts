/** Every program of examples/ runs, against stock OpenSSH where it needs a peer, and says what it should. */
import assert from "node:assert/strict";
import { temporaryFolder } from "../support/folder.ts";
import { type KeyFile, makeKey } from "../support/keygen.ts";
import { readSigner, startLibraryServer } from "../support/library_server.ts";
import { meshEnvironment } from "../support/mesh.ts";
import { findProgram, node, openssh, peerTest } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { opensshOptions } from "../support/stock_client.ts";
import { ownUser, startSshd } from "../support/stock_server.ts";
import { echoServer, exchange, fileHash, writePattern } from "../support/tcp.ts";

const project = new URL("../../", import.meta.url).pathname;
/** What each example must fit into: one looks at it at a glance. */
const MOST_LINES = 60;

function example(name: string, ...args: string[]): string[] {
  const config = `${project}deno.json`;
  return [Deno.execPath(), "run", "-A", "--config", config, `${project}examples/${name}.ts`, ...args];
}

const env = (home: string) => meshEnvironment(home);

Deno.test("every example is short and starts with what it does", () => {
  const files = [...Deno.readDirSync(`${project}examples`)].filter(({ name }) => name.endsWith(".ts"));
  assert.ok(files.length >= 7);
  for (const { name } of files) {
    if (name === "demo.ts") continue;
    const source = Deno.readTextFileSync(`${project}examples/${name}`);
    assert.match(source, /^\/\*\*\n \* \S/, name);
    assert.ok(source.trimEnd().split("\n").length <= MOST_LINES, name);
  }
});

/** sshd with a key that may log in, and the arguments by which examples find it. */
async function sshd() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder());
  const [hostKey, key] = [await makeKey(folder, "host"), await makeKey(folder, "user")];
  const server = stack.use(await startSshd(openssh, folder, { hostKeys: [hostKey], authorized: [key.line] }));
  const args = [`127.0.0.1:${server.port}`, server.user, key.path, hostKey.fingerprint];
  return { folder, args, key, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

peerTest("exec runs a command on sshd, outputs apart, and ends as it does", [openssh], async () => {
  await using server = await sshd();
  const options = { env: env(server.folder.path) };
  const result = await run(example("exec", ...server.args, "echo out; echo err >&2; exit 7"), options);
  assert.deepEqual([result.code, result.text, result.stderr], [7, "out\n", "err\n"]);
  const [address, user, key] = server.args;
  const wrong = await run(example("exec", address, user, key, "SHA256:other", "true"), options);
  assert.match(wrong.stderr, /this is another server/);
});

peerTest("server greets stock ssh and refuses everything else", [openssh], async () => {
  using folder = temporaryFolder();
  const key = await makeKey(folder, "user");
  const stranger = await makeKey(folder, "stranger");
  await using server = start(example("server", "0", key.fingerprint), { env: env(folder.path) });
  const [, port] = await server.stdout.match(/^127\.0\.0\.1:(\d+) SHA256:/);
  const ssh = (identity: KeyFile, command: string) => {
    const options = ["StrictHostKeyChecking=accept-new"];
    const client = {
      port: Number(port),
      identity: identity.path,
      knownHosts: folder.at("known_hosts"),
      options,
    };
    return run(openssh.line("ssh", ...opensshOptions(client), "-p", port, "ann@127.0.0.1", command));
  };
  assert.equal((await ssh(key, "hello")).text, "hello, ann\n");
  assert.notEqual((await ssh(key, "id")).code, 0);
  assert.match((await ssh(stranger, "hello")).stderr, /Permission denied/);
});

peerTest("sftp moves a file to sshd and back", [openssh], async () => {
  await using server = await sshd();
  const { folder, args } = server;
  const [local, remote, copy] = ["local", "remote", "copy"].map((name) => folder.at(name));
  writePattern(local, 1_000_003);
  const { text } = await succeed(example("sftp", ...args, local, remote, copy), { env: env(folder.path) });
  assert.equal(text, "uploaded 1000003 bytes\nremote 1000003\n");
  assert.equal(fileHash(copy), fileHash(local));
});

peerTest("port_forward carries connections through sshd", [openssh], async () => {
  await using echo = echoServer();
  await using server = await sshd();
  const line = example("port_forward", ...server.args, `127.0.0.1:${echo.port}`);
  await using forward = start(line, { env: env(server.folder.path) });
  const [, port] = await forward.stdout.match(/^127\.0\.0\.1:(\d+)$/);
  const answer = await exchange(Number(port), new TextEncoder().encode("there and back"));
  assert.equal(new TextDecoder().decode(answer), "there and back");
  await forward.stdout.match(/^ended: 14 bytes up, 14 bytes down$/);
});

Deno.test("custom_channel answers in capitals, without any permission", async () => {
  using folder = temporaryFolder();
  const line = example("custom_channel", "hello", "there").filter((word) => word !== "-A");
  const { text } = await succeed(line, { env: env(folder.path) });
  assert.equal(text, "HELLO THERE\n");
});

peerTest("certificate issues what ssh-keygen reads and sshd takes", [openssh], async () => {
  using folder = temporaryFolder();
  const [authority, key, hostKey] = await Promise.all(
    ["ca", "user", "host"].map((name) => makeKey(folder, name)),
  );
  const line = example("certificate", authority.path, key.publicPath, ownUser, "group:sre");
  const { text } = await succeed(line, { env: env(folder.path) });
  const file = folder.write("user-cert.pub", text);
  const shown = await succeed([findProgram("ssh-keygen")!, "-L", "-f", file]);
  assert.match(shown.text, /Type: ssh-ed25519-cert-v01@openssh\.com user certificate/);
  assert.match(shown.text, /group:sre/);
  await using server = await startSshd(openssh, folder, {
    hostKeys: [hostKey],
    authorized: [],
    config: [`TrustedUserCAKeys ${authority.publicPath}`],
  });
  const client = {
    port: server.port,
    identity: key.path,
    knownHosts: folder.write("known_hosts", `[127.0.0.1]:${server.port} ${hostKey.bare}\n`),
  };
  const ssh = openssh.line(
    "ssh",
    ...opensshOptions(client),
    "-p",
    `${server.port}`,
    `${ownUser}@127.0.0.1`,
    "echo in",
  );
  assert.equal((await succeed(ssh)).text, "in\n");
});

peerTest("node_bundle makes a bundle of node_exec that runs under Node", [node], async () => {
  using folder = temporaryFolder();
  const [hostKey, key] = [await makeKey(folder, "host"), await makeKey(folder, "user")];
  await using server = await startLibraryServer({
    hostKeys: [await readSigner(hostKey)],
    authorized: [key.line],
  });
  const bundle = folder.at("exec.mjs");
  await succeed(example("node_bundle", `${project}examples/node_exec.ts`, bundle), {
    env: env(folder.path),
    within: 60_000,
  });
  const args = [`127.0.0.1:${server.port}`, "ann", key.path, hostKey.fingerprint, "echo from Node; exit 5"];
  const result = await run(node.line("node", bundle, ...args));
  assert.deepEqual([result.text, result.code], ["from Node\n", 5], result.stderr);
});
