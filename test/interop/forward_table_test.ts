/** Every row of what `-R` may ask of the gateway, as stock clients write it. */
import assert from "node:assert/strict";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { type GatewayUnderTest, startGateway } from "../support/mesh.ts";
import { dropbear, openssh, opensshNewest, type Peer, peerTest } from "../support/peers.ts";
import { run, type Running, start, succeed } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { type ClientOptions, dbclientLine, sshLine } from "../support/stock_client.ts";
import { freePort, tcpServer } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";

/** The FQDN that the pod's certificate names. */
const POD = "web.shop.svc.prod.example";

interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly gateway: GatewayUnderTest;
  /** Without a name of its own. */
  readonly owner: ClientOptions;
  /** With a certificate, and a rule that gives it its own name. */
  readonly pod: ClientOptions;
  /** A port that owners may open on the gateway. */
  readonly open: number;
  /** Says `pod` to whoever comes, as what is forwarded. */
  readonly service: number;
}

async function makeScene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const site = stack.use(await makeSite());
  const { folder } = site;
  const authority = await makeKey(folder, "authority");
  const key = await makeKey(folder, "pod");
  await makeCertificate(authority, key, { role: "user", principals: ["web@shop.prod.example"] });
  const policy = folder.write(
    "policy.yaml",
    "rules:\n  - { name: own, who: { trust_domain: prod.example }, may: [register], what: { node: self } }\n",
  );
  const settings = { trust_user_ca: [{ file: authority.publicPath, trust_domain: "prod.example" }] };
  const config = folder.write("config.json", JSON.stringify(settings));
  const open = freePort();
  const args = ["--config", config, "--policy", policy, "--allow-listen", `${open}`];
  const gateway = stack.use(await startGateway(folder, { owners: [site.key.line], args }));
  site.expect(gateway.port, gateway.hostKey);
  const service = stack.use(tcpServer(async (connection) => {
    await connection.write(new TextEncoder().encode("pod"));
    await connection.closeWrite();
  }));
  const client = { port: gateway.port, knownHosts: site.knownHosts };
  const stays = stack.move();
  return {
    site,
    gateway,
    owner: { ...client, identity: site.key.path },
    pod: { ...client, identity: key.path },
    open,
    service: service.port,
    [Symbol.asyncDispose]: () => stays.disposeAsync(),
  };
}

/** Registers `bind` and waits until the client says that it stands. */
async function forwarded(peer: Peer, client: ClientOptions, bind: string, to: number): Promise<Running> {
  const process = start(sshLine(peer, client, ["-N", "-v", "-R", `${bind}:127.0.0.1:${to}`]));
  await process.stderr.match(/remote forward success|Allocated port/);
  return process;
}

/** Ports that are registered, by name, with a star where published. */
async function listed({ owner }: Scene): Promise<Record<string, string[]>> {
  const { text } = await succeed(sshLine(openssh, owner, [], "ls --json"));
  const nodes = JSON.parse(text) as { name: string; ports: string[] }[];
  return Object.fromEntries(nodes.map(({ name, ports }) => [name, ports]));
}

/** What a connection through the gateway to `to` says first. */
async function said({ owner }: Scene, to: string): Promise<string> {
  return (await run(sshLine(openssh, owner, ["-W", to]))).text;
}

for (const peer of [openssh, opensshNewest]) {
  peerTest(`${peer.name}: -R without a name is the credential's own, by every way to write it`, [
    openssh,
    peer,
  ], async () => {
    await using scene = await makeScene();
    const rows: [bind: string, port: number][] = [
      ["22", 22],
      ["80", 80],
      ["443", 443],
      ["*:22", 22],
      ["*:443", 443],
      ["localhost:80", 80],
      ["0", 22],
      ["*:0", 22],
      ["localhost:0", 22],
    ];
    for (const [bind, port] of rows) {
      await using agent = await forwarded(peer, scene.pod, bind, scene.service);
      // Port 0 is answered with where SSH listens by convention.
      if (/\b0$/.test(bind)) await agent.stderr.match(/Allocated port 15022 for remote forward/);
      // Without the right to publish it stands unpublished.
      assert.deepEqual(await listed(scene), { [POD]: [`${port}`] }, bind);
      assert.equal(await said(scene, `${POD}:${port}`), "pod", bind);
      await agent.stop();
      await waitUntil("the name to be free", async () => Object.keys(await listed(scene)).length === 0);
    }
  });

  peerTest(`${peer.name}: -R NAME:PORT is that port of the node, and opens none of the gateway's`, [
    openssh,
    peer,
  ], async () => {
    await using scene = await makeScene();
    for (const port of [22, 80, 443, 5432]) {
      await using agent = await forwarded(peer, scene.owner, `db:${port}`, scene.service);
      const published = port === 80 || port === 443;
      assert.deepEqual(await listed(scene), { "db.localhost": [published ? `${port}*` : `${port}`] });
      assert.equal(await said(scene, `db:${port}`), "pod");
      assert.equal(await said(scene, `db.localhost:${port}`), "pod");
      assert.equal(await said(scene, `db:${port + 1}`), "");
      // Another identity is refused the name.
      const { code, stderr } = await run(sshLine(peer, scene.pod, ["-N", "-R", `db:${port}:127.0.0.1:9`]));
      assert.equal(code, 255);
      assert.match(stderr, /remote port forwarding failed/);
      await agent.stop();
      await waitUntil("the name to be free", async () => Object.keys(await listed(scene)).length === 0);
    }
  });

  peerTest(`${peer.name}: what -R may not ask for is refused`, [openssh, peer], async () => {
    await using scene = await makeScene();
    const rows: [who: "owner" | "pod", bind: string][] = [
      // Another address than loopback or any.
      ["owner", "192.0.2.1:22"],
      ["owner", "[2001:db8::1]:8080"],
      // No name of its own.
      ["owner", "22"],
      ["owner", "*:443"],
      ["owner", "0"],
      // No flag, no rule.
      ["owner", "9099"],
      ["owner", "*:9099"],
      ["pod", `${scene.open}`],
      // A name that no rule gives.
      ["pod", "other.shop.svc.prod.example:22"],
      // Mesh forms, which this gateway does not carry.
      ["pod", "*:15008"],
      ["pod", "*:15443"],
      ["pod", "*:15010"],
    ];
    for (const [who, bind] of rows) {
      const { code, stderr } = await run(
        sshLine(peer, scene[who], ["-N", "-R", `${bind}:127.0.0.1:${scene.service}`]),
      );
      assert.deepEqual(
        [code, /remote port forwarding failed/.test(stderr)],
        [255, true],
        `${bind}: ${stderr}`,
      );
    }
    assert.deepEqual(await listed(scene), {});
  });

  peerTest(`${peer.name}: a real port opens where a flag allows it, and cancel closes it`, [
    openssh,
    peer,
  ], async () => {
    await using scene = await makeScene();
    const { open, service, site } = scene;
    for (const bind of [`${open}`, `*:${open}`, `localhost:${open}`]) {
      const control = `${site.folder.path}/control`;
      const options = ["ControlMaster=yes", `ControlPath=${control}`];
      const forward = ["-R", `${bind}:127.0.0.1:${service}`];
      await using master = start(sshLine(peer, { ...scene.owner, options }, ["-N", "-v", ...forward]));
      await master.stderr.match(/remote forward success/);
      using through = await Deno.connect({ hostname: "127.0.0.1", port: open });
      const buffer = new Uint8Array(16);
      assert.equal(new TextDecoder().decode(buffer.subarray(0, (await through.read(buffer))!)), "pod");
      // The newest runs in a tree of its own, where the socket is as well.
      await succeed(
        sshLine(peer, { ...scene.owner, options: [`ControlPath=${control}`] }, ["-O", "cancel", ...forward]),
      );
      await waitUntil("a closed port", () =>
        Deno.connect({ hostname: "127.0.0.1", port: open }).then(
          (connection) => (connection.close(), false),
          () => true,
        ));
      assert.ok(!master.exited, "the connection stays");
      await master.stop();
    }
  });
}

peerTest("Dropbear: -R with a name and with a port of the gateway's", [openssh, dropbear], async () => {
  await using scene = await makeScene();
  const { open, service, site, gateway } = scene;
  const client = { port: gateway.port, user: "ann", identity: site.dropbearKey };
  for (const [bind, to] of [["db:22", "db:22"], [`${open}`, undefined]] as const) {
    const line = dbclientLine(dropbear, client, ["-N", "-T", "-R", `${bind}:127.0.0.1:${service}`]);
    await using _agent = start(line, { env: { HOME: site.folder.path } });
    if (to) await waitUntil("the node", async () => await said(scene, to) === "pod");
    else {
      await waitUntil("the port", async () => {
        try {
          using through = await Deno.connect({ hostname: "127.0.0.1", port: open });
          return await through.read(new Uint8Array(16)) === 3;
        } catch {
          return false;
        }
      });
    }
  }
});
