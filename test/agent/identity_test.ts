import assert from "node:assert/strict";
import type { AgentEvent } from "../../src/agent/events.ts";
import { loadIdentities } from "../../src/agent/identity.ts";
import { readLoginFiles } from "../../src/agent/login_files.ts";
import { OwnHostKey } from "../../src/agent/own_host_key.ts";
import { systemFiles } from "../../src/deno/files.ts";
import { openStateFolder } from "../../src/deno/state.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { makeCertificate, makeKey } from "../support/keygen.ts";

/** A home with `.ssh` and a state folder. */
async function scene(use: (folder: Folder, load: Loader) => Promise<void>): Promise<void> {
  using folder = temporaryFolder();
  Deno.mkdirSync(folder.at(".ssh"), { mode: 0o700 });
  const state = await openStateFolder(folder.at("state"), "lock");
  try {
    await use(folder, async (path) => {
      const events: AgentEvent[] = [];
      const log = (event: AgentEvent) => void events.push(event);
      const signers = await loadIdentities({ files: systemFiles, path, home: folder.path, state, log });
      return {
        signers,
        events,
        fingerprints: await Promise.all(signers.map((s) => s.publicKey.fingerprint())),
      };
    });
  } finally {
    state.close();
  }
}

type Loader = (path?: string) => Promise<{
  signers: Awaited<ReturnType<typeof loadIdentities>>;
  events: AgentEvent[];
  fingerprints: string[];
}>;

Deno.test("all usable keys of the user are offered, ed25519 first; others are told of", async () => {
  await scene(async (folder, load) => {
    const rsa = await makeKey(folder, ".ssh/id_rsa", "rsa-2048");
    const ed25519 = await makeKey(folder, ".ssh/id_ed25519");
    await makeKey(folder, ".ssh/id_ecdsa", "ecdsa-256", { passphrase: "secret" });
    const { fingerprints, events } = await load();
    assert.deepEqual(fingerprints, [ed25519.fingerprint, rsa.fingerprint]);
    assert.equal(events.length, 1);
    assert.match(JSON.stringify(events[0]), /passphrase.*it is not used/);
  });
});

Deno.test("a key of the user's that is open to others ends it, where there is no other: none is made", async () => {
  await scene(async (folder, load) => {
    const key = await makeKey(folder, ".ssh/id_ed25519");
    Deno.chmodSync(folder.at(".ssh/id_ed25519"), 0o644);
    await assert.rejects(load(), { reason: "files", message: /mode 0644.*chmod 600/ });
    const other = await makeKey(folder, ".ssh/id_rsa", "rsa-2048");
    const { fingerprints, events } = await load();
    assert.deepEqual(fingerprints, [other.fingerprint]);
    assert.match(JSON.stringify(events), /mode 0644.*it is not used/);
    Deno.chmodSync(folder.at(".ssh/id_ed25519"), 0o600);
    assert.deepEqual((await load()).fingerprints, [key.fingerprint, other.fingerprint]);
  });
});

Deno.test("a key that nobody named is shown by itself, and then with its certificate", async () => {
  await scene(async (folder, load) => {
    const key = await makeKey(folder, ".ssh/id_ed25519");
    const authority = await makeKey(folder, "ca");
    await makeCertificate(authority, key, { role: "user", principals: ["a"] });
    const { fingerprints, signers } = await load();
    assert.deepEqual(fingerprints, [key.fingerprint, key.fingerprint]);
    assert.deepEqual(signers.map(({ certificate }) => certificate !== undefined), [false, true]);
  });
});

Deno.test("without any the agent has a key of its own, which stays, and says it once", async () => {
  await scene(async (folder, load) => {
    const first = await load();
    assert.match(JSON.stringify(first.events), /made a key.*ssh-ed25519 AAAA/);
    const second = await load();
    assert.deepEqual([second.fingerprints, second.events], [first.fingerprints, []]);
    assert.equal(Deno.statSync(folder.at("state/agent_id_ed25519")).mode! & 0o777, 0o600);
  });
});

for (const suffix of ["-cert.pub", "_cert.pub"]) {
  Deno.test(`the certificate beside a key is used: id_x${suffix}, read anew each time`, async () => {
    await scene(async (folder, load) => {
      const key = await makeKey(folder, "id_x");
      const authority = await makeKey(folder, "ca");
      assert.equal((await load(key.path)).signers[0].certificate, undefined);
      const made = await makeCertificate(authority, key, { role: "user", principals: ["a"] });
      if (suffix !== "-cert.pub") Deno.renameSync(made, key.path + suffix);
      assert.ok((await load(key.path)).signers[0].certificate);
      const other = await makeKey(folder, "other");
      Deno.renameSync(
        await makeCertificate(authority, other, { role: "user", principals: ["a"] }),
        key.path + suffix,
      );
      // What cannot be used costs the certificate and not the key, however it came about.
      for (
        const [content, reason] of [[undefined, /belongs to another key/], [
          "",
          /not a public key line/,
        ]] as const
      ) {
        if (content !== undefined) Deno.writeTextFileSync(key.path + suffix, content);
        const { signers: [signer], events } = await load(key.path);
        assert.equal(signer.certificate, undefined);
        assert.match(JSON.stringify(events), reason);
        assert.match(JSON.stringify(events), /the key is used without this certificate/);
      }
    });
  });
}

Deno.test("the built-in server's host key stays, and brings its certificate", async () => {
  using folder = temporaryFolder();
  const state = await openStateFolder(folder.at("state"), "lock");
  try {
    const first = await OwnHostKey.load(state);
    const again = await OwnHostKey.load(state);
    assert.equal(await again.key.publicKey.fingerprint(), await first.key.publicKey.fingerprint());
    const path = folder.at("state/agent_host_ed25519_key");
    Deno.chmodSync(path, 0o640);
    await assert.rejects(OwnHostKey.load(state), { code: "too-open" });
  } finally {
    state.close();
  }
});

Deno.test("without --authorized-keys the user's own keys and unrestricted lines log in, and nothing else", async () => {
  using folder = temporaryFolder();
  Deno.mkdirSync(folder.at(".ssh"), { mode: 0o700 });
  const mine = await makeKey(folder, ".ssh/id_work");
  const orphan = await makeKey(folder, ".ssh/id_gone");
  Deno.removeSync(orphan.path);
  const friend = await makeKey(folder, "friend");
  const limited = await makeKey(folder, "limited");
  const ca = await makeKey(folder, "ca");
  folder.write(
    ".ssh/authorized_keys",
    `${friend.line}\nrestrict ${limited.line}\ncert-authority ${ca.line}\nnonsense\n`,
  );
  const config = { authorizedLines: [], userCas: [], principals: [], home: folder.path };
  const events: AgentEvent[] = [];
  const { keys } = await readLoginFiles(config, systemFiles, (event) => void events.push(event));
  const found = await Promise.all(keys.map(({ key }) => key.fingerprint()));
  assert.deepEqual(found.sort(), [mine.fingerprint, friend.fingerprint].sort());
  assert.match(JSON.stringify(events), /authorized_keys:4/);
});

Deno.test("named files count as they are, and the user's own are left alone", async () => {
  using folder = temporaryFolder();
  Deno.mkdirSync(folder.at(".ssh"), { mode: 0o700 });
  await makeKey(folder, ".ssh/id_ed25519");
  const limited = await makeKey(folder, "limited");
  const fromEnvironment = await makeKey(folder, "variable");
  const ca = await makeKey(folder, "ca");
  const files = await readLoginFiles(
    {
      authorizedKeys: [folder.write("keys", `restrict ${limited.line}\n`)],
      authorizedLines: [fromEnvironment.line],
      userCas: ["gateway", ca.publicPath],
      principals: [],
      home: folder.path,
    },
    systemFiles,
    () => {},
  );
  const found = await Promise.all(files.keys.map(({ key }) => key.fingerprint()));
  assert.deepEqual(found, [fromEnvironment.fingerprint, limited.fingerprint]);
  assert.deepEqual(await Promise.all(files.authorities.map((key) => key.fingerprint())), [ca.fingerprint]);
});

Deno.test("what others can write to lets nobody in", async () => {
  using folder = temporaryFolder();
  Deno.mkdirSync(folder.at(".ssh"), { mode: 0o700 });
  const friend = await makeKey(folder, "friend");
  const authorizedKeys = folder.write(".ssh/authorized_keys", friend.line);
  const config = { authorizedLines: [], userCas: [], principals: [], home: folder.path };
  const warnings: AgentEvent[] = [];
  const count = async () =>
    (await readLoginFiles(config, systemFiles, (event) => void warnings.push(event))).keys.length;
  Deno.chmodSync(authorizedKeys, 0o644);
  assert.equal(await count(), 1);
  Deno.chmodSync(authorizedKeys, 0o664);
  assert.equal(await count(), 0);
  Deno.chmodSync(authorizedKeys, 0o644);
  Deno.chmodSync(folder.at(".ssh"), 0o777);
  assert.equal(await count(), 0);
  assert.match(JSON.stringify(warnings), /authorized_keys counts for nothing.*\.ssh counts for nothing/s);

  const named = folder.write("keys", friend.line);
  Deno.chmodSync(named, 0o666);
  const rejected = readLoginFiles({ ...config, authorizedKeys: [named] }, systemFiles, () => {});
  await assert.rejects(rejected, /everybody can write to it/);
});
