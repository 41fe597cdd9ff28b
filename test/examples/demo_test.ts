import assert from "node:assert/strict";
import { temporaryFolder } from "../support/folder.ts";
import { meshEnvironment } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";

const demo = [Deno.execPath(), "run", "-A", new URL("../../examples/demo.ts", import.meta.url).pathname];

peerTest("the demo lands in an agent through a gateway, says how, ends by itself and leaves nothing", [
  openssh,
], async () => {
  using folder = temporaryFolder();
  const env = { ...meshEnvironment(folder.path), TMPDIR: folder.path };
  const { code, text, stderr } = await run(demo, { env, within: 60_000 });
  assert.equal(code, 0, text + stderr);
  assert.match(text, /^ {2}\$ ssh -F \S+ -J 127\.0\.0\.1:\d+ demo .*\n {2}Hello from \S+, as \S+$/m);
  const [record] = /^ {2}(\{.*\})$/m.exec(text) ?? [];
  assert.equal(JSON.parse(record!).target, "demo:22");
  assert.deepEqual(
    [...Deno.readDirSync(folder.path)].filter(({ name }) => name.startsWith("ssh-mesh-demo")),
    [],
  );
});

Deno.test("without ssh the demo says what it needs", async () => {
  using folder = temporaryFolder();
  const { code, stderr } = await run(demo, { env: { ...meshEnvironment(folder.path), PATH: folder.path } });
  assert.equal(code, 1);
  assert.match(stderr, /^The demo needs OpenSSH's client, and there is no 'ssh' in PATH/);
});
