/** Our client on other people's servers. */
import assert from "node:assert/strict";
import type { AlgorithmLists } from "../../src/ssh/algorithms/lists.ts";
import type { ClientConnection } from "../../src/ssh/client.ts";
import { Router } from "../../src/ssh/connection/router.ts";
import { openTcp, RemoteForwards } from "../../src/ssh/forward/outgoing.ts";
import { openSession } from "../../src/ssh/session/client.ts";
import { denoNet } from "../../src/deno/net.ts";
import { relay } from "../../src/streams/relay.ts";
import { type KeyFile, type KeyKind, makeCertificate, makeKey, toDropbear } from "../support/keygen.ts";
import { connectLibrary, readAll } from "../support/library_client.ts";
import { readSigner } from "../support/library_server.ts";
import { dropbear, dropbearNewest, openssh, opensshNewest, type Peer, peerTest } from "../support/peers.ts";
import { makeSite, type Site } from "../support/site.ts";
import { lastLine } from "../support/stock_client.ts";
import { startDropbear, startSshd, type StockServer } from "../support/stock_server.ts";
import { exchange, pattern, patternHash, sha256, sinkServer } from "../support/tcp.ts";
import { deadline } from "../support/wait.ts";

const SIZE = 5_000_000;

interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly hostKey: KeyFile;
  readonly server: StockServer;
  connect(options?: { rekeyBytes?: number }): Promise<ClientConnection>;
}

async function makeScene(peer: Peer): Promise<Scene> {
  const site = await makeSite();
  const hostKey = await makeKey(site.folder, "host");
  const authorized = [site.key.line];
  const server = peer === dropbear || peer === dropbearNewest
    ? await startDropbear(peer, site.folder, { hostKey: await toDropbear(hostKey), authorized })
    : await startSshd(peer, site.folder, { hostKeys: [hostKey], authorized, config: ["RekeyLimit 1M"] });
  const signer = await readSigner(site.key);
  return {
    site,
    hostKey,
    server,
    connect: (options) =>
      connectLibrary({ ...options, port: server.port, user: server.user, hostKey, signer }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      site[Symbol.dispose]();
    },
  };
}

/** Sends {@link SIZE} bytes through `cat` and expects them back, stderr apart and the exit code. */
async function echoThroughCommand(connection: ClientConnection): Promise<void> {
  const program = await (await openSession(connection)).exec("cat; echo apart >&2; exit 7");
  const outputs = Promise.all([readAll(program.stdout), readAll(program.stderr)]);
  for (const chunk of pattern(SIZE)) await program.stdin.write(chunk);
  await program.stdin.close();
  const [stdout, stderr] = await deadline(outputs, "the command's output");
  assert.equal(sha256(stdout), patternHash(SIZE));
  assert.equal(lastLine(new TextDecoder().decode(stderr)), "apart");
  assert.deepEqual(await program.status, { code: 7 });
}

for (const peer of [openssh, opensshNewest, dropbear, dropbearNewest]) {
  peerTest(`our client runs a command on ${peer.name}'s server`, [peer], async () => {
    await using scene = await makeScene(peer);
    const connection = await scene.connect();
    await echoThroughCommand(connection);
    connection.close();
    assert.equal(await connection.closed, undefined);
  });

  peerTest(`our client renews keys with ${peer.name}'s server while data flows`, [peer], async () => {
    await using scene = await makeScene(peer);
    const connection = await scene.connect({ rekeyBytes: 500_000 });
    await echoThroughCommand(connection);
    connection.close();
  });

  peerTest(`our client forwards both ways through ${peer.name}'s server`, [peer], async () => {
    await using scene = await makeScene(peer);
    await using sink = sinkServer();
    const connection = await scene.connect();
    const router = new Router(connection);
    const target = { host: "127.0.0.1", port: sink.port };

    const channel = await openTcp(connection, target);
    for (const chunk of pattern(SIZE)) await channel.write(chunk);
    await channel.closeWrite();
    const hash = new TextDecoder().decode(await deadline(readAll(channel), "the sink's answer"));
    assert.equal(hash, patternHash(SIZE));
    channel.close();

    const forwards = new RemoteForwards(connection, router);
    const relays: Promise<unknown>[] = [];
    const listener = await forwards.listenTcp({ host: "127.0.0.1", port: 0 }, async (incoming) => {
      const upstream = await denoNet.dial({ transport: "tcp", hostname: "127.0.0.1", port: sink.port });
      relays.push(relay(incoming.accept(), upstream));
    });
    const bytes = new Uint8Array(await new Blob([...pattern(SIZE)]).arrayBuffer());
    const answer = await deadline(
      exchange(listener.port, bytes),
      "the sink's answer through the remote forward",
    );
    assert.equal(new TextDecoder().decode(answer), patternHash(SIZE));
    await deadline(Promise.all(relays), "the end of the relay");
    await deadline(listener.close(), "the answer to the cancellation");
    // Dropbear leaves its socket open for a moment and resets what arrives there.
    await assert.rejects(exchange(listener.port, bytes), /Connection(Refused|Reset)/);
    connection.close();
    await connection.gone;
  });

  peerTest(
    `our client does not log in to ${peer.name}'s server when its key is another`,
    [peer],
    async () => {
      await using scene = await makeScene(peer);
      const { server, site } = scene;
      const hostKey = await makeKey(site.folder, "another");
      const signer = await readSigner(site.key);
      await assert.rejects(
        connectLibrary({ port: server.port, user: server.user, hostKey, signer }),
        { code: "host-key" },
      );
    },
  );
}

/** Lists to pin, one algorithm each. `newest`: that OpenSSH alone has it. */
const PINNED: readonly (Partial<AlgorithmLists> & { readonly newest?: true })[] = [
  { kex: ["mlkem768x25519-sha256"], newest: true },
  { kex: ["curve25519-sha256"] },
  { kex: ["curve25519-sha256@libssh.org"] },
  { kex: ["ecdh-sha2-nistp256"] },
  { kex: ["ecdh-sha2-nistp384"] },
  { kex: ["ecdh-sha2-nistp521"] },
  { cipher: ["chacha20-poly1305@openssh.com"] },
  { cipher: ["aes128-gcm@openssh.com"] },
  { cipher: ["aes256-gcm@openssh.com"] },
  { cipher: ["aes128-ctr"], mac: ["hmac-sha2-256"] },
  { cipher: ["aes256-ctr"], mac: ["hmac-sha2-512"] },
  { cipher: ["aes128-ctr"], mac: ["hmac-sha2-256-etm@openssh.com"] },
  { cipher: ["aes256-ctr"], mac: ["hmac-sha2-512-etm@openssh.com"] },
];

const KEYS: readonly (readonly [KeyKind, string])[] = [
  ["ed25519", "ssh-ed25519"],
  ["ecdsa-256", "ecdsa-sha2-nistp256"],
  ["ecdsa-384", "ecdsa-sha2-nistp384"],
  ["ecdsa-521", "ecdsa-sha2-nistp521"],
  ["rsa-3072", "rsa-sha2-256"],
  ["rsa-3072", "rsa-sha2-512"],
];

for (const peer of [openssh, opensshNewest]) {
  peerTest(`our client agrees with ${peer.name}'s server on every algorithm`, [peer], async () => {
    await using scene = await makeScene(peer);
    const { server: { port, user }, hostKey, site } = scene;
    const signer = await readSigner(site.key);
    for (const { newest, ...algorithms } of PINNED) {
      if (newest && !peer.newest) continue;
      const connection = await connectLibrary({ port, user, hostKey, signer, algorithms });
      const { kex, clientToServer } = connection.negotiated;
      if (algorithms.kex) assert.equal(kex, algorithms.kex[0]);
      if (algorithms.cipher) assert.equal(clientToServer.cipher, algorithms.cipher[0]);
      if (algorithms.mac) assert.equal(clientToServer.mac, algorithms.mac[0]);
      await echoThroughCommand(connection);
      connection.close();
      await connection.gone;
    }
  });

  peerTest(`our client shows and believes keys and certificates of every kind with ${peer.name}'s server`, [
    peer,
  ], async () => {
    using site = await makeSite();
    const authority = await makeKey(site.folder, "authority");
    for (const [kind, plain] of KEYS) {
      const host = await makeKey(site.folder, `host-${plain}`, kind);
      const certificate = await makeCertificate(authority, host, { role: "host", principals: ["127.0.0.1"] });
      const key = await makeKey(site.folder, `user-${plain}`, kind);
      const certified = await makeKey(site.folder, `certified-${plain}`, kind);
      await using server = await startSshd(peer, site.folder, {
        hostKeys: [host],
        authorized: [key.line],
        config: [`HostCertificate ${certificate}`, `TrustedUserCAKeys ${authority.publicPath}`],
      });
      const { port, user } = server;
      const own = await makeCertificate(authority, certified, { role: "user", principals: [user] });
      const rows = [
        [plain, await readSigner(key)],
        [`${plain}-cert-v01@openssh.com`, await readSigner(certified, own)],
      ] as const;
      for (const [algorithm, signer] of rows) {
        const algorithms = { hostKey: [algorithm] };
        const connection = await connectLibrary({ port, user, hostKey: host, authority, signer, algorithms });
        assert.equal(connection.negotiated.hostKey, algorithm);
        assert.equal(connection.authenticated.keys[0].type, signer.publicKey.type);
        connection.close();
        await connection.gone;
      }
    }
  });
}

/** What neither of Dropbear's has as it is built. */
const DROPBEAR_LACKS = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "hmac-sha2-512",
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
];

for (const peer of [dropbear, dropbearNewest]) {
  peerTest(
    `our client agrees with ${peer.name}'s server on every algorithm that it has`,
    [peer],
    async () => {
      await using scene = await makeScene(peer);
      const { server: { port, user }, hostKey, site } = scene;
      const signer = await readSigner(site.key);
      const pins: typeof PINNED = [...PINNED, { cipher: ["aes256-ctr"], mac: ["hmac-sha2-256"] }];
      let agreed = 0;
      for (const { newest, ...algorithms } of pins) {
        const names = Object.values(algorithms).flat();
        if (newest && !peer.newest || names.some((name) => DROPBEAR_LACKS.includes(name))) continue;
        const connection = await connectLibrary({ port, user, hostKey, signer, algorithms });
        const { kex, clientToServer: { cipher, mac } } = connection.negotiated;
        for (const name of names) assert.ok([kex, cipher, mac].includes(name), name);
        await echoThroughCommand(connection);
        connection.close();
        await connection.gone;
        agreed++;
      }
      assert.ok(agreed >= 8, `${agreed}`);
    },
  );

  peerTest(
    `our client shows and believes keys of every kind with ${peer.name}'s server`,
    [peer],
    async () => {
      for (const [kind, algorithm] of KEYS.filter(([, name]) => name !== "rsa-sha2-512")) {
        using site = await makeSite(kind);
        const host = await makeKey(site.folder, `host-${kind}`, kind);
        const options = { hostKey: await toDropbear(host), authorized: [site.key.line] };
        await using server = await startDropbear(peer, site.folder, options);
        const { port, user } = server;
        const signer = await readSigner(site.key);
        const algorithms = { hostKey: [algorithm] };
        const connection = await connectLibrary({ port, user, hostKey: host, signer, algorithms });
        assert.equal(connection.negotiated.hostKey, algorithm);
        await echoThroughCommand(connection);
        connection.close();
        await connection.gone;
      }
    },
  );
}
