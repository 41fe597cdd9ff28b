/** The agent's command with tokens: real processes, a real port, and what others on the machine can see of it. */
import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeBase64Url } from "../../src/bytes/encoding.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { MeshCommand, meshEnvironment, meshLine } from "../support/mesh.ts";
import { type Finished, run, start } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";
import { FakeGateway, gatewayKey } from "./fake_gateway.ts";

const SECRET = "a-token-that-nobody-may-see";
const fingerprint = await gatewayKey.publicKey.fingerprint();

interface Scene extends AsyncDisposable {
  readonly folder: Folder;
  readonly fake: FakeGateway;
  readonly port: number;
  /** Flags that every agent here has. */
  readonly args: readonly string[];
  start(args: readonly string[], env?: Record<string, string>): MeshCommand;
  end(args: readonly string[], env?: Record<string, string>): Promise<Finished>;
}

async function makeScene(): Promise<Scene> {
  const folder = temporaryFolder();
  const fake = new FakeGateway(systemClock);
  const listener = await fake.listen();
  const args = [
    ...["--gateway", `127.0.0.1:${listener.port}`, "--state", folder.at("state"), "--log", "json"],
    ...["--authorized-keys", folder.write("authorized", "")],
  ];
  const env = meshEnvironment(folder.path);
  return {
    folder,
    fake,
    port: listener.port,
    args,
    start: (more, extra) =>
      new MeshCommand(start(meshLine("agent", [...args, ...more]), { env: { ...env, ...extra } })),
    end: (more, extra) => run(meshLine("agent", [...args, ...more]), { env: { ...env, ...extra } }),
    async [Symbol.asyncDispose]() {
      listener.close();
      await fake.close();
      folder[Symbol.dispose]();
    },
  };
}

const trust = ["--gateway-key", fingerprint];

/** Everything that an agent left behind, but for its private keys. */
function traces(folder: Folder, agent: MeshCommand): string {
  const files = [...Deno.readDirSync(folder.at("state"))].map(({ name }) => folder.read(`state/${name}`));
  return [...files, ...agent.process.stdout.all, ...agent.process.stderr.all].join("\n");
}

function commandLine(agent: MeshCommand): string {
  return Deno.readTextFileSync(`/proc/${agent.process.pid}/cmdline`);
}

function joinText(id = "id1"): string {
  const content = { i: id, s: SECRET, n: "web", h: [fingerprint] };
  return `sshm1.${encodeBase64Url(encodeText(JSON.stringify(content)))}`;
}

Deno.test("a token in a file is all that an agent needs; nothing of it is left anywhere", async () => {
  await using scene = await makeScene();
  const { folder, fake } = scene;
  fake.tokens.add(SECRET);
  const agent = scene.start([...trust, "--token-file", folder.write("token", `${SECRET}\n`)]);
  {
    await using _ = agent;
    await agent.event("ready");
    await agent.event("certificate", { role: "host" });
    await agent.event("certificate", { role: "user" });
    await waitUntil("both files", () => {
      const names = [...Deno.readDirSync(folder.at("state"))].map(({ name }) => name);
      return names.filter((name) => name.endsWith("-cert.pub")).length === 2;
    });
    for (const { name } of Deno.readDirSync(folder.at("state"))) {
      assert.equal(Deno.statSync(folder.at(`state/${name}`)).mode! & 0o777, 0o600, name);
    }
    const status = Deno.readTextFileSync(`/proc/${agent.process.pid}/status`);
    const rss = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) / 1024;
    assert.ok(rss < 100, `${rss} MiB`);
  }
  assert.ok(!traces(folder, agent).includes(SECRET));
});

Deno.test("an agent killed at any moment of its enrolment comes back and goes on", async () => {
  await using scene = await makeScene();
  const { folder, fake } = scene;
  fake.joins.add(joinText());
  const path = folder.write("join", joinText());
  for (const moment of ["enrolled", "registered", "certificate"]) {
    const agent = scene.start(["--join", `@${path}`]);
    await agent.event(moment === "enrolled" && fake.joins.size === 0 ? "registered" : moment);
    await agent.kill();
  }
  Deno.removeSync(path);
  await using agent = scene.start(["--join", `@${path}`]);
  await agent.event("ready");
  assert.equal(fake.commands.filter((command) => command === "join").length, 1);
});

Deno.test("a join token comes by the environment: not in the command line, not in the child, not in the state", async () => {
  await using scene = await makeScene();
  const { folder, fake } = scene;
  fake.joins.add(joinText());
  const agent = scene.start(
    ["--", "sh", "-c", `env > ${folder.at("env")}; sleep 100`],
    { SSHM_JOIN: joinText(), SSHM_LOG: "json" },
  );
  {
    await using _ = agent;
    await waitUntil("the registration", () => fake.registered.length > 0);
    assert.ok(!commandLine(agent).includes("sshm1."));
    assert.ok(!folder.read("env").includes("SSHM_JOIN"));
    assert.match(folder.read("env"), /SSHM_LOG/);
  }
  assert.ok(!traces(folder, agent).includes("sshm1.") && !traces(folder, agent).includes(SECRET));
  // Without the token from now on.
  await using again = scene.start([]);
  await again.event("ready");
  assert.equal(again.log.filter(({ event }) => event === "pinned").length, 0);
});

interface Mistake {
  readonly what: string;
  readonly code: number;
  readonly says: RegExp;
  args(scene: Scene): string[];
}

const MISTAKES: readonly Mistake[] = [
  {
    what: "a token for a gateway that nothing is known of",
    code: 7,
    says: /--known-hosts or --gateway-key/,
    args: ({ folder }) => ["--token-file", folder.write("token", SECRET)],
  },
  {
    what: "a token file that is not there",
    code: 3,
    says: /the token .*nowhere cannot be read/,
    args: ({ folder }) => [...trust, "--token-file", folder.at("nowhere")],
  },
  {
    what: "a join token that is none",
    code: 2,
    says: /--join: it is no join token/,
    args: () => [...trust, "--join", "geheim"],
  },
  {
    what: "a file with a join token that has gone",
    code: 3,
    says: /the file that --join names has gone/,
    args: ({ folder }) => [...trust, "--join", `@${folder.at("gone")}`],
  },
];

for (const { what, code, says, args } of MISTAKES) {
  for (const check of [[], ["--check"]]) {
    Deno.test(`${what}: one sentence and exit code ${code}${check.length > 0 ? ", by --check too" : ""}`, async () => {
      await using scene = await makeScene();
      const done = await scene.end([...args(scene), ...check]);
      assert.equal(done.code, code, done.stderr);
      const sentence = done.stderr.trim().split("\n").at(-1)!;
      assert.match(sentence, says);
      assert.doesNotMatch(done.stderr + done.text, /geheim/);
      assert.deepEqual(scene.fake.tried, []);
    });
  }
}

Deno.test("a token that is refused, and a command that gives none, end with 9", async () => {
  await using scene = await makeScene();
  const { folder, fake } = scene;
  const refused = await scene.end([...trust, "--token-file", folder.write("token", SECRET)]);
  assert.equal(refused.code, 9, refused.stderr);
  assert.match(refused.stderr, /does not accept the token of --token-file/);
  assert.ok(!(refused.stderr + refused.text).includes(SECRET));
  const none = await scene.end([...trust, "--token-command", "echo not signed in >&2; exit 1"]);
  assert.equal(none.code, 9, none.stderr);
  assert.match(none.stderr, /--token-command failed with exit code 1: not signed in/);
  fake.tokens.add("ssh://127.0.0.1");
  await using agent = scene.start([...trust, "--token-command", "echo $SSHM_TOKEN_AUDIENCE"]);
  await agent.event("ready");
});

Deno.test("somebody in between on the first dial gets neither the token nor the join token", async () => {
  await using scene = await makeScene();
  const { folder, fake } = scene;
  const other = `SHA256:${"A".repeat(43)}`;
  const byToken = await scene.end(["--gateway-key", other, "--token-file", folder.write("token", SECRET)]);
  assert.equal(byToken.code, 8, byToken.stderr);
  const content = { i: "id1", s: SECRET, n: "web", h: [other] };
  const join = `sshm1.${encodeBase64Url(encodeText(JSON.stringify(content)))}`;
  const byJoin = await scene.end([], { SSHM_JOIN: join });
  assert.equal(byJoin.code, 8, byJoin.stderr);
  assert.match(byJoin.stderr, /none that the join token names/);
  assert.deepEqual(fake.tried, []);
});

Deno.test("the metadata server of GCE_METADATA_HOST gives the token", async () => {
  await using scene = await makeScene();
  scene.fake.tokens.add("metadata-token");
  const asked: string[] = [];
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    asked.push(
      `${request.headers.get("metadata-flavor")} ${new URL(request.url).searchParams.get("audience")}`,
    );
    return new Response("metadata-token", { headers: { "Metadata-Flavor": "Google" } });
  });
  await using agent = scene.start([...trust, "--token-metadata"], {
    GCE_METADATA_HOST: `127.0.0.1:${(server.addr as Deno.NetAddr).port}`,
  });
  await agent.event("ready");
  assert.deepEqual(asked, ["Google ssh://127.0.0.1"]);
});

Deno.test("--check runs no command and asks nobody", async () => {
  await using scene = await makeScene();
  const { folder } = scene;
  const mark = folder.at("mark");
  const done = await scene.end([...trust, "--token-command", `touch ${mark}; echo x`, "--check"]);
  assert.equal(done.code, 0, done.stderr);
  assert.throws(() => Deno.statSync(mark), Deno.errors.NotFound);
  assert.deepEqual(scene.fake.tried, []);
});

Deno.test("--trust-user-ca gateway without knowing the gateway is warned of", async () => {
  await using scene = await makeScene();
  const flags = ["--trust-user-ca", "gateway", "--allow-principal", "group:sre", "--check"];
  const pinned = await scene.end(flags);
  assert.equal(pinned.code, 0, pinned.stderr);
  assert.match(pinned.text, /decides who logs in here/);
  const known = await scene.end([...flags, ...trust]);
  assert.doesNotMatch(known.text, /decides who logs in here/);
});
