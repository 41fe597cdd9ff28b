/** What stock OpenSSH makes of the authority's certificates and lists, and the authority of OpenSSH's. */
import assert from "node:assert/strict";
import { openAuthority } from "../../src/ca/authority.ts";
import type { LocalAuthority, RootFiles } from "../../src/ca/local.ts";
import { profilesSchema } from "../../src/ca/profiles.ts";
import { checkCertificate } from "../../src/cert/check.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { writeKrl } from "../../src/cert/krl.ts";
import { parseRevokedKeys } from "../../src/cert/revocation.ts";
import { systemFiles } from "../../src/deno/files.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { isRevokedByKeygen, readWithKeygen, validityOf } from "../support/certificate_text.ts";
import { type Folder, sharedFolder, temporaryFolder } from "../support/folder.ts";
import { type KeyFile, type KeyKind, makeCertificate, makeKey } from "../support/keygen.ts";
import { findProgram, openssh, opensshNewest, type Peer, peerTest } from "../support/peers.ts";
import { run, succeed } from "../support/process.ts";
import { sshLine } from "../support/stock_client.ts";
import { ownUser, startSshd } from "../support/stock_server.ts";
import { admin, ann, HOUR, MemoryState, MINUTE, recorder, remote, workload } from "./scene.ts";

const keygen = findProgram("ssh-keygen") ?? "ssh-keygen";

async function open(
  { rootFiles = {}, profiles = [], algorithm }: {
    rootFiles?: RootFiles;
    profiles?: unknown[];
    algorithm?: "ecdsa-sha2-nistp256";
  } = {},
): Promise<LocalAuthority> {
  return await openAuthority({
    clock: systemClock,
    state: new MemoryState(),
    store: openMemoryStore(),
    files: systemFiles,
    record: recorder().record,
    config: {
      domain: "mesh.example",
      trustDomain: "prod.example",
      profiles: profilesSchema.parse(profiles),
      rootFiles,
      algorithm,
    },
  });
}

const keyOf = (file: KeyFile) => parsePublicKeyLine(file.line).key;

/** Asks for a user certificate and puts it beside the key, where `ssh` looks for it. */
async function certify(authority: LocalAuthority, folder: Folder, key: KeyFile, identity = ann()) {
  const issued = await authority.issueUser({ identity, publicKey: keyOf(key), remote });
  folder.write(`${key.path.slice(folder.path.length + 1)}-cert.pub`, `${issued.line}\n`);
  return issued;
}

const kinds: KeyKind[] = ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"];
const roots = ["ssh-ed25519", "ecdsa-sha2-nistp256"] as const;

for (const root of roots) {
  peerTest(
    `ssh-keygen -L reads every certificate as it was meant, signed by ${root}`,
    [openssh],
    async () => {
      using folder = temporaryFolder();
      const authority = await open({
        algorithm: root === "ssh-ed25519" ? undefined : root,
        profiles: [{
          name: "narrow",
          who: { group: "narrow" },
          extensions: ["permit-pty"],
          force_command: "backup --all",
          source_address: ["10.0.0.0/8", "fd00::/8"],
          principals: ["deploy"],
        }],
      });
      const { user: [userRoot], host: [hostRoot] } = await authority.authorities();
      for (const kind of kinds) {
        const key = await makeKey(folder, `id_${kind}`, kind);
        const { certificate } = await certify(authority, folder, key, ann({ groups: ["sre", "dev"] }));
        const facts = await readWithKeygen(`${key.path}-cert.pub`);
        assert.match(facts.Type, /^\S+-cert-v01@openssh\.com user certificate$/);
        assert.match(facts["Public key"], new RegExp(RegExp.escape(key.fingerprint)));
        assert.ok(facts["Signing CA"].includes(await userRoot.fingerprint()));
        assert.equal(facts["Key ID"], `"${certificate.keyId}"`);
        assert.equal(facts.Serial, certificate.serial.toString());
        assert.equal(facts.Principals, "ann@mycorp.example group:sre group:dev");
        assert.equal(facts["Critical Options"], "(none)");
        assert.equal(
          facts.Extensions,
          "permit-X11-forwarding permit-agent-forwarding permit-port-forwarding permit-pty permit-user-rc",
        );
        const [, from, to] = /^from (\S+) to (\S+)$/.exec(facts.Valid)!;
        assert.equal(Date.parse(to) - Date.parse(from), 11 * 60_000);

        const names = ["web.mesh.example", "web.shop.svc.prod.example"];
        const host = await authority.issueHost({
          identity: workload(),
          publicKey: keyOf(key),
          names,
          remote,
        });
        const hostFacts = await readWithKeygen(folder.write(`host_${kind}-cert.pub`, `${host.line}\n`));
        assert.match(hostFacts.Type, /host certificate$/);
        assert.ok(hostFacts["Signing CA"].includes(await hostRoot.fingerprint()));
        assert.equal(hostFacts.Principals, names.join(" "));
        assert.equal(hostFacts["Critical Options"], "(none)");
        assert.equal(hostFacts.Extensions, "(none)");
      }
      const key = await makeKey(folder, "narrow");
      await certify(authority, folder, key, ann({ groups: ["narrow"] }));
      const facts = await readWithKeygen(`${key.path}-cert.pub`);
      assert.equal(
        facts["Critical Options"],
        "force-command backup --all source-address 10.0.0.0/8,fd00::/8",
      );
      assert.equal(facts.Extensions, "permit-pty");
      assert.equal(facts.Principals, "ann@mycorp.example deploy group:narrow");
      authority.close();
    },
  );
}

peerTest("ssh-keygen -Q finds in our list what was revoked, and nothing else", [openssh], async () => {
  using folder = temporaryFolder();
  const authority = await open();
  const keys = await Promise.all(
    ["serial", "keyid", "key", "print", "person", "good"].map((name) => makeKey(folder, name)),
  );
  const certificates = [];
  for (const [index, key] of keys.entries()) {
    certificates.push((await certify(authority, folder, key, ann({ subject: `${index}` }))).certificate);
  }
  const isRevoked = (name: string) => isRevokedByKeygen(folder.at("krl"), folder.at(name));
  const write = async () => folder.write("krl", writeKrl((await authority.revoked()).krl));
  await write();
  for (const { path } of keys) assert.ok(!await isRevoked(`${path.slice(folder.path.length + 1)}-cert.pub`));

  await authority.revoke({ kind: "serial", serial: `${certificates[0].serial}` }, admin);
  await authority.revoke({ kind: "key-id", keyId: certificates[1].keyId }, admin);
  await authority.revoke({ kind: "key", key: keys[2].line }, admin);
  await authority.revoke({ kind: "key", key: keys[3].fingerprint }, admin);
  await authority.revoke({ kind: "identity", issuer: "https://id.example", subject: "4" }, admin);
  const list = new Uint8Array(Deno.readFileSync(await write()));
  const ours = parseRevokedKeys(list);
  const expected: [string, boolean, boolean][] = [
    ["serial", true, false],
    ["keyid", true, false],
    ["key", true, true],
    ["print", true, true],
    ["person", true, false],
    ["good", false, false],
  ];
  for (const [index, [name, certificate, key]] of expected.entries()) {
    assert.equal(await isRevoked(`${name}-cert.pub`), certificate, `${name}-cert.pub`);
    assert.equal(await isRevoked(`${name}.pub`), key, `${name}.pub`);
    assert.equal(await ours.isRevoked(certificates[index]), certificate, name);
    assert.equal(await ours.isRevoked(keyOf(keys[index])), key, name);
  }
  // A certificate of another authority with the same serial number is none of ours.
  const foreign = await makeKey(folder, "foreign");
  const other = await makeKey(folder, "other");
  await succeed([
    keygen,
    "-q",
    "-s",
    foreign.path,
    "-I",
    "x",
    "-n",
    "x",
    "-z",
    `${certificates[0].serial}`,
    other.publicPath,
  ]);
  assert.ok(!await isRevoked("other-cert.pub"));
  authority.close();
});

peerTest("what ssh-keygen -k revokes of ours is revoked for us", [openssh], async () => {
  using folder = temporaryFolder();
  const authority = await open();
  const [key, other] = [await makeKey(folder, "id"), await makeKey(folder, "other")];
  const { certificate } = await certify(authority, folder, key);
  const { certificate: good } = await certify(authority, folder, other);
  const root = folder.write(
    "root.pub",
    `${formatPublicKey((await authority.authorities()).user[0])}\n`,
    0o644,
  );
  const specs = [
    `serial: ${certificate.serial}`,
    `id: ${certificate.keyId}`,
    key.line,
    `hash: ${key.fingerprint}`,
  ];
  for (const spec of specs) {
    const spelled = folder.write("spec", `${spec}\n`);
    await succeed([keygen, "-q", "-k", "-f", folder.at("krl"), "-s", root, spelled]);
    const list = parseRevokedKeys(new Uint8Array(Deno.readFileSync(folder.at("krl"))));
    assert.ok(await list.isRevoked(certificate), spec);
    assert.ok(!await list.isRevoked(good), spec);
  }
  authority.close();
});

for (const peer of [openssh, opensshNewest]) {
  peerTest(
    `${peer.name}: a stock sshd with TrustedUserCAKeys, HostCertificate and RevokedKeys of ours`,
    [openssh, peer],
    () => stockServer(peer),
  );
}

async function stockServer(peer: Peer) {
  using folder = sharedFolder();
  const authority = await open();
  const hostKey = await makeKey(folder, "host");
  const [id, revoked] = [await makeKey(folder, "id"), await makeKey(folder, "revoked")];
  const names = ["web.mesh.example"];
  const host = await authority.issueHost({ identity: workload(), publicKey: keyOf(hostKey), names, remote });
  folder.write("host-cert.pub", `${host.line}\n`, 0o644);
  await certify(authority, folder, id, ann({ groups: ["sre"] }));
  await certify(authority, folder, revoked, ann({ groups: ["sre"], subject: "bob" }));
  await authority.revoke({ kind: "identity", issuer: "https://id.example", subject: "bob" }, admin);
  const { user: [userRoot], host: [hostRoot] } = await authority.authorities();
  folder.write("principals", "group:sre\n", 0o644);
  await using server = await startSshd(peer, folder, {
    hostKeys: [hostKey],
    authorized: [],
    config: [
      `HostCertificate ${folder.at("host-cert.pub")}`,
      `TrustedUserCAKeys ${folder.write("user_ca.pub", `${formatPublicKey(userRoot)}\n`, 0o644)}`,
      `AuthorizedPrincipalsFile ${folder.at("principals")}`,
      `RevokedKeys ${folder.write("krl", writeKrl((await authority.revoked()).krl), 0o644)}`,
    ],
  });
  const knownHosts = folder.write(
    "known_hosts",
    `@cert-authority *.mesh.example ${formatPublicKey(hostRoot)}\n`,
  );
  const login = (identity: string, alias = "web.mesh.example") =>
    run(sshLine(
      peer,
      { port: server.port, user: ownUser, identity, knownHosts, options: [`HostKeyAlias=${alias}`] },
      [],
      "echo in",
    ));
  const accepted = await login(id.path);
  assert.equal(accepted.text, "in\n", accepted.stderr);
  assert.match((await login(revoked.path)).stderr, /Permission denied/);
  // Not the name that the certificate proves.
  assert.match((await login(id.path, "db.mesh.example")).stderr, /host key verification failed/i);

  // Nobody in the group: same server, same authority.
  await certify(authority, folder, id, ann({ groups: [] }));
  assert.match((await login(id.path)).stderr, /Permission denied/);
  // A command that the bearer's credential forced is forced on the node too.
  await certify(
    authority,
    folder,
    id,
    ann({ groups: ["sre"], restrictions: { forceCommand: "echo forced" } }),
  );
  assert.equal((await login(id.path)).text, "forced\n");
  await certify(
    authority,
    folder,
    id,
    ann({ groups: ["sre"], restrictions: { sourceAddresses: ["192.0.2.0/24"] } }),
  );
  assert.match((await login(id.path)).stderr, /Permission denied/);
  authority.close();
}

const both =
  "rotating under a stock sshd: certificates of both roots log in, and a name that is an account's does not";
peerTest(both, [openssh], async () => {
  using folder = sharedFolder();
  const authority = await open({
    profiles: [{ name: "account", who: { group: "operators" }, principals: [ownUser] }],
  });
  const [hostKey, before, after, called] = [
    await makeKey(folder, "host"),
    await makeKey(folder, "before"),
    await makeKey(folder, "after"),
    await makeKey(folder, "called"),
  ];
  const operator = ann({ groups: ["operators"] });
  await certify(authority, folder, before, operator);
  await authority.rotate("user", { overlap: 0 });
  await certify(authority, folder, after, operator);
  await certify(authority, folder, called, ann({ name: ownUser, subject: ownUser }));
  const { user } = await authority.authorities();
  assert.equal(user.length, 2);
  const lines = user.map((key) => formatPublicKey(key)).join("\n");
  await using server = await startSshd(openssh, folder, {
    hostKeys: [hostKey],
    authorized: [],
    config: [`TrustedUserCAKeys ${folder.write("user_ca.pub", `${lines}\n`, 0o644)}`],
  });
  const knownHosts = folder.write("known_hosts", `[127.0.0.1]:${server.port} ${hostKey.bare}\n`);
  const login = async ({ path: identity }: KeyFile) =>
    await run(sshLine(openssh, { port: server.port, user: ownUser, identity, knownHosts }, [], "echo in"));
  for (const key of [before, after]) {
    const { text, stderr } = await login(key);
    assert.equal(text, "in\n", stderr);
  }
  assert.match((await login(called)).stderr, /Permission denied/);
  authority.close();
});

peerTest("roots and certificates that ssh-keygen and ssh_ca.sh leave load unchanged", [openssh], async () => {
  using folder = temporaryFolder();
  // As the script does it: one ECDSA key in PKCS #8 for everything, and beside it tls.key and tls.crt.
  Deno.mkdirSync(folder.at("ca"), { mode: 0o700 });
  const root = await makeKey(folder, "ca/id_ecdsa", "ecdsa-256", { format: "PKCS8" });
  Deno.copyFileSync(root.path, folder.at("ca/tls.key"));
  folder.write(
    "ca/csr.conf",
    "[req]\nprompt = no\ndistinguished_name = dn\n[dn]\nO = test\nCN = test\n[ext]\nsubjectKeyIdentifier = hash\n" +
      "basicConstraints = critical, CA:true\n" +
      "keyUsage = critical, digitalSignature, nonRepudiation, keyEncipherment, keyCertSign\n",
  );
  const openssl = (...args: string[]) =>
    succeed([findProgram("openssl") ?? "openssl", ...args], { cwd: folder.at("ca") });
  await openssl("req", "-new", "-sha256", "-key", "tls.key", "-config", "csr.conf", "-out", "tls.csr");
  await openssl(
    ..."x509 -req -sha256 -days 365 -signkey tls.key -extensions ext -extfile csr.conf -in tls.csr -out tls.crt"
      .split(" "),
  );
  // What the script made for a node: the certificate counts by its root, which is one of ours now.
  const node = await makeKey(folder, "node", "ecdsa-256", { format: "PEM" });
  const path = await makeCertificate(root, node, { role: "host", principals: ["node.test.mesh.internal"] });
  const ca = folder.at("ca");
  const authority = await open({ rootFiles: { user: [ca], host: [ca], x509: [ca] } });
  const { host: [hostRoot], user: [userRoot], x509 } = await authority.authorities();
  assert.deepEqual([hostRoot.blob, userRoot.blob], [keyOf(root).blob, keyOf(root).blob]);
  assert.equal(x509.length, 1);
  const old = parseCertificate(parsePublicKeyLine(Deno.readTextFileSync(path)).certificate!);
  const fault = await checkCertificate(old, {
    role: "host",
    principals: ["node.test.mesh.internal"],
    now: Date.now(),
    trusted: ({ blob }) => formatPublicKey(blob) === formatPublicKey(hostRoot),
  });
  assert.equal(fault, undefined);
  await certify(authority, folder, node);
  assert.equal((await readWithKeygen(`${node.path}-cert.pub`))["Signing CA"].split(" ")[1], root.fingerprint);
  authority.close();

  // Keys as OpenSSL names them by default are roots too: SEC1 and PKCS #1.
  await openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sec1.key");
  await openssl(
    "req",
    "-x509",
    "-new",
    "-key",
    "sec1.key",
    "-subj",
    "/CN=sec1",
    "-days",
    "9",
    "-out",
    "sec1.crt",
  );
  assert.match(folder.read("ca/sec1.key"), /BEGIN EC PRIVATE KEY/);
  const both = folder.write("sec1.pem", folder.read("ca/sec1.crt") + folder.read("ca/sec1.key"));
  const other = await open({ rootFiles: { x509: [both] } });
  assert.equal((await other.authorities()).x509.length, 1);
  other.close();
});

peerTest("a lifetime that was asked for is the one in the certificate", [openssh], async () => {
  using folder = temporaryFolder();
  const authority = await open();
  const key = await makeKey(folder, "id");
  const { line } = await authority.issueUser({
    identity: ann(),
    publicKey: keyOf(key),
    remote,
    lifetime: HOUR,
  });
  const facts = await readWithKeygen(folder.write("id-cert.pub", `${line}\n`));
  const { from, to } = validityOf(facts);
  assert.equal(to - from, HOUR + MINUTE);
  authority.close();
});
