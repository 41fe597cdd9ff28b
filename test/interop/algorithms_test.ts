/**
 * Every algorithm with OpenSSH at the other end: key exchange × cipher, MACs, host keys and user keys with and without
 * certificates. Each row pins one choice on the client and looks at what the server saw.
 */
import assert from "node:assert/strict";
import { KEY_KINDS, type KeyFile, type KeyKind, makeCertificate, makeKey } from "../support/keygen.ts";
import { type LibraryServer, readSigner, startLibraryServer } from "../support/library_server.ts";
import { openssh, opensshNewest, type Peer, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";

const KEX = [
  "mlkem768x25519-sha256",
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "ecdh-sha2-nistp521",
];

const AEAD_CIPHERS = ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];
const CTR_CIPHERS = ["aes128-ctr", "aes256-ctr"];
const MACS = [
  "hmac-sha2-256",
  "hmac-sha2-512",
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
];

/** Algorithm names of the keys of each kind; RSA has two. */
const KEY_ALGORITHMS: readonly (readonly [KeyKind, string])[] = [
  ["ed25519", "ssh-ed25519"],
  ["ecdsa-256", "ecdsa-sha2-nistp256"],
  ["ecdsa-384", "ecdsa-sha2-nistp384"],
  ["ecdsa-521", "ecdsa-sha2-nistp521"],
  ["rsa-3072", "rsa-sha2-256"],
  ["rsa-3072", "rsa-sha2-512"],
];

/** Exchange methods that the newest OpenSSH has and 9.2 lacks. */
const NEWEST_ONLY = new Set(["mlkem768x25519-sha256"]);

interface Scene extends AsyncDisposable {
  readonly site: Site;
  readonly server: LibraryServer;
  readonly hostKeys: ReadonlyMap<KeyKind, KeyFile>;
  readonly authority: KeyFile;
  /** Logs in with client options, expects success and returns what the server saw of it. */
  login(peer: Peer, identity: string, options: string[]): Promise<LibraryServer["logins"][number]>;
}

/** A server with every kind of host key, plain and certified, and a user whose keys and certificates it takes. */
async function makeScene(): Promise<Scene> {
  const site = await makeSite();
  const authority = await makeKey(site.folder, "authority");
  const hostKeys = new Map<KeyKind, KeyFile>();
  const signers = [];
  const authorized = [site.key.line];
  for (const kind of new Set(KEY_ALGORITHMS.map(([kind]) => kind))) {
    const host = await makeKey(site.folder, `host-${kind}`, kind);
    const certificate = await makeCertificate(authority, host, { role: "host", principals: ["127.0.0.1"] });
    signers.push(await readSigner(host, certificate));
    hostKeys.set(kind, host);
    const user = await makeKey(site.folder, `user-${kind}`, kind);
    authorized.push(user.line);
  }
  const server = await startLibraryServer({ hostKeys: signers, authorized, authority });
  return {
    site,
    server,
    hostKeys,
    authority,
    async login(peer, identity, options) {
      const client = { port: server.port, user: "test", identity, knownHosts: site.knownHosts, options };
      const { code, text, stderr } = await run(sshLine(peer, client, ["-T"], "echo in"));
      assert.equal(text, "in\n", `${code} ${stderr}${server.errors.at(-1) ?? ""}`);
      return server.logins.at(-1)!;
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      site[Symbol.dispose]();
    },
  };
}

for (const peer of [openssh, opensshNewest]) {
  const exchanges = KEX.filter((kex) => peer.newest || !NEWEST_ONLY.has(kex));

  for (const kex of exchanges) {
    peerTest(`${peer.name} agrees with our server on ${kex} and every cipher`, [peer], async () => {
      await using scene = await makeScene();
      scene.site.expect(scene.server.port, scene.hostKeys.get("ed25519")!);
      for (const cipher of [...AEAD_CIPHERS, ...CTR_CIPHERS]) {
        const { negotiated } = await scene.login(peer, scene.site.key.path, [
          `KexAlgorithms=${kex}`,
          `Ciphers=${cipher}`,
        ]);
        assert.equal(negotiated.kex, kex);
        assert.equal(negotiated.clientToServer.cipher, cipher);
        assert.equal(negotiated.serverToClient.cipher, cipher);
      }
    });
  }

  peerTest(`${peer.name} agrees with our server on every MAC`, [peer], async () => {
    await using scene = await makeScene();
    scene.site.expect(scene.server.port, scene.hostKeys.get("ed25519")!);
    for (const mac of MACS) {
      const { negotiated } = await scene.login(peer, scene.site.key.path, [
        `Ciphers=aes128-ctr`,
        `MACs=${mac}`,
      ]);
      assert.equal(negotiated.clientToServer.mac, mac);
      assert.equal(negotiated.serverToClient.mac, mac);
    }
  });

  peerTest(`${peer.name} believes our server's host keys of every kind`, [peer], async () => {
    await using scene = await makeScene();
    for (const [kind, algorithm] of KEY_ALGORITHMS) {
      scene.site.folder.write("known_hosts", "");
      scene.site.expect(scene.server.port, scene.hostKeys.get(kind)!);
      const { negotiated } = await scene.login(peer, scene.site.key.path, [`HostKeyAlgorithms=${algorithm}`]);
      assert.equal(negotiated.hostKey, algorithm);
    }
  });

  peerTest(`${peer.name} believes our server's host certificates of every kind`, [peer], async () => {
    await using scene = await makeScene();
    scene.site.folder.write("known_hosts", `@cert-authority * ${scene.authority.bare}\n`);
    for (const [, plain] of KEY_ALGORITHMS) {
      const algorithm = `${plain}-cert-v01@openssh.com`;
      const { negotiated } = await scene.login(peer, scene.site.key.path, [`HostKeyAlgorithms=${algorithm}`]);
      assert.equal(negotiated.hostKey, algorithm);
    }
  });

  peerTest(`${peer.name} logs in to our server with keys of every kind`, [peer], async () => {
    await using scene = await makeScene();
    scene.site.expect(scene.server.port, scene.hostKeys.get("ed25519")!);
    for (const [kind, algorithm] of KEY_ALGORITHMS) {
      const login = await scene.login(peer, scene.site.folder.at(`user-${kind}`), [
        `PubkeyAcceptedAlgorithms=${algorithm}`,
      ]);
      assert.equal(login.algorithm, algorithm);
    }
  });

  peerTest(
    `${peer.name} logs in to our server with certificates of every kind, by authorities of every kind`,
    [peer],
    async () => {
      await using scene = await makeScene();
      scene.site.expect(scene.server.port, scene.hostKeys.get("ed25519")!);
      for (const [kind, plain] of KEY_ALGORITHMS) {
        const user = await makeKey(scene.site.folder, `certified-${plain}`, kind);
        await makeCertificate(scene.authority, user, { role: "user", principals: ["test"] });
        const algorithm = `${plain}-cert-v01@openssh.com`;
        const login = await scene.login(peer, user.path, [`PubkeyAcceptedAlgorithms=${algorithm}`]);
        assert.equal(login.algorithm, algorithm);
      }
      for (const kind of Object.keys(KEY_KINDS) as KeyKind[]) {
        const authority = await makeKey(scene.site.folder, `authority-${kind}`, kind);
        const user = await makeKey(scene.site.folder, `by-${kind}`);
        await makeCertificate(authority, user, { role: "user", principals: ["test"] });
        await using server = await startLibraryServer({
          hostKeys: [await readSigner(scene.hostKeys.get("ed25519")!)],
          authority,
        });
        scene.site.expect(server.port, scene.hostKeys.get("ed25519")!);
        const client = { port: server.port, identity: user.path, knownHosts: scene.site.knownHosts };
        const { text, stderr } = await run(sshLine(peer, client, ["-T"], "echo in"));
        assert.equal(text, "in\n", `${kind}: ${stderr}`);
      }
    },
  );
}

peerTest("the newest OpenSSH has nothing to warn of with our defaults", [opensshNewest], async () => {
  await using scene = await makeScene();
  scene.site.expect(scene.server.port, scene.hostKeys.get("ed25519")!);
  const client = {
    port: scene.server.port,
    identity: scene.site.key.path,
    knownHosts: scene.site.knownHosts,
  };
  const { text, stderr } = await run(sshLine(opensshNewest, client, ["-T"], "echo in"));
  assert.deepEqual([text, stderr], ["in\n", ""]);
  assert.equal(scene.server.logins[0].negotiated.kex, "mlkem768x25519-sha256");
});

peerTest("a certificate of another authority, role or name does not log in", [openssh], async () => {
  await using scene = await makeScene();
  scene.site.expect(scene.server.port, scene.hostKeys.get("ed25519")!);
  const stranger = await makeKey(scene.site.folder, "stranger");
  const rows: [name: string, authority: KeyFile, role: "user" | "host", principals: string[]][] = [
    ["another-authority", stranger, "user", ["test"]],
    ["another-role", scene.authority, "host", ["test"]],
    ["another-name", scene.authority, "user", ["tes", "test2"]],
    ["no-name", scene.authority, "user", []],
  ];
  for (const [name, authority, role, principals] of rows) {
    const user = await makeKey(scene.site.folder, name);
    await makeCertificate(authority, user, { role, principals });
    const client = { port: scene.server.port, identity: user.path, knownHosts: scene.site.knownHosts };
    const { code, stderr } = await run(sshLine(openssh, client, ["-T"], "echo in"));
    assert.equal(code, 255, name);
    assert.match(stderr, /Permission denied \(publickey\)/, name);
  }
  assert.equal(scene.server.logins.length, 0);
});
