/** Files that are followed while the gateway runs. */
import assert from "node:assert/strict";
import { systemFiles } from "../../src/deno/files.ts";
import type { GatewayConfig } from "../../src/gateway/config.ts";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { openIdentityServices } from "../../src/gateway/identity_services.ts";
import { type KeyringFiles, loadKeyring } from "../../src/gateway/keyring_files.ts";
import { followFiles } from "../../src/gateway/reload.ts";
import { describeAll, WATCH_INTERVAL } from "../../src/gateway/watch.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { Audit } from "../../src/telemetry/audit.ts";
import { configureLogging } from "../../src/telemetry/log.ts";
import { MemoryState } from "../ca/scene.ts";
import { keyFile } from "../keys/tools.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { temporaryFolder } from "../support/folder.ts";
import { waitUntil } from "../support/wait.ts";
import { testKey } from "./in_memory.ts";

Deno.test("keys that were read anew are told of when they are others, and counted", async () => {
  using folder = temporaryFolder();
  const [ann, bob] = [await testKey("ann"), await testKey("bob")];
  const path = folder.write("keys", `${ann.line}\n`);
  const config = {
    authorizedKeys: [path],
    userCas: [],
    revokedKeys: [],
    trustDomain: "localhost",
    state: "",
  };
  const keys: KeyringFiles = { files: systemFiles, config, home: undefined };
  const clock = new FakeClock();
  const told: string[] = [];
  let applied = 0;
  configureLogging({ format: "text", write: (line) => told.push(line) });
  const following = followFiles({
    files: systemFiles,
    clock,
    config: config as unknown as GatewayConfig,
    keys,
    keyring: await loadKeyring(keys),
    policySeen: new Map(),
    gateway: { apply: () => Promise.resolve(applied++) } as unknown as Gateway,
  });
  try {
    const change = async (text: string) => {
      folder.write("keys", text);
      const before = applied;
      await clock.advance(WATCH_INTERVAL);
      await waitUntil("the change", () => applied > before);
      await settle();
      return told.splice(0).filter((line) => line.includes("read anew")).map((line) =>
        line.replace(/.*(?=keys)/s, "").trim()
      );
    };
    assert.deepEqual(await change(`${ann.line}\n\n`), []);
    assert.match((await change(`${ann.line}\n${bob.line}\n`))[0], /^keys were read anew: 2 are known/);
    assert.match((await change(`${bob.line}\n# alone\n`))[0], /^keys were read anew: 1 is known/);
  } finally {
    following.stop();
    configureLogging({ format: "text", write: () => {} });
  }
});

Deno.test("roots are followed in the files where they are now", async () => {
  using folder = temporaryFolder();
  Deno.mkdirSync(folder.at("roots"));
  folder.write("roots/id_ed25519", await keyFile("ed25519"));
  const clock = new FakeClock();
  const store = openMemoryStore();
  const services = await openIdentityServices({
    config: {
      ca: { keys: [{ kind: "user", path: folder.at("roots") }], profiles: [] },
      domain: "localhost",
      trustDomain: "localhost",
    },
    trustDomains: [],
    state: new MemoryState() as never,
    store,
    files: systemFiles,
    https: () => assert.fail("nobody is asked"),
    clock,
    audit: new Audit({ clock, write: () => {} }),
    hostKeys: [],
  });
  try {
    const { rootFiles } = services;
    assert.deepEqual([...rootFiles!.seen.keys()], [folder.at("roots"), folder.at("roots/id_ed25519")]);
    folder.write("roots/ca_user", await keyFile("ecdsa256"));
    const seen = await rootFiles!.reload();
    assert.ok(seen.has(folder.at("roots/ca_user")));
    assert.deepEqual(await describeAll(systemFiles, [...seen.keys()]), seen);
  } finally {
    services.close();
    await store.close();
  }
});
