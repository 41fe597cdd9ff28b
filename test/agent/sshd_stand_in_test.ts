/** The command in sshd's place: `--stdio` as `sshd -i`, `--sshd-config` alone as `sshd -D`. */
import assert from "node:assert/strict";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { meshLine } from "../support/mesh.ts";
import { openssh, opensshNewest, peerTest } from "../support/peers.ts";
import { run, succeed } from "../support/process.ts";
import { copyLine, sshLine } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";
import { fileHash, patternHash, writePattern } from "../support/tcp.ts";
import { client, listening, makeScene, throughPipes } from "./sshd_scene.ts";

const need = [openssh];

peerTest(
  "--stdio serves one connection with a host key that stays, and many may run at once",
  need,
  async () => {
    await using scene = await makeScene();
    const { folder } = scene.site;
    const args = ["--stdio", "--state", folder.at("state"), "--authorized-keys", folder.at("authorized")];
    const first = await succeed(throughPipes(scene, args, "echo one"));
    assert.equal(first.text, "one\n");
    const known = folder.read("unseen");
    const more = await Promise.all([2, 3, 4].map((n) => succeed(throughPipes(scene, args, `echo ${n}`))));
    assert.deepEqual(more.map(({ text }) => text), ["2\n", "3\n", "4\n"]);
    assert.equal(folder.read("unseen"), known, "the same host key each time");
    assert.equal(Deno.statSync(folder.at("state")).mode! & 0o777, 0o700);
    assert.equal(Deno.statSync(folder.at("state/agent_host_ed25519_key")).mode! & 0o777, 0o600);
  },
);

peerTest(
  "--stdio with an sshd_config stands in for sshd -i, exit status and signals included",
  need,
  async () => {
    await using scene = await makeScene();
    const args = ["--stdio", "--sshd-config", scene.config("AcceptEnv WORD")];
    const done = await run(throughPipes(scene, args, "cat; exit 3"), { stdin: "in and out" });
    assert.deepEqual([done.text, done.code], ["in and out", 3]);
    assert.equal((await run(throughPipes(scene, args, "kill -9 $$"))).code, 255);
  },
);

for (const peer of [openssh, opensshNewest]) {
  peerTest(`${peer.name} copies both ways with scp and sftp, and runs commands`, [peer], async () => {
    await using scene = await makeScene();
    await using server = await listening(scene);
    const { folder } = scene.site;
    const file = folder.at("pattern");
    writePattern(file, 3_000_000);
    const to = client(scene, server.port);
    const target = `${ownUser}@127.0.0.1:`;
    await succeed(copyLine(peer, "scp", to, file, `${target}${folder.at("copied")}`));
    assert.equal(fileHash(folder.at("copied")), patternHash(3_000_000));
    const batch = folder.write(
      "batch",
      `put ${file} ${folder.at("put")}\nget ${folder.at("put")} ${folder.at("got")}\n`,
    );
    await succeed(copyLine(peer, "sftp", to, "-b", batch, target.slice(0, -1)));
    assert.equal(fileHash(folder.at("got")), patternHash(3_000_000));
    assert.equal((await run(sshLine(peer, to, [], "exit 5"))).code, 5);
  });
}

peerTest("ForceCommand, Banner, AcceptEnv, SetEnv and Match do what they say", need, async () => {
  await using scene = await makeScene();
  const banner = scene.site.folder.write("banner", "authorised people only\n");
  await using server = await listening(
    scene,
    `Banner ${banner}`,
    "AcceptEnv WORD_*",
    "SetEnv FIXED=yes",
    "Match User nobody-here",
    "  ForceCommand false",
    `Match LocalPort 1`,
    "  ForceCommand false",
    `Match User ${ownUser} Address 127.0.0.0/8`,
    "  ForceCommand echo $WORD_A/$OTHER/$FIXED/$SSH_ORIGINAL_COMMAND",
  );
  const options = ["SetEnv=WORD_A=a OTHER=b"];
  const done = await succeed(sshLine(openssh, client(scene, server.port, options), [], "mine"));
  assert.equal(done.text, "a//yes/mine\n");
  assert.match(done.stderr, /authorised people only/);
});

peerTest(
  "who may not log in does not: DenyUsers, PermitRootLogin, revoked keys, other accounts",
  need,
  async () => {
    await using scene = await makeScene();
    const { folder, key } = scene.site;
    const revoked = folder.write("revoked", key.line + "\n");
    const refusals = [
      `DenyUsers ${ownUser}`,
      `RevokedKeys ${revoked}`,
      `RevokedKeys ${folder.at("missing")}`,
    ];
    if (ownUser === "root") refusals.push("PermitRootLogin no", "PermitRootLogin forced-commands-only");
    for (const line of refusals) {
      await using server = await listening(scene, line);
      const done = await run(sshLine(openssh, client(scene, server.port), [], "true"));
      assert.match(done.stderr, /Permission denied \(publickey\)/, line);
    }
    await using server = await listening(scene);
    const other = { ...client(scene, server.port), user: "daemon" };
    assert.match((await run(sshLine(openssh, other, [], "true"))).stderr, /Permission denied/);
  },
);

peerTest("a certificate logs in by TrustedUserCAKeys and AuthorizedPrincipalsFile", need, async () => {
  await using scene = await makeScene();
  const { folder, key } = scene.site;
  const authority = await makeKey(folder, "authority");
  await makeCertificate(authority, key, { role: "user", principals: ["ops"] });
  folder.write("authorized", "");
  const trust = `TrustedUserCAKeys ${authority.publicPath}`;
  {
    // Without a list of principals it is the login name that must be in the certificate.
    await using server = await listening(scene, trust);
    assert.equal((await run(sshLine(openssh, client(scene, server.port), [], "true"))).code, 255);
  }
  const principals = folder.write("principals", '# who\ncommand="echo limited" ops\n');
  await using server = await listening(scene, trust, `AuthorizedPrincipalsFile ${principals}`);
  const done = await run(sshLine(openssh, client(scene, server.port), [], "echo free"));
  assert.equal(done.text, "limited\n");
});

const rootOnly = Deno.uid() === 0 ? "" : " [skipped: the command must belong to root]";

Deno.test({
  name: `keys come from AuthorizedKeysCommand too, with its tokens${rootOnly}`,
  ignore: rootOnly !== "",
  fn: async () => {
    await using scene = await makeScene();
    const { folder, key } = scene.site;
    folder.write("authorized", "");
    const check = `[ "$1" = "${ownUser}" ] && [ "$2" = "${key.fingerprint}" ] && cat ${key.publicPath}`;
    // Everybody may write to the folder above: what lies there could be anybody's.
    const exposed = folder.write("keys.sh", `#!/bin/sh\n${check}\n`, 0o755);
    const rows = [[`/bin/sh -c '${check}' sh`, "in\n"], [exposed, ""]];
    for (const [command, text] of rows) {
      await using server = await listening(
        scene,
        `AuthorizedKeysCommand ${command} %u %f`,
        `AuthorizedKeysCommandUser ${ownUser}`,
      );
      assert.equal((await run(sshLine(openssh, client(scene, server.port), [], "echo in"))).text, text);
    }
  },
});

peerTest("AuthenticationMethods may ask for two keys, and then takes no less", need, async () => {
  await using scene = await makeScene();
  const { folder, key } = scene.site;
  const second = await makeKey(folder, "second");
  folder.write("authorized", `${key.line}\n${second.line}\n`);
  await using server = await listening(scene, "AuthenticationMethods publickey,publickey");
  const both = client(scene, server.port, [`IdentityFile=${second.path}`]);
  assert.equal((await run(sshLine(openssh, both, [], "echo both"))).text, "both\n");
  assert.equal((await run(sshLine(openssh, client(scene, server.port), [], "true"))).code, 255);
});

peerTest(
  "what is wrong with a configuration is said with file and line; a taken port by its name",
  need,
  async () => {
    await using scene = await makeScene();
    const { folder } = scene.site;
    const rows: [string, number, RegExp][] = [
      ["ChrootDirectory /srv", 3, /sshd_config:1: ChrootDirectory \/srv/],
      ["Prot 22", 3, /sshd_config:1: there is no keyword 'Prot'/],
      ["AuthenticationMethods publickey,password", 3, /AuthenticationMethods asks for more than keys/],
      ["HostCertificate /nowhere", 3, /\/nowhere/],
    ];
    for (const [line, code, says] of rows) {
      const done = await run(meshLine("agent", ["--sshd-config", scene.config(line), "--check"]), {
        env: scene.env,
      });
      assert.equal(done.code, code, `${line}: ${done.stderr}`);
      assert.match(done.stderr.trim().split("\n").at(-1)!, says);
    }
    Deno.chmodSync(scene.hostKey.path, 0o644);
    const open = await run(meshLine("agent", ["--sshd-config", scene.config(), "--check"]), {
      env: scene.env,
    });
    assert.equal(open.code, 3);
    assert.match(open.stderr, /others can get at it/);
    Deno.chmodSync(scene.hostKey.path, 0o600);
    await using server = await listening(scene);
    const config = folder.at("sshd_config");
    const taken = await run(meshLine("agent", ["--sshd-config", config]), { env: scene.env });
    assert.equal(taken.code, 5);
    assert.match(taken.stderr, new RegExp(`127.0.0.1:${server.port}: the address is already in use`));
  },
);

peerTest("PidFile says who listens, and goes with it", need, async () => {
  await using scene = await makeScene();
  const path = scene.site.folder.at("pid");
  {
    await using server = await listening(scene, `PidFile ${path}`);
    assert.equal(Deno.readTextFileSync(path), `${server.process.pid}\n`);
    await server.process.stop();
  }
  assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
});
