import assert from "node:assert/strict";
import { decodeText, encodeText } from "../../src/bytes/bytes.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { denoNet } from "../../src/deno/net.ts";
import type { Signer } from "../../src/keys/types.ts";
import type { TcpAddress } from "../../src/platform/net.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { makeKey } from "../support/keygen.ts";
import { readSigner, startLibraryServer } from "../support/library_server.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { meshEnvironment, meshLine } from "../support/mesh.ts";
import { run, start } from "../support/process.ts";
import { opensshOptions } from "../support/stock_client.ts";
import { echoServer, exchange, pattern, sha256, sinkServer } from "../support/tcp.ts";
import { deadline } from "../support/wait.ts";
import { type MeshSite, meshSite } from "./mesh_site.ts";

Deno.test("the end of the input ends one direction: the reply comes whole", async () => {
  await using sink = sinkServer();
  await using site = await meshSite();
  await site.serve("sink", 7, sink.port);
  const hello = await site.sshm([...site.flags, "connect", "sink:7"], { stdin: "hello\n" });
  assert.equal(hello.code, 0, hello.stderr);
  // The sink answers only after the end of what it got.
  assert.equal(hello.text, sha256(encodeText("hello\n")));
  assert.equal(hello.stderr, "");

  const much = new Uint8Array(await new Blob([...pattern(5_000_000)]).arrayBuffer());
  const bulk = await site.sshm([...site.flags, "connect", "sink:7"], { stdin: much });
  assert.equal(bulk.text, sha256(much));
});

Deno.test("a channel that is closed ends the command though input is still open, and nothing it carried is lost", async () => {
  using folder = temporaryFolder();
  const [hostKey, key] = [await makeKey(folder, "host"), await makeKey(folder, "user")];
  const said = encodeText(Array.from({ length: 20_000 }, (_, line) => `line ${line}\n`).join(""));
  await using server = await closingServer(await readSigner(hostKey), said);
  const flags = [
    `--gateway=127.0.0.1:${server.port}`,
    "--gateway-key",
    hostKey.fingerprint,
    "--identity",
    key.path,
  ];
  const line = meshLine("sshm", [...flags, "connect", "motd:17"]);
  await using connect = start(line, { stdin: "piped", env: meshEnvironment(folder.path) });
  assert.equal((await deadline(connect.status, "the end of sshm")).code, 0, `${connect.stderr}`);
  await connect.stdout.ended;
  assert.equal(`${connect.stdout}\n`, decodeText(said));
});

/** Lets anybody in; every channel gets `said` and is closed. */
async function closingServer(hostKey: Signer, said: Uint8Array<ArrayBuffer>) {
  const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const duplex of listener) {
      const connection = await acceptSsh(duplex, {
        crypto: nodeCrypto,
        hostKeys: [hostKey],
        auth: { publicKey: () => ({ result: "accepted", identity: "anybody" }) },
        prepare: (connection) => {
          connection.onChannel = async (incoming) => {
            const channel = incoming.accept();
            await channel.write(said);
            channel.close();
          };
        },
      });
      await connection.closed;
    }
  })();
  return {
    port: (listener.address as TcpAddress).port,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await serving;
    },
  };
}

Deno.test("-L listens until the user ends it; each connection goes to the node", async () => {
  await using echo = echoServer();
  await using site = await meshSite();
  await site.serve("echo", 7, echo.port);
  await using forward = site.start([...site.flags, "connect", "echo:7", "-L", "0", "--json"]);
  const { event, listen, to } = await forward.stdout.find("the address", (line) => JSON.parse(line));
  assert.equal(event, "listening");
  assert.equal(to, "echo:7");
  const port = Number(listen.split(":")[1]);
  const answers = await Promise.all(["one", "two", "three"].map((text) => exchange(port, encodeText(text))));
  assert.deepEqual(answers.map(decodeText), ["one", "two", "three"]);

  const taken = await site.sshm([...site.flags, "connect", "echo:7", "-L", `${port}`]);
  assert.equal(taken.code, 5);
  assert.match(taken.stderr, /already in use/);

  forward.signal("SIGINT");
  assert.equal((await forward.status).code, 0);
});

Deno.test("-L ends with a code of its own when the gateway goes away", async () => {
  await using site = await meshSite();
  await using forward = site.start([...site.flags, "connect", "echo:7", "-L", "0"]);
  await forward.stderr.match(/^127\.0\.0\.1:\d+ leads to echo:7$/);
  await site.gateway.kill();
  assert.equal((await forward.status).code, 11);
});

/** A node `web` with an SSH server of this process; its host key is known under `web.localhost`. */
async function serveSsh(site: MeshSite) {
  const hostKey = await makeKey(site.folder, "web_host");
  const server = await startLibraryServer({
    hostKeys: [await readSigner(hostKey)],
    authorized: [site.key.line],
  });
  await site.serve("web", 22, server.port);
  Deno.writeTextFileSync(site.knownHosts, `web.localhost ${hostKey.bare}\n`, { append: true });
  return server;
}

peerTest("proxy is a ProxyCommand for ssh", [openssh], async () => {
  await using site = await meshSite();
  await using _server = await serveSsh(site);
  const proxy = site.line(...site.flags, "proxy", "%h", "%p").join(" ");
  const options = opensshOptions({
    port: 22,
    identity: site.key.path,
    knownHosts: site.knownHosts,
    options: [`ProxyCommand=${proxy}`, "HostKeyAlias=web.localhost"],
  });
  const result = await run(openssh.line("ssh", ...options, "test@web", "cat; echo done; exit 3"), {
    stdin: "in\n",
    env: site.env,
  });
  assert.equal(result.text, "in\ndone\n", result.stderr);
  assert.equal(result.code, 3);
});

for (const way of ["jump", "proxy"] as const) {
  peerTest(
    `ssh -F with what ssh-config prints reaches nodes by ${way}, asking nothing`,
    [openssh],
    async () => {
      await using site = await meshSite();
      await using _server = await serveSsh(site);
      const program = site.line().join(" ");
      const flags = way === "proxy" ? ["--proxy", program] : [];
      // Without names it asks the gateway, which knows `web` and its domain.
      const config = await site.sshm([...site.flags, "ssh-config", "--login", "test", ...flags]);
      assert.equal(config.code, 0, config.stderr);
      const file = site.folder.write("config", config.text);
      const strict = [
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "BatchMode=yes",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
      ];
      for (const name of ["web", "web.localhost"]) {
        const result = await run(openssh.line("ssh", "-F", file, ...strict, name, "echo $((6 * 7))"), {
          env: site.env,
        });
        assert.equal(result.text, "42\n", result.stderr);
      }
      if (way === "jump") {
        const gateway = await run(openssh.line("ssh", "-F", file, ...strict, "mesh-127.0.0.1", "whoami"));
        assert.match(gateway.text, /fingerprint/, gateway.stderr);
      }
    },
  );
}

Deno.test("ssh-config with names asks nobody", async () => {
  await using site = await meshSite();
  await site.gateway.kill();
  const { text, code } = await site.sshm([...site.flags, "ssh-config", "web", "--json"]);
  assert.equal(code, 0);
  const { nodes, domain, config } = JSON.parse(text);
  assert.deepEqual(nodes, ["web.localhost"]);
  assert.equal(domain, "localhost");
  assert.match(config, /^Host web web\.localhost$/m);
});
