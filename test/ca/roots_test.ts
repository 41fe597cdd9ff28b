import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { openAuthority } from "../../src/ca/authority.ts";
import type { AuthorityParts, RootFiles } from "../../src/ca/local.ts";
import { CaError } from "../../src/ca/types.ts";
import { makeX509Root } from "../../src/ca/x509.ts";
import { openStateFolder } from "../../src/deno/state.ts";
import { systemFiles } from "../../src/deno/files.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { keyFile } from "../keys/tools.ts";
import { ann, HOUR, MemoryState, recorder, remote, scene, someKey } from "./scene.ts";

const unavailable = (words: RegExp) => (error: unknown) =>
  error instanceof CaError && error.code === "unavailable" && words.test(error.message);
const user = { identity: ann(), publicKey: someKey, remote };

function partsWith(rootFiles: RootFiles, state = new MemoryState()) {
  const { records, record } = recorder();
  const config = { domain: "mesh.example", trustDomain: "prod.example", profiles: [], rootFiles };
  const parts: AuthorityParts = {
    clock: new FakeClock(),
    state,
    store: openMemoryStore(),
    files: systemFiles,
    record,
    config,
  };
  return { parts, records, state };
}

const opened = async (rootFiles: RootFiles) => await openAuthority(partsWith(rootFiles).parts);
const x509Pem = async () => {
  const now = new FakeClock().now();
  const root = {
    commonName: "test",
    trustDomain: "prod.example",
    notBefore: now - HOUR,
    notAfter: now + 1e10,
  };
  return await makeX509Root(root);
};
const sameKey = (line: string, key: { blob: Uint8Array }) =>
  assert.deepEqual(parsePublicKeyLine(line).key.blob, key.blob);

Deno.test("roots are made on first start, and are the same ever after", async () => {
  using first = await scene();
  assert.deepEqual([...first.state.files.keys()].sort(), [
    "ca_host_1",
    "ca_host_1.pub",
    "ca_roots.json",
    "ca_user_1",
    "ca_user_1.pub",
    "ca_x509_1",
    "ca_x509_1.crt",
  ]);
  assert.deepEqual(first.records.map(({ name, details }) => [name, details.kind, details.why]), [
    ["ca.root", "user", "made on first start"],
    ["ca.root", "host", "made on first start"],
    ["ca.root", "x509", "made on first start"],
  ]);
  const before = await first.authority.authorities();
  first.records.length = 0;
  using second = { authority: await openAuthority(first.parts), [Symbol.dispose]() {} };
  const after = await second.authority.authorities();
  assert.deepEqual(after.user.map(({ blob }) => blob), before.user.map(({ blob }) => blob));
  assert.deepEqual(after.host.map(({ blob }) => blob), before.host.map(({ blob }) => blob));
  assert.deepEqual(after.x509, before.x509);
  assert.deepEqual(first.records, []);
  second.authority.close();
  assert.equal(before.user[0].type, "ssh-ed25519");
});

Deno.test("SSH roots are P-256 where somebody wants that", async () => {
  using made = await scene({}, { algorithm: "ecdsa-sha2-nistp256" });
  const { user: [one], host: [two] } = await made.authority.authorities();
  assert.deepEqual([one.type, two.type], ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"]);
  const { certificate } = await made.authority.issueUser(user);
  assert.equal(certificate.signatureAlgorithm, "ecdsa-sha2-nistp256");
});

Deno.test("private roots are the owner's alone on disk", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  const authority = await openAuthority({ ...partsWith({}).parts, state });
  for (const name of ["ca_user_1", "ca_host_1", "ca_x509_1", "ca_roots.json"]) {
    assert.equal(Deno.statSync(folder.at(`state/${name}`)).mode! & 0o777, 0o600, name);
  }
  authority.close();
  state.close();
});

Deno.test("a first start that dies at any write is made good by the next", async () => {
  for (let writes = 0;; writes++) {
    const state = new MemoryState();
    state.writesLeft = writes;
    const { parts } = partsWith({}, state);
    const finished = await openAuthority(parts).then((authority) => {
      authority.close();
      return true;
    }, () => false);
    state.writesLeft = Infinity;
    const listed = state.files.get("ca_roots.json");
    const authority = await openAuthority(parts);
    await authority.issueUser(user);
    const { user: [root] } = await authority.authorities();
    authority.close();
    sameKey(new TextDecoder().decode(state.files.get("ca_user_1.pub")), root);
    if (finished) return assert.ok(listed && writes > 6);
  }
});

Deno.test("a rotation that dies at any write has happened, or has not", async () => {
  for (let writes = 0;; writes++) {
    using made = await scene();
    const [before] = (await made.authority.authorities()).user;
    made.state.writesLeft = writes;
    const finished = await made.authority.rotate("user", { overlap: 0 }).then(() => true, () => false);
    made.state.writesLeft = Infinity;
    const again = await openAuthority(made.parts);
    const { user: roots } = await again.authorities();
    assert.equal(roots.length, finished ? 2 : 1, `${writes}`);
    assert.deepEqual(roots.at(-1)!.blob, before.blob);
    // Nothing in the way of the next attempt.
    await again.rotate("user", { overlap: 0 });
    assert.equal((await again.authorities()).user.length, roots.length + 1);
    again.close();
    if (finished) return;
  }
});

Deno.test("a root that is gone or broken is an error, and never made anew", async () => {
  const spoil: [string, (state: MemoryState) => unknown, RegExp][] = [
    ["gone", (state) => state.files.delete("ca_user_1"), /ca_user_1.*is gone: put a copy of it back/],
    ["empty", (state) => state.files.set("ca_host_1", encodeText("")), /ca_host_1.*is gone/],
    ["broken", (state) => state.files.set("ca_host_1", encodeText("xyz")), /ca_host_1 cannot be used/],
    ["X.509", (state) => state.files.set("ca_x509_1", encodeText("xyz")), /ca_x509_1 cannot be used/],
    ["list", (state) => state.files.set("ca_roots.json", encodeText("{")), /ca_roots.json is broken/],
    [
      "another's list",
      (state) => state.files.set("ca_roots.json", encodeText('{"user":[{"file":"../x","signsFrom":0}]}')),
      /ca_roots.json is broken/,
    ],
  ];
  for (const [name, change, words] of spoil) {
    const made = await scene();
    made.authority.close();
    change(made.state);
    const before = new Map(made.state.files);
    await assert.rejects(openAuthority(made.parts), unavailable(words), name);
    assert.deepEqual(made.state.files, before, name);
  }
});

Deno.test("roots come from files: OpenSSH and PKCS #8 keys, the first signs and the others are trusted", async () => {
  using folder = temporaryFolder();
  const { certificate, privateKey } = await x509Pem();
  const older = await x509Pem();
  const authority = await opened({
    user: [
      folder.write("user", await keyFile("openssl-ed25519.pkcs8")),
      folder.write("old", await keyFile("ecdsa256")),
      folder.write(
        "pub",
        `# older ones\n${await keyFile("rsa.pub")}\n${await keyFile("ecdsa384.pub")}`,
        0o644,
      ),
    ],
    host: [folder.write("host", await keyFile("ecdsa256.pkcs8"))],
    x509: [
      folder.write("x509", certificate + privateKey),
      folder.write("x509.old", older.certificate, 0o644),
    ],
  });
  const { user: users, host: [host], x509 } = await authority.authorities();
  for (const [index, name] of ["openssl-ed25519.pub", "ecdsa256.pub", "rsa.pub", "ecdsa384.pub"].entries()) {
    sameKey(await keyFile(name), users[index]);
  }
  sameKey(await keyFile("ecdsa256.pub"), host);
  assert.deepEqual(x509, [certificate, older.certificate]);
  assert.deepEqual((await authority.issueUser(user)).certificate.signatureKey.blob, users[0].blob);
  assert.equal(authority.watchedFiles.length, 6);
  await assert.rejects(authority.rotate("user"), /comes from configured files/);
  authority.close();
});

/** A folder as the kubelet mounts a Secret: links to links, readable by all. */
function mountSecret(folder: Folder, name: string, files: Record<string, string>): string {
  const path = folder.at(name);
  const version = "..2026_08_01_12_00_00.1";
  Deno.mkdirSync(`${path}/${version}`, { recursive: true });
  Deno.symlinkSync(version, `${path}/..data`);
  for (const [key, content] of Object.entries(files)) {
    folder.write(`${name}/${version}/${key}`, content, 0o644);
    Deno.symlinkSync(`..data/${key}`, `${path}/${key}`);
  }
  return path;
}

Deno.test("a mounted Kubernetes Secret is read though its files are everybody's", async () => {
  using folder = temporaryFolder();
  const { certificate, privateKey } = await x509Pem();
  const ssh = mountSecret(folder, "ssh", { "ssh-privatekey": await keyFile("ed25519") });
  const tls = mountSecret(folder, "tls", { "tls.crt": certificate, "tls.key": privateKey });
  const istio = mountSecret(folder, "istio", { "ca-cert.pem": certificate, "ca-key.pem": privateKey });
  const own = mountSecret(folder, "own", {
    ca_user: await keyFile("ed25519"),
    ca_host: await keyFile("ecdsa256"),
  });
  const authority = await opened({ user: [ssh], host: [ssh], x509: [tls] });
  sameKey(await keyFile("ed25519.pub"), (await authority.authorities()).user[0]);
  assert.deepEqual((await authority.authorities()).x509, [certificate]);
  authority.close();
  const other = await opened({ user: [own], host: [`${own}/ca_host`], x509: [istio] });
  sameKey(await keyFile("ecdsa256.pub"), (await other.authorities()).host[0]);
  other.close();
  // What others can write is nobody's secret, even there.
  Deno.chmodSync(`${own}/ca_user`, 0o666);
  await assert.rejects(opened({ user: [own] }), unavailable(/mode 0666, others get in/));
});

Deno.test("keys that others can read are refused when wider than 0600", async () => {
  using folder = temporaryFolder();
  const { certificate, privateKey } = await x509Pem();
  const wide: [RootFiles, RegExp][] = [
    [{ user: [folder.write("user", await keyFile("ed25519"), 0o640)] }, /user has mode 0640/],
    [{ x509: [folder.write("x509", certificate + privateKey, 0o604)] }, /x509 has mode 0604/],
  ];
  for (const [files, words] of wide) await assert.rejects(opened(files), unavailable(words));
});

Deno.test("files that are no roots are said by name, without a word of what is in them", async () => {
  using folder = temporaryFolder();
  const { certificate, privateKey } = await x509Pem();
  const secret = "c2VjcmV0IHRleHQgb2Yga2V5";
  Deno.mkdirSync(folder.at("empty"));
  const bad: [RootFiles, RegExp][] = [
    [{ user: [folder.at("none")] }, /none: there is no such file or folder/],
    [{ user: [folder.at("empty")] }, /empty: no root for user certificates in this folder: none of ca_user/],
    [{ user: [folder.write("text", secret)] }, /text: /],
    [
      { user: [folder.write("pem", `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`)] },
      /pem: /,
    ],
    [{ user: [folder.write("locked", await keyFile("ecdsa256.encrypted.pkcs8"))] }, /locked: .*passphrase/],
    [{ user: [folder.write("only.pub", await keyFile("ed25519.pub"))] }, /first root must be able to sign/],
    [{ x509: [folder.write("only.crt", certificate)] }, /first root must be able to sign/],
    [
      { x509: [folder.write("mixed", certificate + (await x509Pem()).privateKey)] },
      /mixed: .*not the certificate's/,
    ],
    [{ x509: [folder.write("keyonly", privateKey)] }, /keyonly: .*no certificate/],
  ];
  for (const [files, words] of bad) {
    await assert.rejects(
      opened(files),
      (error) => unavailable(words)(error) && !String(error).includes(secret),
    );
  }
});

Deno.test("configured files that change are read anew; broken ones change nothing", async () => {
  using folder = temporaryFolder();
  const path = folder.write("user", await keyFile("ed25519"));
  const { parts, records } = partsWith({ user: [path] });
  const authority = await openAuthority(parts);
  let heard = 0;
  authority.watch(() => heard++);
  await authority.reload();
  assert.equal(heard, 0, "nothing has changed");
  folder.write("user", "broken");
  await assert.rejects(authority.reload(), unavailable(/user: /));
  sameKey(await keyFile("ed25519.pub"), (await authority.authorities()).user[0]);
  assert.ok(await authority.issueUser(user));
  records.length = 0;
  folder.write("user", await keyFile("ecdsa256"));
  await authority.reload();
  assert.equal(heard, 1);
  sameKey(await keyFile("ecdsa256.pub"), (await authority.authorities()).user[0]);
  assert.deepEqual(records.map(({ details }) => [details.kind, details.why]), [[
    "user",
    "configured file changed",
  ]]);
  assert.match(formatPublicKey((await authority.authorities()).host[0]), /^ssh-ed25519 /);
  authority.close();
});

Deno.test("rotation is no matter of other roots: their files may be broken just then", async () => {
  using folder = temporaryFolder();
  const path = folder.write("user", await keyFile("ed25519"));
  const { parts } = partsWith({ user: [path] });
  const authority = await openAuthority(parts);
  folder.write("user", "half written");
  await authority.rotate("host", { overlap: 0 });
  const { host, user: [still] } = await authority.authorities();
  assert.equal(host.length, 2);
  sameKey(await keyFile("ed25519.pub"), still);
  assert.ok(await authority.issueUser(user));
  await assert.rejects(authority.reload(), unavailable(/user: /));
  folder.write("user", await keyFile("ed25519"));
  authority.close();
  const again = await openAuthority(parts);
  assert.deepEqual((await again.authorities()).host.map(({ blob }) => blob), host.map(({ blob }) => blob));
  again.close();
});

Deno.test("a rotation that fails changes nothing and leaves no record; two at once make two roots", async () => {
  const state = new MemoryState();
  const made = partsWith({}, state);
  const authority = await openAuthority(made.parts);
  const files = () => state.files.get("ca_roots.json");
  const before = files();
  made.records.length = 0;
  for (let writes = 0; writes < 3; writes++) {
    state.writesLeft = writes;
    await assert.rejects(authority.rotate("user"), /killed/);
    assert.deepEqual(files(), before);
    assert.equal((await authority.authorities()).user.length, 1);
  }
  assert.deepEqual(made.records, []);
  state.writesLeft = Infinity;
  await Promise.all([authority.rotate("user"), authority.rotate("user")]);
  const { user: roots } = await authority.authorities();
  assert.equal(new Set(await Promise.all(roots.map((root) => root.fingerprint()))).size, 3);
  assert.equal(made.records.length, 2);
  authority.close();
});

Deno.test("the files to be watched are those that were read last", async () => {
  using folder = temporaryFolder();
  Deno.mkdirSync(folder.at("roots"));
  folder.write("roots/id_ed25519", await keyFile("ed25519"));
  const authority = await opened({ user: [folder.at("roots")] });
  assert.deepEqual(authority.watchedFiles, [folder.at("roots/id_ed25519")]);
  folder.write("roots/ca_user", await keyFile("ecdsa256"));
  await authority.reload();
  assert.deepEqual(authority.watchedFiles, [folder.at("roots/ca_user")]);
  authority.close();
});
