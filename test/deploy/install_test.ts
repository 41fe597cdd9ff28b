import assert from "node:assert/strict";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { type KeyFile, makeKey } from "../support/keygen.ts";
import { MeshCommand, meshEnvironment } from "../support/mesh.ts";
import { run, start, succeed } from "../support/process.ts";

const project = new URL("../../", import.meta.url).pathname;

/** What compiling may take, in milliseconds, where there is a base executable: three times a hundred megabytes. */
const COMPILE_PATIENCE = 300_000;

function script(name: string, ...args: string[]): string[] {
  return [
    Deno.execPath(),
    "run",
    "-A",
    "--config",
    `${project}deno.json`,
    `${project}deploy/${name}.ts`,
    ...args,
  ];
}

/** Environment in which there is no `deno`, and things are installed under `folder`. */
function environment(folder: Folder): Record<string, string> {
  const path = `${folder.at("root/bin")}:/usr/bin:/bin`;
  return { ...meshEnvironment(folder.path), DENO_INSTALL_ROOT: folder.at("root"), PATH: path };
}

Deno.test("install puts four commands under DENO_INSTALL_ROOT that work together with the permissions they get", async () => {
  using folder = temporaryFolder();
  const env = environment(folder);
  const { text } = await succeed(script("install"), { env });
  assert.equal(
    text,
    `Installed in ${folder.path}/root/bin: ssh-mesh-gateway, ssh-mesh-ca, ssh-mesh-agent, sshm\n`,
  );
  const installed = (name: string) => folder.at(`root/bin/${name}`);
  const key: KeyFile = await makeKey(folder, "user");
  const flags = [
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--state",
    folder.at("gateway"),
    "--log",
    "json",
  ];
  await using gateway = new MeshCommand(
    start([installed("ssh-mesh-gateway"), ...flags, "--authorized-keys", key.publicPath], { env }),
  );
  const { listen, fingerprint } = await gateway.event("ready") as {
    event: string;
    listen: string;
    fingerprint: string;
  };
  const at = ["--gateway", listen, "--gateway-key", fingerprint, "--identity", key.path];
  await using agent = new MeshCommand(
    start([
      installed("ssh-mesh-agent"),
      ...at,
      "--name",
      "web",
      "--state",
      folder.at("agent"),
      "--log",
      "json",
    ], { env }),
  );
  await agent.event("ready");
  const nodes = await succeed([installed("sshm"), ...at, "node", "ls"], { env });
  assert.match(nodes.text, /^web\.localhost {2}22 /);
  const certified = await succeed([installed("sshm"), ...at, "cert", "--json"], { env });
  assert.equal(JSON.parse(certified.text).valid, true);
  const prompt = ["(ann@127.0.0.1) Token, or its first part ending in +: "];
  const asked = await succeed([installed("sshm"), ...prompt], {
    env: { ...env, SSHM_GATEWAY: listen, SSHM_TOKEN_COMMAND: "echo a.b.c" },
  });
  assert.equal(asked.text, "a.b.c\n");
  const authority = ["--state", folder.at("ca"), "--listen", "127.0.0.1:0", "--log", "json"];
  await using ca = new MeshCommand(start([installed("ssh-mesh-ca"), ...authority], { env }));
  await ca.event("ready");
});

Deno.test("install keeps the Deno of an npx cache, which may be cleaned, and says what is missing in PATH", async () => {
  using folder = temporaryFolder();
  const cache = folder.at("cache/_npx/1/node_modules");
  await Deno.mkdir(cache, { recursive: true });
  await Deno.copyFile(Deno.execPath(), `${cache}/deno`);
  const [, ...rest] = script("install");
  const env = { ...environment(folder), PATH: "/usr/bin:/bin" };
  for (const _ of ["first", "again"]) {
    const { text } = await succeed([`${cache}/deno`, ...rest], { env });
    assert.match(text, new RegExp(`^Add it to PATH: {2}export PATH="${folder.path}/root/bin:\\$PATH"$`, "m"));
  }
  await Deno.remove(cache, { recursive: true });
  const shown = await succeed([folder.at("root/bin/sshm"), "--version"], { env });
  assert.match(shown.text, /^SshMesh/);
  const left = [...Deno.readDirSync(folder.at("root/bin"))].map(({ name }) => name).filter((name) =>
    /deno/.test(name)
  );
  assert.deepEqual(left, ["ssh-mesh-deno"]);
});

Deno.test("compile makes executables, or says in a sentence why it cannot and checks every module", async () => {
  using folder = temporaryFolder();
  const env = meshEnvironment(folder.path);
  const { code, text, stderr } = await run(script("compile", folder.at("dist")), {
    env,
    within: COMPILE_PATIENCE,
  });
  assert.equal(code, 0, stderr);
  if (/^No executable was made: .*denort.*$/m.test(text)) {
    assert.match(
      text,
      /^Every module of cmd\/gateway\.ts, cmd\/ca\.ts, cmd\/agent\.ts, cmd\/sshm\.ts is there and type-checks\.$/m,
    );
    return;
  }
  const shown = await succeed([folder.at("dist/sshm"), "policy", "schema", "--json"], { env });
  assert.equal(JSON.parse(shown.text).title, "ssh-mesh policy");
});
