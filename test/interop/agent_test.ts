/** Our agent: every stock client lands in its built-in server, and that stands in for sshd with what people have configured. */
import assert from "node:assert/strict";
import { makeAgentScene } from "../support/agent_scene.ts";
import { type KeyKind, makeCertificate, makeKey } from "../support/keygen.ts";
import { MeshCommand, meshEnvironment, meshLine } from "../support/mesh.ts";
import { openssh, opensshNewest, peerStep, peerTest } from "../support/peers.ts";
import { start, succeed } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { freePort } from "../support/tcp.ts";
import { checkClient } from "./client_contract.ts";
import { CLIENTS } from "./clients.ts";

peerTest("every stock client uses our agent's server, through our gateway", [openssh], async (t) => {
  await using scene = await makeAgentScene();
  for (const client of CLIENTS) await checkClient(t, client, scene.site, scene.server);
});

const KEXES = [
  "mlkem768x25519-sha256",
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "ecdh-sha2-nistp521",
];
const CIPHERS = [
  "chacha20-poly1305@openssh.com",
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "aes128-ctr",
  "aes256-ctr",
];
const MACS = [
  "hmac-sha2-256",
  "hmac-sha2-512",
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
];

/** Algorithms by the kind of key that they need. */
const KEYS: Readonly<Record<string, KeyKind>> = {
  "ssh-ed25519": "ed25519",
  "ecdsa-sha2-nistp256": "ecdsa-256",
  "ecdsa-sha2-nistp384": "ecdsa-384",
  "ecdsa-sha2-nistp521": "ecdsa-521",
  "rsa-sha2-256": "rsa-2048",
  "rsa-sha2-512": "rsa-2048",
};
const CERTIFIED = Object.keys(KEYS).map((name) => `${name}-cert-v01@openssh.com`);

/** The agent in place of sshd, with host keys and users of every kind, plain and certified. */
async function standIn(site: Site): Promise<{ port: number } & AsyncDisposable> {
  const authority = await makeKey(site.folder, "authority");
  const lines: string[] = [];
  const authorized = [site.key.line];
  for (const kind of new Set(Object.values(KEYS))) {
    const host = await makeKey(site.folder, `host-${kind}`, kind);
    const certificate = await makeCertificate(authority, host, { role: "host", principals: ["127.0.0.1"] });
    lines.push(`HostKey ${host.path}`, `HostCertificate ${certificate}`);
    authorized.push((await makeKey(site.folder, `user-${kind}`, kind)).line);
    const certified = await makeKey(site.folder, `certified-${kind}`, kind);
    await makeCertificate(authority, certified, { role: "user", principals: [ownUser] });
  }
  const port = freePort();
  const keys = [...Object.keys(KEYS), ...CERTIFIED].join();
  const config = site.folder.write(
    "sshd_config",
    [
      `ListenAddress 127.0.0.1:${port}`,
      ...lines,
      `AuthorizedKeysFile ${site.folder.write("authorized", authorized.join("\n") + "\n")}`,
      `TrustedUserCAKeys ${authority.publicPath}`,
      `KexAlgorithms ${KEXES.join()}`,
      `Ciphers ${CIPHERS.join()}`,
      `MACs ${MACS.join()}`,
      `HostKeyAlgorithms ${keys}`,
      `PubkeyAcceptedAlgorithms ${keys}`,
      "PermitRootLogin yes",
      "PidFile none",
      "StrictModes no",
      "",
    ].join("\n"),
  );
  site.folder.write("known_hosts", `@cert-authority * ${authority.bare}\n`);
  const command = new MeshCommand(
    start(meshLine("agent", ["--sshd-config", config, "--log", "json"]), {
      env: meshEnvironment(site.folder.path),
    }),
  );
  try {
    await command.event("ready");
  } catch (error) {
    await command.kill();
    throw error;
  }
  return Object.assign(command, { port });
}

for (const peer of [openssh, opensshNewest]) {
  peerTest(`${peer.name} agrees with our agent in place of sshd on everything it is configured for`, [
    peer,
  ], async (t) => {
    using site = await makeSite();
    await using server = await standIn(site);
    const lists: [option: string, names: readonly string[], identity?: (name: string) => string][] = [
      ["KexAlgorithms", KEXES.filter((name) => peer.newest || !name.startsWith("mlkem"))],
      ["Ciphers", CIPHERS],
      ["MACs", MACS],
      ["HostKeyAlgorithms", CERTIFIED],
      ["PubkeyAcceptedAlgorithms", Object.keys(KEYS), (name) => `user-${KEYS[name]}`],
      ["PubkeyAcceptedAlgorithms", CERTIFIED, (name) => `certified-${KEYS[name.replace(/-cert-.*/, "")]}`],
    ];
    for (const [option, names, identity] of lists) {
      for (const name of names) {
        await peerStep(t, `${option}=${name}`, [peer], async () => {
          const client = {
            port: server.port,
            user: ownUser,
            identity: identity ? site.folder.at(identity(name)) : site.key.path,
            knownHosts: site.knownHosts,
            options: [`${option}=${name}`, ...(option === "MACs" ? ["Ciphers=aes128-ctr"] : [])],
          };
          const { text, stderr } = await succeed(sshLine(peer, client, ["-T", "-vvv"], "echo in"));
          assert.equal(text, "in\n");
          assert.ok(stderr.includes(name), name);
        });
      }
    }
  });
}
