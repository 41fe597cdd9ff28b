/** The agent's command with our gateway's: forwards to other nodes, dialling for others, drain. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import {
  type GatewayUnderTest,
  MeshCommand,
  meshEnvironment,
  meshLine,
  startGateway,
} from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { jumpConfig } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { echoServer, exchange } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";

const need = [openssh];
const hello = new TextEncoder().encode("hello");

/** An agent whose key is `site.key`, which its gateways must know as an owner's. */
function startMember(
  site: Site,
  name: string,
  gateways: readonly GatewayUnderTest[],
  ...more: string[]
): MeshCommand {
  const { folder, key } = site;
  const home = folder.at(`${name}-home`);
  Deno.mkdirSync(home, { mode: 0o700 });
  const where = gateways.flatMap(({ port, hostKey }) => [
    ...["--gateway", `127.0.0.1:${port}`, "--gateway-key", hostKey.fingerprint],
  ]);
  const line = meshLine("agent", [
    ...[...where, "--name", name, "--identity", key.path, "--authorized-keys", key.publicPath],
    ...["--state", `${home}/state`, "--log", "json", ...more],
  ]);
  return new MeshCommand(start(line, { env: meshEnvironment(home) }));
}

function portOf(address: unknown): number {
  return Number(String(address).split(":").at(-1));
}

peerTest("a node is client and server: -L and --connect lead to other nodes", need, async () => {
  using site = await makeSite();
  await using gateway = await startGateway(site.folder, { owners: [site.key.line] });
  await using service = echoServer();
  await using server = startMember(site, "db", [gateway], "--expose", `5432:127.0.0.1:${service.port}`);
  await server.event("ready");
  await using client = startMember(site, "app", [gateway], "-L", "0:db:5432", "--connect", "db:5432");
  const forwards = [await client.event("forward"), await client.event("forward", {}, { from: 1 })];
  await client.event("ready");
  for (const { listen, to } of forwards) {
    assert.equal(to, "db:5432");
    assert.deepEqual(await exchange(portOf(listen), hello), hello);
  }
  // A node that is not there: the connection ends, the forward stays.
  await using lonely = startMember(site, "lonely", [gateway], "-L", "0:nobody:1");
  const { listen } = await lonely.event("forward");
  await lonely.event("ready");
  assert.equal((await exchange(portOf(listen), hello).catch(() => new Uint8Array())).length, 0);
  await lonely.event("warning");
});

peerTest("others reach through an agent what its --allow-dial names, and nothing else", need, async () => {
  using site = await makeSite();
  await using gateway = await startGateway(site.folder, { owners: [site.key.line] });
  await using service = echoServer();
  await using agent = startMember(site, "edge", [gateway], "--allow-dial", `127.0.0.1/32:${service.port}`);
  await agent.event("ready");
  const client = { port: gateway.port, user: ownUser, identity: site.key.path, knownHosts: site.knownHosts };
  site.expect(gateway.port, gateway.hostKey);
  const config = site.folder.write("config", jumpConfig(client));
  const ssh = (target: string) =>
    run(openssh.line("ssh", "-F", config, "-W", target, "gateway"), { stdin: hello });
  assert.equal((await ssh(`127.0.0.1:${service.port}`)).text, "hello");
  assert.match((await ssh("127.0.0.1:1")).stderr, /prohibited/);
});

peerTest("a gateway that drains sends its agents elsewhere, and what is open goes on", need, async () => {
  using site = await makeSite();
  const { folder, key } = site;
  await using second = await startGateway(folder, { name: "second", owners: [key.line] });
  await using first = await startGateway(folder, { name: "first", owners: [key.line] });
  await using agent = startMember(site, "web", [first, second]);
  await agent.event("registered", { gateway: `127.0.0.1:${first.port}` });
  site.expect(first.port, first.hostKey);
  const client = {
    port: first.port,
    user: ownUser,
    identity: key.path,
    knownHosts: site.knownHosts,
    options: ["StrictHostKeyChecking=no"],
  };
  const config = folder.write("config", jumpConfig(client));
  await using session = start(openssh.line("ssh", "-F", config, "web", "echo open; cat"), { stdin: "piped" });
  await session.stdout.match(/open/);
  first.process.signal("SIGTERM");
  await agent.event("draining");
  await agent.event("registered", { gateway: `127.0.0.1:${second.port}` });
  const writer = session.stdin!.getWriter();
  await writer.write(new TextEncoder().encode("still here\n"));
  await session.stdout.match(/still here/);
  await writer.close();
  assert.equal((await session.status).code, 0);
});

peerTest("a gateway killed and started again has its agent back under its name", need, async () => {
  using site = await makeSite();
  await using gateway = await startGateway(site.folder, { owners: [site.key.line] });
  await using agent = startMember(site, "web", [gateway]);
  await agent.event("ready");
  const seen = agent.process.stdout.all.length;
  await gateway.kill();
  await using _again = await gateway.restart();
  await agent.event("registered", { name: "web" }, { from: seen });
});

peerTest("a name that another identity holds is refused in a sentence, with exit code 10", need, async () => {
  using site = await makeSite();
  const other = await makeKey(site.folder, "other");
  await using gateway = await startGateway(site.folder, { owners: [site.key.line, other.line] });
  await using agent = startMember(site, "web", [gateway]);
  await agent.event("ready");
  await using thief = startMember({ ...site, key: other }, "web2", [gateway], "--name", "web");
  assert.equal((await thief.process.status).code, 10);
  await waitUntil(
    "the sentence",
    () => thief.process.stderr.all.some((line) => /refuses to register web:22/.test(line)),
  );
});
