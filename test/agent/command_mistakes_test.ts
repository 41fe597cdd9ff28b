/** What is wrong with how the agent was started: one sentence, and an exit code of its own. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { meshLine } from "../support/mesh.ts";
import { peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";
import { freePort } from "../support/tcp.ts";
import { makeScene, need, type Scene, sentence } from "./command_scene.ts";

interface Mistake {
  readonly what: string;
  readonly code: number;
  readonly says: RegExp;
  /** More lines for the gateway's configuration. */
  readonly config?: readonly string[];
  /** More arguments; those of the scene come first, and the last of a flag wins where it stands once. */
  args(scene: Scene): string[] | Promise<string[]>;
}

const MISTAKES: readonly Mistake[] = [
  { what: "an unknown flag", code: 2, says: /unknown option '--nmae'/, args: () => ["--nmae", "x"] },
  {
    what: "a key that is not there",
    code: 3,
    says: /private key .*missing cannot be read: there is no such file/,
    args: ({ site }) => ["--identity", site.folder.at("missing")],
  },
  {
    what: "a key that others can read",
    code: 3,
    says: /has mode 0644, others can get at it/,
    args: ({ site, identity }) => [
      "--identity",
      site.folder.write("open-key", Deno.readTextFileSync(identity.path), 0o644),
    ],
  },
  {
    what: "a key with a passphrase",
    code: 3,
    says: /it has a passphrase/,
    args: async ({ site }) => [
      "--identity",
      (await makeKey(site.folder, "locked", "ed25519", { passphrase: "secret" })).path,
    ],
  },
  {
    what: "a file of keys that is not there",
    code: 3,
    says: /authorized keys .*nowhere cannot be read/,
    args: ({ site }) => ["--authorized-keys", site.folder.at("nowhere")],
  },
  {
    what: "a state folder that others can enter",
    code: 4,
    says: /has mode 0755/,
    args({ site }) {
      const path = site.folder.at("open-state");
      Deno.mkdirSync(path, { mode: 0o755 });
      Deno.chmodSync(path, 0o755);
      return ["--state", path];
    },
  },
  {
    what: "a forward whose port is taken",
    code: 5,
    says: /the address is already in use/,
    args: ({ gateway }) => ["-L", `${gateway.port}:node:22`],
  },
  {
    what: "a gateway that does not exist",
    code: 7,
    says: /there is no gateway nowhere\.invalid/,
    args: () => ["--gateway", "nowhere.invalid:15022"],
  },
  {
    what: "a gateway that is not in known_hosts",
    code: 7,
    says: /is not in .*: its host key is SHA256:/,
    args: ({ site }) => ["--known-hosts", site.folder.write("empty", "")],
  },
  {
    what: "a gateway with another key than the one that was named",
    code: 8,
    says: /not the one that --gateway-key names/,
    args: ({ identity }) => ["--gateway-key", identity.fingerprint],
  },
  {
    what: "a key that the gateway does not know",
    code: 9,
    says: /does not accept the key SHA256:/,
    args: async ({ site }) => ["--identity", (await makeKey(site.folder, "unknown")).path],
  },
  {
    what: "a port that the gateway does not give",
    code: 10,
    says: /refuses to register port \d+/,
    config: ["PermitListen none"],
    args: () => ["--expose", `${freePort()}:ssh`],
  },
  {
    what: "a command that does not exist",
    code: 127,
    says: /'no-such-command' did not start/,
    args: () => ["--", "no-such-command"],
  },
];

for (const { what, code, says, config, args } of MISTAKES) {
  peerTest(`${what}: one sentence and exit code ${code}`, need, async () => {
    await using scene = await makeScene(config);
    const own = await args(scene);
    // A gateway or a key of the mistake's own takes the place of the scene's.
    const kept = own.includes("--gateway") || own.includes("--identity")
      ? without(scene.args, own.includes("--gateway") ? "--gateway" : "--identity")
      : scene.args;
    const done = await run(meshLine("agent", [...kept, ...own]), { env: scene.env });
    assert.equal(done.code, code, done.stderr);
    assert.match(sentence(done), says);
  });
}

function without(args: readonly string[], flag: string): string[] {
  const at = args.indexOf(flag);
  return [...args.slice(0, at), ...args.slice(at + 2)];
}

peerTest("--check reads everything, dials nobody, and ends with 0 or with what is wrong", need, async () => {
  await using scene = await makeScene();
  const nobody = ["--gateway", `127.0.0.1:${freePort()}`, ...without(scene.args, "--gateway"), "--check"];
  const good = await run(meshLine("agent", nobody), { env: scene.env });
  assert.equal(good.code, 0, good.stderr);
  const bad = await run(
    meshLine("agent", [...nobody, "--trust-user-ca", "/nowhere", "--allow-principal", "x"]),
    {
      env: scene.env,
    },
  );
  assert.equal(bad.code, 3);
});
