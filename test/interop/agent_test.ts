/** Our agent behind our gateway: every stock client lands in its built-in server. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { type MeshCommand, startAgent, startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { jumpConfig, sshLine } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import {
  exchange,
  fileHash,
  freePort,
  pattern,
  patternHash,
  sha256,
  sinkServer,
  writePattern,
} from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";
import { CLIENTS } from "./clients.ts";

const SIZE = 5_000_000;
const BULK = 100_000_000;

/** A gateway, our agent registered there as `box`, and a local port that leads to the agent's SSH server. */
interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly agent: MeshCommand;
  /** The agent's server, through the gateway, for clients that cannot jump. */
  readonly server: { port: number; user: string; hostKey: { bare: string; fingerprint: string } };
  /** Configuration for `ssh -F`. */
  readonly config: string;
}

async function makeScene(options: readonly string[] = []): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  try {
    const site = stack.use(await makeSite());
    const identity = await makeKey(site.folder, "agent");
    const gateway = stack.use(await startGateway(site.folder, { owners: [site.key.line, identity.line] }));
    site.expect(gateway.port, gateway.hostKey);
    const agent = stack.use(
      await startAgent(site.folder, { name: "box", gateway, identity, authorized: [site.key.line] }),
    );
    const port = freePort();
    const client = {
      port: gateway.port,
      user: ownUser,
      identity: site.key.path,
      knownHosts: site.knownHosts,
    };
    stack.use(start(sshLine(openssh, client, ["-N", "-L", `127.0.0.1:${port}:box:22`])));
    const bare = await waitUntil("the agent's host key", async () => {
      const { text } = await run(
        openssh.line("ssh-keyscan", "-t", "ed25519", "-p", String(port), "127.0.0.1"),
      );
      return text.split("\n").find((line) => line.startsWith("["))?.split(" ").slice(1, 3).join(" ");
    });
    const file = site.folder.write("agent-host.pub", `${bare}\n`);
    const fingerprint = (await succeed(openssh.line("ssh-keygen", "-lf", file))).text.split(" ")[1];
    site.expect(port, { bare });
    Deno.writeTextFileSync(site.knownHosts, `box,box.localhost ${bare}\n`, { append: true });
    const config = site.folder.write("config", jumpConfig({ ...client, options }));
    const owned = stack.move();
    return {
      site,
      agent,
      server: { port, user: ownUser, hostKey: { bare, fingerprint } },
      config,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

for (const client of CLIENTS) {
  peerTest(`${client.name} runs a command on our agent`, [client.peer, openssh], async () => {
    await using scene = await makeScene();
    const { line, env } = client.exec(scene.site, scene.server, "cat; echo apart >&2; exit 7");
    const { code, stdout, stderr } = await run(line, { env, stdin: new Blob([...pattern(SIZE)]).stream() });
    assert.equal(stderr.trim(), "apart");
    assert.equal(sha256(stdout), patternHash(SIZE));
    assert.equal(code, 7);
  });

  if (!client.localForward || !client.remoteForward) continue;
  const { localForward, remoteForward } = client;
  peerTest(`${client.name} forwards both ways through our agent`, [client.peer, openssh], async () => {
    await using scene = await makeScene();
    await using sink = sinkServer();
    const bytes = new TextEncoder().encode("through the agent");
    const [near, far] = [freePort(), freePort()];
    const local = localForward(scene.site, scene.server, near, `127.0.0.1:${sink.port}`);
    const remote = remoteForward(scene.site, scene.server, `127.0.0.1:${far}`, `127.0.0.1:${sink.port}`);
    await using _local = start(local.line, { env: local.env });
    await using _remote = start(remote.line, { env: remote.env });
    for (const port of [near, far]) {
      const hash = await waitUntil(`a forward on port ${port}`, async () => {
        try {
          return new TextDecoder().decode(await exchange(port, bytes));
        } catch (error) {
          if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
        }
      });
      assert.equal(hash, sha256(bytes));
    }
  });
}

peerTest(
  "100 MB pass to and from our agent by scp, sftp and tar, with a rekey each MB",
  [openssh],
  async () => {
    await using scene = await makeScene(["RekeyLimit=1M"]);
    const { folder } = scene.site;
    const within = 180_000;
    const line = (program: string, ...args: string[]) => openssh.line(program, "-F", scene.config, ...args);
    writePattern(folder.at("bulk"), BULK);
    const hash = patternHash(BULK);
    await succeed(line("scp", folder.at("bulk"), `box:${folder.at("up")}`), { within });
    assert.equal(fileHash(folder.at("up")), hash);
    const batch = folder.write("batch", `get ${folder.at("up")} ${folder.at("down")}\n`);
    await succeed(line("sftp", "-b", batch, "box"), { within });
    assert.equal(fileHash(folder.at("down")), hash);
    const { stdout } = await succeed(line("ssh", "box", `tar -C ${folder.path} -cf - bulk`), { within });
    assert.equal(sha256((await succeed(["tar", "-xOf", "-"], { stdin: stdout, within })).stdout), hash);
  },
);
