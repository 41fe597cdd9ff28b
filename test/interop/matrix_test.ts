/**
 * Every algorithm with the clients that are not OpenSSH. Few of them let their lists be chosen, so the server has one of
 * each kind to choose from. What a client lacks is written down: nothing else may keep it out.
 */
import assert from "node:assert/strict";
import { type AlgorithmLists, supportedAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import { type KeyKind, makeCertificate, makeKey } from "../support/keygen.ts";
import { readSigner, startLibraryServer } from "../support/library_server.ts";
import {
  openssh,
  opensshNewest,
  paramiko,
  peerStep,
  peerTest,
  putty,
  puttyNewest,
} from "../support/peers.ts";
import { run } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { puttyLine } from "../support/stock_client.ts";
import { CLIENTS, type StockClient } from "./clients.ts";

type Pin = Partial<Pick<AlgorithmLists, "kex" | "cipher" | "mac">>;

const PINS: readonly Pin[] = [
  ...supportedAlgorithms.kex.map((name) => ({ kex: [name] })),
  ...supportedAlgorithms.cipher.map((name) => ({ cipher: [name] })),
  ...supportedAlgorithms.mac.map((name) => ({ cipher: ["aes256-ctr"], mac: [name] })),
];

const KINDS: Readonly<Record<string, KeyKind>> = {
  "ssh-ed25519": "ed25519",
  "ecdsa-sha2-nistp256": "ecdsa-256",
  "ecdsa-sha2-nistp384": "ecdsa-384",
  "ecdsa-sha2-nistp521": "ecdsa-521",
  "rsa-sha2-256": "rsa-2048",
  "rsa-sha2-512": "rsa-2048",
};

const POST_QUANTUM = "mlkem768x25519-sha256";
const DROPBEAR_LACKS = [
  "aes256-gcm@openssh.com",
  "aes192-ctr",
  "aes128-gcm@openssh.com",
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
  "hmac-sha2-512",
  "rsa-sha2-512",
];
const PUTTY_LACKS = ["hmac-sha2-512-etm@openssh.com", "hmac-sha2-512"];

/** What clients do not have, by their name; a newer one may have it. */
const LACKS: Readonly<Record<string, readonly string[]>> = {
  "Dropbear dbclient": [...DROPBEAR_LACKS, POST_QUANTUM],
  "newest Dropbear dbclient": DROPBEAR_LACKS,
  "PuTTY plink and psftp": [...PUTTY_LACKS, POST_QUANTUM],
  "newest PuTTY plink and psftp": PUTTY_LACKS,
  "paramiko": [POST_QUANTUM, "curve25519-sha256", "chacha20-poly1305@openssh.com"],
  // On Deno, whose node:crypto knows neither that curve nor OpenSSH's ECDSA keys as ssh2 rewrites them.
  "npm ssh2": [POST_QUANTUM, "ecdh-sha2-nistp521", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"],
};

function lacks({ name }: StockClient, names: readonly string[]): boolean {
  return names.some((algorithm) => LACKS[name]?.includes(algorithm));
}

for (const client of CLIENTS.filter(({ peer }) => peer !== openssh && peer !== opensshNewest)) {
  peerTest(`${client.name} agrees with our server on every algorithm that it has`, [
    client.peer,
    openssh,
  ], async (t) => {
    using site = await makeSite();
    const hostKey = await makeKey(site.folder, "host");
    const hostKeys = [await readSigner(hostKey)];
    for (const pin of PINS) {
      const names = Object.values(pin).flat();
      if (lacks(client, names)) continue;
      await t.step(names.join(" and "), async () => {
        const algorithms = { ...supportedAlgorithms, ...pin };
        await using server = await startLibraryServer({ hostKeys, authorized: [site.key.line], algorithms });
        site.expect(server.port, hostKey);
        const { line, env } = client.exec(site, { port: server.port, user: "test", hostKey }, "echo in");
        const { text, stderr } = await run(line, { env });
        assert.equal(text, "in\n", `${stderr}${server.errors}`);
      });
    }
  });

  peerTest(`${client.name} believes host keys and logs in with keys of every kind that it has`, [
    client.peer,
    openssh,
  ], async (t) => {
    for (const [algorithm, kind] of Object.entries(KINDS)) {
      if (lacks(client, [algorithm])) continue;
      await t.step(algorithm, async () => {
        using site = await makeSite(kind);
        const hostKey = await makeKey(site.folder, "host", kind);
        await using server = await startLibraryServer({
          hostKeys: [await readSigner(hostKey)],
          authorized: [site.key.line],
          algorithms: { ...supportedAlgorithms, hostKey: [algorithm] },
        });
        site.expect(server.port, hostKey);
        const { line, env } = client.exec(site, { port: server.port, user: "test", hostKey }, "echo in");
        const { text, stderr } = await run(line, { env });
        assert.equal(text, "in\n", `${stderr}${server.errors}`);
        // Which of RSA's two the client signs with is its own choice.
        const expected = kind.startsWith("rsa") ? /^rsa-sha2-(256|512)$/ : new RegExp(`^${algorithm}$`);
        assert.match(server.logins.at(-1)!.algorithm, expected);
      });
    }
  });
}

peerTest("PuTTY and paramiko log in to our server with certificates of every kind", [openssh], async (t) => {
  for (const kind of new Set(Object.values(KINDS))) {
    using site = await makeSite(kind);
    const hostKey = await makeKey(site.folder, "host");
    const authority = await makeKey(site.folder, "authority");
    const certificate = await makeCertificate(authority, site.key, { role: "user", principals: ["test"] });
    await using server = await startLibraryServer({ hostKeys: [await readSigner(hostKey)], authority });
    site.expect(server.port, hostKey);
    for (const client of CLIENTS) {
      const isPutty = client.peer === putty || client.peer === puttyNewest;
      if (!isPutty && client.name !== paramiko.name) continue;
      await peerStep(t, `${client.name}: ${kind}`, [client.peer], async () => {
        const { line, env } = client.exec(site, { port: server.port, user: "test", hostKey }, "echo in");
        // Paramiko looks beside the key.
        const certified = isPutty ? line.toSpliced(line.indexOf("-T"), 0, "-cert", certificate) : line;
        const { text, stderr } = await run(certified, { env });
        assert.equal(text, "in\n", `${stderr}${server.errors}`);
        assert.match(server.logins.at(-1)!.algorithm, /-cert-v01@openssh\.com$/);
      });
    }
  }
});

for (const peer of [putty, puttyNewest]) {
  peerTest(
    `${peer.name} believes our server's host certificates of every kind`,
    [peer, openssh],
    async () => {
      using site = await makeSite();
      const authority = await makeKey(site.folder, "authority");
      Deno.mkdirSync(site.folder.at(".putty/sshhostcas"), { recursive: true });
      const trust = [
        `PublicKey=${authority.bare.split(" ")[1]}`,
        "Validity=*",
        "PermitRSASHA1=0",
        "PermitRSASHA256=1",
        "PermitRSASHA512=1",
        "",
      ];
      site.folder.write(".putty/sshhostcas/mesh", trust.join("\n"));
      for (const kind of new Set(Object.values(KINDS))) {
        const host = await makeKey(site.folder, `host-${kind}`, kind);
        const certificate = await makeCertificate(authority, host, {
          role: "host",
          principals: ["127.0.0.1"],
        });
        await using server = await startLibraryServer({
          hostKeys: [await readSigner(host, certificate)],
          authorized: [site.key.line],
        });
        const client = { port: server.port, user: "test", identity: site.puttyKey, hostKey: "" };
        const line = puttyLine(peer, "plink", client, ["-T"], "echo in");
        const withoutPin = line.toSpliced(line.indexOf("-hostkey"), 2);
        const { text, stderr } = await run(withoutPin, { env: { HOME: site.folder.path } });
        assert.equal(text, "in\n", `${kind}: ${stderr}${server.errors}`);
        assert.match(server.logins.at(-1)!.negotiated.hostKey, /-cert-v01@openssh\.com$/);
      }
    },
  );
}
