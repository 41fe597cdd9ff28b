import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { systemFiles } from "../../src/deno/files.ts";
import { checkStateFolder, openStateFolder } from "../../src/deno/state.ts";
import { StartError } from "../../src/gateway/exit_codes.ts";
import { keptKey, loadHostKeys } from "../../src/gateway/host_keys.ts";
import { ownerKeys } from "../../src/gateway/keyring.ts";
import { type KeyringConfig, loadKeyring } from "../../src/gateway/keyring_files.ts";
import { loadPolicy } from "../../src/gateway/policy_file.ts";
import { describeAll, WATCH_INTERVAL, watchFiles } from "../../src/gateway/watch.ts";
import { FilesError } from "../../src/platform/files.ts";
import { StateError } from "../../src/platform/state.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { waitUntil } from "../support/wait.ts";
import { testKey } from "./in_memory.ts";

const ann = await testKey("ann");
const bob = await testKey("bob");
const eve = await testKey("eve");

async function load(folder: Folder, config: Partial<KeyringConfig> = {}) {
  const whole = {
    userCas: [],
    revokedKeys: [],
    trustDomain: "localhost",
    state: folder.at("state"),
    ...config,
  };
  const { keyring, warnings, seen } = await loadKeyring({
    files: systemFiles,
    config: whole,
    home: folder.path,
  });
  return {
    keyring,
    warnings,
    paths: [...seen.keys()],
    owners: ownerKeys(keyring).map(({ entry }) => entry.comment),
  };
}

function withSsh(): Folder {
  const folder = temporaryFolder();
  Deno.mkdirSync(folder.at(".ssh"), { mode: 0o700 });
  return folder;
}

// -- owners ----------------------------------------------------------------------------------------------------------

Deno.test("owners are keys whose private half lies beside them, and unrestricted lines", async () => {
  using folder = withSsh();
  folder.write(".ssh/id_ann.pub", ann.line);
  folder.write(".ssh/id_ann", ann.key.format());
  folder.write(".ssh/colleague.pub", eve.line);
  folder.write(".ssh/authorized_keys", `# keys\n${bob.line}\nrestrict ${eve.line}\n`);
  const { owners, keyring } = await load(folder);
  assert.deepEqual(owners, ["ann", "bob"]);
  assert.equal(keyring.known.find(({ entry }) => entry.comment === "eve")!.owner, false);
});

for (
  const options of ["restrict", 'from="10.0.0.1"', 'expiry-time="20990101"', 'command="x"', "cert-authority"]
) {
  Deno.test(`a line of ~/.ssh/authorized_keys with ${options} makes no owner`, async () => {
    using folder = withSsh();
    folder.write(".ssh/authorized_keys", `${options} ${ann.line}\n`);
    assert.deepEqual((await load(folder)).owners, []);
  });
}

Deno.test("what others can write to makes nobody an owner", async () => {
  using folder = withSsh();
  folder.write(".ssh/authorized_keys", ann.line, 0o664);
  const { owners, warnings } = await load(folder);
  assert.deepEqual(owners, []);
  assert.match(warnings[0], /authorized_keys counts for nothing: others can write to it/);
  Deno.chmodSync(folder.at(".ssh/authorized_keys"), 0o644);
  assert.deepEqual((await load(folder)).owners, ["ann"]);
  Deno.chmodSync(folder.at(".ssh"), 0o777);
  assert.deepEqual((await load(folder)).owners, []);
});

Deno.test("configured files take the place of the user's, and their authorities make no owners", async () => {
  using folder = withSsh();
  folder.write(".ssh/authorized_keys", bob.line);
  folder.write("owners", `restrict,port-forwarding ${ann.line}\ncert-authority ${eve.line}\n`);
  const { owners, keyring } = await load(folder, { authorizedKeys: [folder.at("owners")] });
  assert.deepEqual(owners, ["ann"]);
  assert.equal(keyring.known.length, 2);
});

Deno.test("a line that is wrong grants nothing and is told of with its place", async () => {
  using folder = withSsh();
  folder.write("owners", `${ann.line}\nno-such-option ${bob.line}\n`);
  const { owners, warnings } = await load(folder, { authorizedKeys: [folder.at("owners")] });
  assert.deepEqual(owners, ["ann"]);
  assert.match(warnings[0], /owners:2 grants nothing: /);
});

Deno.test("a configured file that is missing or no folder's worth is one sentence", async () => {
  using folder = withSsh();
  const missing = { authorizedKeys: [folder.at("nowhere")] };
  await assert.rejects(
    load(folder, missing),
    (error) => error instanceof StartError && error.reason === "files",
  );
  folder.write("empty", "\n");
  await assert.rejects(load(folder, { userCas: [{ file: folder.at("empty") }] }), /holds no public key/);
  folder.write("krl", "not a list");
  await assert.rejects(load(folder, { revokedKeys: [folder.at("krl")] }), /krl cannot be used/);
});

Deno.test("a revoked key counts nowhere", async () => {
  using folder = withSsh();
  folder.write("owners", `${ann.line}\n${bob.line}\n`);
  folder.write("revoked", `${bob.line}\n`);
  const { keyring } = await load(folder, {
    authorizedKeys: [folder.at("owners")],
    revokedKeys: [folder.at("revoked")],
  });
  assert.equal(await keyring.isRevoked({ key: ann.key.publicKey }), false);
  assert.equal(await keyring.isRevoked({ key: bob.key.publicKey }), true);
});

Deno.test("a list of revoked keys that breaks still revokes what it did, and keeps nobody else in", async () => {
  using folder = withSsh();
  const owners = folder.write("owners", `${ann.line}\n${bob.line}\n${eve.line}\n`);
  const revoked = folder.write("revoked", `${bob.line}\n`);
  const config = { userCas: [], trustDomain: "localhost", state: folder.at("state") };
  const sources = {
    files: systemFiles,
    config: { ...config, authorizedKeys: [owners], revokedKeys: [revoked] },
    home: undefined,
  };
  let loaded = await loadKeyring(sources);
  folder.write("owners", `${ann.line}\n${bob.line}\n`);
  for (
    const breakIt of [() => folder.write("revoked", "SSHKRL\n\0garbage"), () => Deno.removeSync(revoked)]
  ) {
    breakIt();
    await assert.rejects(loadKeyring(sources), /cannot be used/, "at the start");
    loaded = await loadKeyring(sources, loaded);
    assert.equal(await loaded.keyring.isRevoked({ key: bob.key.publicKey }), true);
    assert.equal(loaded.keyring.known.length, 2, "eve has gone");
    assert.match(loaded.warnings.join(), /revokes what it did before/);
  }
});

Deno.test("trusted user CAs may have a trust domain, and make no owners", async () => {
  using folder = withSsh();
  folder.write("ca.pub", eve.line);
  const { keyring, owners } = await load(folder, {
    authorizedKeys: [],
    userCas: [{ file: folder.at("ca.pub"), trustDomain: "prod.example" }],
  });
  assert.deepEqual(owners, []);
  assert.deepEqual(keyring.trustDomains, ["localhost", "prod.example"]);
  assert.equal(keyring.known[0].entry.authority, true);
});

// -- state -----------------------------------------------------------------------------------------------------------

Deno.test("the state folder is made private, its files too, and is one process's", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("a/b"), "lock");
  const key = await keptKey(state, "host", "test");
  assert.equal(Deno.statSync(folder.at("a/b")).mode! & 0o777, 0o700);
  assert.equal(Deno.statSync(folder.at("a/b/host")).mode! & 0o777, 0o600);
  const again = await keptKey(state, "host", "test");
  assert.equal(await again.publicKey.fingerprint(), await key.publicKey.fingerprint());
  await assert.rejects(openStateFolder(folder.at("a/b"), "lock"), (error) => {
    return error instanceof StateError && error.code === "in-use";
  });
  state.close();
  (await openStateFolder(folder.at("a/b"), "lock")).close();
});

Deno.test("a state folder or key that others can open is refused with what to do", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  await keptKey(state, "host", "test");
  Deno.chmodSync(folder.at("state/host"), 0o640);
  await assert.rejects(keptKey(state, "host", "test"), /host has mode 0640, others get in: .*chmod 0600/);
  state.close();
  Deno.chmodSync(folder.at("state"), 0o755);
  await assert.rejects(openStateFolder(folder.at("state"), "lock"), /mode 0755, .*chmod 0700/);
  await assert.rejects(checkStateFolder(folder.at("state")), /mode 0755/);
  await checkStateFolder(folder.at("not there yet"));
});

Deno.test("a draft that a killed process left is no obstacle, and no file", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  folder.write("state/thing.new", "half");
  assert.equal(await state.read("thing"), undefined);
  await state.write("thing", encodeText("whole"));
  assert.equal(folder.read("state/thing"), "whole");
  state.close();
});

Deno.test("a journal keeps lines in order, goes on where it stopped, and sets full files aside", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  const limits = { maxBytes: 100, keep: 2 };
  for (const round of [0, 1]) {
    const journal = await state.openJournal("log", limits);
    for (let i = 0; i < 20; i++) {
      journal.append(`line ${round}-${i}`);
      if (i % 5 === 0) await journal.flush();
    }
    await journal.close();
    journal.append("too late");
  }
  const lines = ["log.2", "log.1", "log"].flatMap((name) =>
    folder.read(`state/${name}`).trimEnd().split("\n")
  );
  assert.equal(lines.at(-1), "line 1-19");
  assert.deepEqual(lines, [...lines].sort((a, b) => key(a) - key(b)));
  assert.equal(Deno.statSync(folder.at("state/log")).mode! & 0o777, 0o600);
  assert.throws(() => folder.read("state/log.3"));
  state.close();
});

Deno.test("a line that a killed process left unfinished does not spoil the next one", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  folder.write("state/log", '{"event":"flow"}\n{"event":"fl', 0o600);
  for (const line of ["one", "two"]) {
    const journal = await state.openJournal("log", { maxBytes: 1000, keep: 1 });
    journal.append(line);
    await journal.close();
  }
  assert.deepEqual(folder.read("state/log").split("\n"), [
    '{"event":"flow"}',
    '{"event":"fl',
    "one",
    "two",
    "",
  ]);
  state.close();
});

function key(line: string): number {
  const [round, number] = line.slice("line ".length).split("-").map(Number);
  return round * 1000 + number;
}

// -- keys and policy -------------------------------------------------------------------------------------------------

Deno.test("host keys come from the files that are named, and must be private", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  const path = folder.write("hostkey", ann.key.format());
  const [key] = await loadHostKeys(systemFiles, state, [path]);
  assert.equal(await key.publicKey.fingerprint(), ann.fingerprint);
  Deno.chmodSync(path, 0o644);
  await assert.rejects(loadHostKeys(systemFiles, state, [path]), /mode 0644: others can read it; chmod 0600/);
  folder.write("hostkey", "garbage");
  Deno.chmodSync(path, 0o600);
  await assert.rejects(loadHostKeys(systemFiles, state, [path]), /cannot be used as a private key/);
  await assert.rejects(loadHostKeys(systemFiles, state, [folder.at("none")]), /cannot be read/);
  state.close();
});

Deno.test("a policy with mistakes says where each is", async () => {
  using folder = temporaryFolder();
  const path = folder.write("policy.yaml", "rules:\n  - { who: anyone, may: [conect] }\n");
  const owners = { dial: [], listen: [] };
  await assert.rejects(loadPolicy(systemFiles, path, owners), /policy\.yaml:2:\d+: .*did you mean 'connect'/);
  await assert.rejects(loadPolicy(systemFiles, folder.at("none"), owners), /cannot be read/);
  assert.deepEqual((await loadPolicy(systemFiles, undefined, owners)).rules, []);
});

// -- watching --------------------------------------------------------------------------------------------------------

Deno.test("a file that changes, comes or goes is noticed at the next look, once", async () => {
  using folder = temporaryFolder();
  const clock = new FakeClock();
  const path = folder.write("watched", "one");
  let changes = 0;
  const seen = await describeAll(systemFiles, [path, folder.at("later")]);
  const watch = watchFiles(systemFiles, clock, seen, () => {
    changes++;
    return Promise.resolve("settled");
  });
  const look = async (expected: number) => {
    await waitUntil("the look to be scheduled", () => clock.pending === 1);
    await clock.advance(WATCH_INTERVAL);
    await waitUntil("the look to be over", () => clock.pending === 1);
    assert.equal(changes, expected);
  };
  await look(0);
  folder.write("watched", "longer");
  await look(1);
  await look(1);
  folder.write("later", "");
  await look(2);
  Deno.removeSync(path);
  await look(3);
  watch.stop();
  assert.equal(clock.pending, 0);
});

Deno.test("a change while files are being read is noticed afterwards", async () => {
  using folder = withSsh();
  const path = folder.write("owners", `${ann.line}\n`);
  let changed = false;
  const files = {
    ...systemFiles,
    async open(...args: Parameters<typeof systemFiles.open>) {
      const file = await systemFiles.open(...args);
      if (changed) return file;
      changed = true;
      // Somebody takes the key out just after it was read.
      const close = file.close.bind(file);
      file.close = async () => {
        await close();
        folder.write("owners", "");
      };
      return file;
    },
  };
  const config = { userCas: [], revokedKeys: [], trustDomain: "localhost", state: folder.at("state") };
  const sources = { files, config: { ...config, authorizedKeys: [path] }, home: undefined };
  const loaded = await loadKeyring(sources);
  assert.equal(loaded.keyring.known.length, 1);
  const clock = new FakeClock();
  let known: number | undefined;
  const watch = watchFiles(files, clock, loaded.seen, async () => {
    known = (await loadKeyring(sources)).keyring.known.length;
    return "settled";
  });
  await clock.advance(WATCH_INTERVAL);
  await waitUntil("the look to be over", () => clock.pending === 1);
  watch.stop();
  assert.equal(known, 0);
});

Deno.test("files that could not be read are tried again at every look", async () => {
  using folder = temporaryFolder();
  const clock = new FakeClock();
  const seen = await describeAll(systemFiles, [folder.at("later")]);
  const outcomes = ["again", "again", "settled"] as const;
  let tries = 0;
  const watch = watchFiles(systemFiles, clock, seen, () => Promise.resolve(outcomes[tries++]));
  folder.write("later", "");
  for (let look = 0; look < 5; look++) {
    await clock.advance(WATCH_INTERVAL);
    await waitUntil("the look to be over", () => clock.pending === 1);
  }
  watch.stop();
  assert.equal(tries, 3);
});

Deno.test("want of file descriptors takes nobody's rights away", async () => {
  using folder = withSsh();
  folder.write(".ssh/id_ed25519", "");
  folder.write(".ssh/id_ed25519.pub", `${ann.line}\n`);
  const starved = {
    ...systemFiles,
    open: () => Promise.reject(new FilesError("too-many-open", "too many open files")),
    list: () => Promise.reject(new FilesError("too-many-open", "too many open files")),
  };
  const config = { userCas: [], revokedKeys: [], trustDomain: "localhost", state: folder.at("state") };
  for (const files of [{ ...systemFiles, open: starved.open }, { ...systemFiles, list: starved.list }]) {
    await assert.rejects(loadKeyring({ files, config, home: folder.path }), /too many open files/);
  }
});

Deno.test("what everybody can write to says neither who is known nor who may what", async () => {
  using folder = withSsh();
  const keys = folder.write("owners", `${ann.line}\n`);
  const policy = folder.write("policy.yaml", "rules: []\n");
  for (const path of [keys, policy]) Deno.chmodSync(path, 0o666);
  await assert.rejects(load(folder, { authorizedKeys: [keys] }), /everybody can write to it/);
  await assert.rejects(load(folder, { userCas: [{ file: keys }] }), /everybody can write to it/);
  await assert.rejects(
    loadPolicy(systemFiles, policy, { dial: [], listen: [] }),
    /everybody can write to it/,
  );
});
