/** Stock clients as users and as agents of our gateway: `ssh -J GATEWAY NAME` lands on a machine that only dialled out. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { type GatewayUnderTest, startGateway } from "../support/mesh.ts";
import { openssh, type Peer, peerStep, peerTest } from "../support/peers.ts";
import { run, type Running, start } from "../support/process.ts";
import { silentRelay } from "../support/silent_relay.ts";
import { makeSite, type Site } from "../support/site.ts";
import { jumpConfig, lastLine } from "../support/stock_client.ts";
import { startSshd, type StockServer } from "../support/stock_server.ts";
import { freePort } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";
import { CLIENTS, type StockClient } from "./clients.ts";

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
  Deno.writeTextFileSync(site.knownHosts, `web*,*.localhost ${hostKey.bare}\n`, { append: true });
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
      const { line, env } = client.remoteForward(site, server, `${name}:22`, sshd.port);
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

const [opensshClient] = CLIENTS;

peerTest("every stock client registers a name, and ssh -J reaches it", [openssh], async (t) => {
  await using scene = await makeScene();
  for (const [index, client] of CLIENTS.entries()) {
    await peerStep(t, `${client.name} -R`, [client.peer], async () => {
      const name = `web${index}`;
      await using _agent = await scene.register(client, name);
      const { code, text, stderr } = await run(
        scene.line(openssh, "ssh", name, "cat; echo apart >&2; exit 7"),
        { stdin: "through the mesh" },
      );
      assert.deepEqual([code, text, lastLine(stderr)], [7, "through the mesh", "apart"]);
    });
  }
});

/** What the first bytes behind a forward are, or `nothing`. */
async function greeting(scene: Scene, client: StockClient, to: string): Promise<string> {
  const port = freePort();
  const server = { port: scene.gateway.port, user: "ann", hostKey: scene.gateway.hostKey };
  const { line, env } = client.localForward(scene.site, server, port, to);
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
}

peerTest("every stock client asks our gateway who it is, and reaches a node by name and nothing else", [
  openssh,
], async (t) => {
  await using scene = await makeScene();
  await using _agent = await scene.register(opensshClient, "web");
  const { gateway, site, sshd } = scene;
  const server = { port: gateway.port, user: "ann", hostKey: gateway.hostKey };
  for (const client of CLIENTS) {
    await peerStep(t, `${client.name} runs whoami, and learns that another command is none`, [
      client.peer,
    ], async () => {
      const asked = client.exec(site, server, "whoami");
      const { code, text, stderr } = await run(asked.line, { env: asked.env });
      assert.equal(code, 0, stderr);
      assert.ok(text.includes(site.key.fingerprint), text);
      const wrong = client.exec(site, server, "rm -rf /");
      const refused = await run(wrong.line, { env: wrong.env });
      assert.ok(refused.code > 0 && refused.code < 128, `exit ${refused.code}`);
      assert.match(refused.stderr, /rm/);
    });
    await peerStep(t, `${client.name} -L`, [client.peer], async () => {
      assert.match(await greeting(scene, client, "web:22"), /^SSH-2\.0-OpenSSH/);
      assert.equal(await greeting(scene, client, `127.0.0.1:${sshd.port}`), "nothing");
      assert.equal(await greeting(scene, client, "elsewhere:22"), "nothing");
    });
  }
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
  const { line } = opensshClient.remoteForward(thief, server, "web:22", 9);
  assert.equal((await run(line)).code, 255);
  assert.equal((await run(scene.line(openssh, "ssh", "web", "true"))).code, 0);
});
