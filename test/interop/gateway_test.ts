/** Stock clients as users and as agents of our gateway: `ssh -J GATEWAY NAME` lands on a machine that only dialled out. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { type GatewayUnderTest, startGateway } from "../support/mesh.ts";
import { openssh, opensshNewest, type Peer, peerTest } from "../support/peers.ts";
import { run, type Running, start, succeed } from "../support/process.ts";
import { silentRelay } from "../support/silent_relay.ts";
import { makeSite, type Site } from "../support/site.ts";
import { jumpConfig } from "../support/stock_client.ts";
import { startSshd, type StockServer } from "../support/stock_server.ts";
import { fileHash, freePort, patternHash, sha256, writePattern } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";
import { CLIENTS, type StockClient } from "./clients.ts";

/** Bytes of the bulk transfers. */
const BULK = 100_000_000;

/** A gateway, an owner, and a stock sshd that nobody can dial but the test's own agents. */
interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly gateway: GatewayUnderTest;
  readonly sshd: StockServer;
  /** Configuration for `ssh -F`. */
  readonly config: string;
  /** Registers the sshd as `name` with a stock client; resolves when the name answers. */
  register(client: StockClient, name: string, port?: number): Promise<Running>;
  /** `program -F CONFIG …` of OpenSSH. */
  line(peer: Peer, program: string, ...args: string[]): string[];
}

async function makeScene(options: readonly string[] = []): Promise<Scene> {
  const site = await makeSite();
  const hostKey = await makeKey(site.folder, "node-host");
  const sshd = await startSshd(openssh, site.folder, { hostKeys: [hostKey], authorized: [site.key.line] });
  const gateway = await startGateway(site.folder, { owners: [site.key.line] });
  site.expect(gateway.port, gateway.hostKey);
  Deno.writeTextFileSync(site.knownHosts, `web,web.localhost ${hostKey.bare}\n`, { append: true });
  const client = {
    port: gateway.port,
    user: sshd.user,
    identity: site.key.path,
    knownHosts: site.knownHosts,
  };
  const config = site.folder.write("config", jumpConfig({ ...client, options }));
  const scene: Scene = {
    site,
    gateway,
    sshd,
    config,
    line: (peer, program, ...args) => peer.line(program, "-F", config, ...args),
    async register(client, name, port = gateway.port) {
      const server = { port, user: "agent", hostKey: gateway.hostKey };
      const { line, env } = client.remoteForward!(site, server, `${name}:22`, `127.0.0.1:${sshd.port}`);
      const agent = start(line, { env });
      try {
        await waitUntil(`${name} at the gateway`, async () => {
          if (agent.exited) throw new Error(`the agent ended: ${agent.stderr}`);
          return (await run(scene.line(openssh, "ssh", name, "true"))).code === 0;
        });
      } catch (error) {
        await agent.stop();
        throw error;
      }
      return agent;
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await sshd[Symbol.asyncDispose]();
      site[Symbol.dispose]();
    },
  };
  return scene;
}

const stockAgents = CLIENTS.filter(({ remoteForward }) => remoteForward);
const [opensshClient] = CLIENTS;

for (const client of stockAgents) {
  peerTest(`${client.name} -R registers a name, and ssh -J reaches it`, [client.peer, openssh], async () => {
    await using scene = await makeScene();
    await using _agent = await scene.register(client, "web");
    const { code, text, stderr } = await run(
      scene.line(openssh, "ssh", "web", "cat; echo apart >&2; exit 7"),
      { stdin: "through the mesh" },
    );
    assert.deepEqual([code, text, stderr], [7, "through the mesh", "apart\n"]);
  });
}

for (const client of CLIENTS) {
  peerTest(`${client.name} asks our gateway who it is`, [client.peer, openssh], async () => {
    await using scene = await makeScene();
    const { gateway } = scene;
    const server = { port: gateway.port, user: "ann", hostKey: gateway.hostKey };
    const { line, env } = client.exec(scene.site, server, "whoami");
    const { code, text, stderr } = await run(line, { env });
    assert.equal(code, 0, stderr);
    assert.ok(text.includes(scene.site.key.fingerprint), text);
  });

  if (!client.localForward) continue;
  const { localForward } = client;
  peerTest(`${client.name} -L reaches a node by name, and nothing else`, [client.peer, openssh], async () => {
    await using scene = await makeScene();
    const { gateway, site } = scene;
    await using _agent = await scene.register(opensshClient, "web");
    const server = { port: gateway.port, user: "ann", hostKey: gateway.hostKey };
    const banner = async (to: string) => {
      const port = freePort();
      const { line, env } = localForward(site, server, port, to);
      await using _forward = start(line, { env });
      return await waitUntil(`a forward to ${to}`, async () => {
        try {
          using connection = await Deno.connect({ hostname: "127.0.0.1", port });
          const buffer = new Uint8Array(64);
          const count = await connection.read(buffer);
          return new TextDecoder().decode(buffer.subarray(0, count ?? 0)) || "nothing";
        } catch (error) {
          if (error instanceof Deno.errors.ConnectionReset) return "nothing";
          if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
        }
      });
    };
    assert.match(await banner("web:22"), /^SSH-2\.0-OpenSSH/);
    assert.equal(await banner(`127.0.0.1:${scene.sshd.port}`), "nothing");
    assert.equal(await banner("elsewhere:22"), "nothing");
  });
}

peerTest("100 MB pass through ssh -J by scp, sftp and tar, both ways, with a rekey each MB", [
  openssh,
  opensshNewest,
], async () => {
  await using scene = await makeScene(["RekeyLimit=1M"]);
  await using _agent = await scene.register(opensshClient, "web");
  const { folder } = scene.site;
  const within = 180_000;
  writePattern(folder.at("bulk"), BULK);
  const hash = patternHash(BULK);

  await succeed(scene.line(openssh, "scp", folder.at("bulk"), `web:${folder.at("up")}`), { within });
  assert.equal(fileHash(folder.at("up")), hash);
  await succeed(scene.line(opensshNewest, "scp", `web:${folder.at("up")}`, folder.at("down")), { within });
  assert.equal(fileHash(folder.at("down")), hash);

  const batch = folder.write(
    "batch",
    `put ${folder.at("bulk")} ${folder.at("up2")}\nget ${folder.at("up2")} ${folder.at("down2")}\n`,
  );
  await succeed(scene.line(openssh, "sftp", "-b", batch, "web"), { within });
  assert.equal(fileHash(folder.at("up2")), hash);
  assert.equal(fileHash(folder.at("down2")), hash);

  Deno.mkdirSync(folder.at("unpacked"));
  using file = await Deno.open(folder.at("bulk"));
  await succeed(scene.line(openssh, "ssh", "web", `cat > ${folder.at("unpacked")}/bulk`), {
    within,
    stdin: file.readable,
  });
  assert.equal(fileHash(folder.at("unpacked/bulk")), hash);
  const { stdout } = await succeed(scene.line(openssh, "ssh", "web", `tar -C ${folder.path} -cf - bulk`), {
    within,
  });
  const listing = await succeed(["tar", "-xOf", "-"], { stdin: stdout, within });
  assert.equal(sha256(listing.stdout), hash);
});

peerTest("a gateway that was killed comes back with its host key, and names return", [openssh], async () => {
  await using scene = await makeScene();
  const { gateway } = scene;
  await (await scene.register(opensshClient, "web")).stop();
  await using _first = await scene.register(opensshClient, "web");
  await gateway.kill();
  await using again = await gateway.restart();
  assert.equal(again.hostKey.fingerprint, gateway.hostKey.fingerprint);
  assert.notEqual((await run(scene.line(openssh, "ssh", "web", "true"))).code, 0, "no stale name answers");
  await using _second = await scene.register(opensshClient, "web");
});

peerTest("an agent whose connection went silent gets its name back at once", [openssh], async () => {
  await using scene = await makeScene();
  const { gateway, site } = scene;
  await using relay = silentRelay(gateway.port);
  site.expect(relay.port, gateway.hostKey);
  await using _lost = await scene.register(opensshClient, "web", relay.port);
  relay.fallSilent();
  // The holder is asked for a sign of life for two seconds; then the name is free. ssh itself does not try again: the loop does.
  const began = performance.now();
  await using _agent = await waitUntil("the name again", async () => {
    try {
      return await scene.register(opensshClient, "web");
    } catch (error) {
      if (!/the agent ended/.test(String(error))) throw error;
    }
  });
  assert.ok(performance.now() - began < 10_000);
});

peerTest("another identity never gets a name that is held", [openssh], async () => {
  await using scene = await makeScene();
  await using _agent = await scene.register(opensshClient, "web");
  using thief = await makeSite();
  thief.expect(scene.gateway.port, scene.gateway.hostKey);
  const server = { port: scene.gateway.port, user: "agent", hostKey: scene.gateway.hostKey };
  const { line } = opensshClient.remoteForward!(thief, server, "web:22", "127.0.0.1:9");
  assert.equal((await run(line)).code, 255);
  assert.equal((await run(scene.line(openssh, "ssh", "web", "true"))).code, 0);
});
