/** The authority as people run it, and a gateway's way to it. */
import assert from "node:assert/strict";
import { encodeText } from "../../src/bytes/bytes.ts";
import { type ConnectedAuthority, connectRemoteAuthority } from "../../src/ca/connect.ts";
import { CREDENTIAL_FILE } from "../../src/ca/gateway_credential.ts";
import { parseKrl } from "../../src/cert/krl.ts";
import { httpsClient } from "../../src/deno/https_client.ts";
import { exitCodes } from "../../src/gateway/exit_codes.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import type { Https } from "../../src/platform/https.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { identity } from "../api/scene.ts";
import { testAuthority } from "../support/authority.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { meshEnvironment, projectLine } from "../support/mesh.ts";
import { run, type Running, start, succeed } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";

function line(...args: string[]): string[] {
  return projectLine("cmd/ca.ts", args);
}

interface RunningAuthority extends AsyncDisposable {
  readonly url: string;
  readonly process: Running;
  readonly state: string;
  readonly folder: Folder;
  /** Makes a join token. */
  token(name: string): Promise<string>;
  records(): Record<string, unknown>[];
}

/** An authority in a process of its own, at `https://localhost:PORT`. */
async function startAuthority(folder: Folder, ...args: string[]): Promise<RunningAuthority> {
  const state = folder.at("ca");
  const env = meshEnvironment(folder.path);
  const process = start(line("--listen", "127.0.0.1:0", "--log", "json", "--state", state, ...args), { env });
  const [ready] = await process.stdout.match(/^.*"event":"ready".*$/);
  const { url } = JSON.parse(ready);
  return {
    url,
    process,
    state,
    folder,
    async token(name) {
      const made = await succeed(line("token", "create", "--name", name, "--state", state), { env });
      return made.text.trim();
    },
    records: () =>
      Deno.readTextFileSync(`${state}/audit.jsonl`).trim().split("\n").map((text) => JSON.parse(text)),
    [Symbol.asyncDispose]: async () => void await process.stop(),
  };
}

/** A state folder in memory. */
function memoryState() {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    files,
    read: (name: string) => Promise.resolve(files.get(name)),
    write: (name: string, content: Uint8Array<ArrayBuffer>) => Promise.resolve(void files.set(name, content)),
  };
}

type Connecting = Partial<Parameters<typeof connectRemoteAuthority>[0]> & { readonly url: string };

async function connect(options: Connecting): Promise<ConnectedAuthority & Disposable> {
  const connected = await connectRemoteAuthority({
    https: httpsClient,
    state: memoryState(),
    clock: systemClock,
    ...options,
  });
  return { ...connected, [Symbol.dispose]: () => connected.close() };
}

Deno.test("a gateway joins with a token, gets certificates for its clients, and needs no token any more", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const state = memoryState();
  const key = (await generatePrivateKey("ssh-ed25519")).publicKey;
  {
    using connected = await connect({ url: ca.url, token: await ca.token("gw1"), state });
    const { authority } = connected;
    const { user, x509 } = await authority.authorities();
    const { certificate } = await authority.issueUser({
      identity: identity({ groups: ["sre"] }),
      publicKey: key,
      remote: "10.0.0.7:1",
    });
    assert.deepEqual(certificate.principals, ["ann@mycorp.com", "group:sre"]);
    assert.deepEqual(certificate.signatureKey.blob, user[0].blob);
    const host = await authority.issueHost({
      identity: identity(),
      publicKey: key,
      names: ["web.mesh.example"],
      remote: "10.0.0.7:1",
    });
    assert.deepEqual(host.certificate.principals, ["web.mesh.example"]);
    assert.equal(x509.length, 1);
    // What counts no more here counts no more there, for whoever watches too.
    let heard = 0;
    const stop = authority.watch(() => heard++);
    await authority.revoke({ kind: "key-id", keyId: "ann" }, { name: "ann", remote: "x" }, "left");
    await waitUntil("the revocation", () => heard > 0);
    const { krl } = await authority.revoked();
    assert.ok(krl.certificates.some(({ keyIds }) => keyIds.includes("ann")));
    stop();
  }
  using again = await connect({ url: ca.url, state });
  await again.authority.issueUser({ identity: identity(), publicKey: key, remote: "x" });
  const records = ca.records();
  const events = records.map(({ event }) => event);
  for (const event of ["join_token.created", "key.enrolled", "cert.issued", "cert.revoked"]) {
    assert.ok(events.includes(event), `no ${event} in ${events}`);
  }
  const revoked = records.find(({ event }) => event === "cert.revoked")!;
  assert.equal(revoked.by, "ann by gw1.localhost");
});

Deno.test("a token of another authority goes to nobody, and neither does one of somebody in between", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const token = await ca.token("gw1");
  const content = JSON.parse(atob(token.slice("sshm1.".length).replaceAll("-", "+").replaceAll("_", "/")));
  const other = `sshm1.${
    btoa(JSON.stringify({ ...content, h: [`SHA256:${"A".repeat(43)}`] })).replace(/=+$/, "")
  }`;
  const sent: string[] = [];
  const spying: Https = (options) => {
    const client = httpsClient(options);
    return {
      ...client,
      fetch(url, request) {
        sent.push(request.headers?.authorization ?? "nothing");
        return client.fetch(url, request);
      },
    };
  };
  const joining = connect({ url: ca.url, token: other, https: spying });
  await assert.rejects(joining, { code: "unavailable", message: /no root that the join token names/ });
  assert.deepEqual(sent, ["nothing"]);
  // And a root that is pinned by a file is the only one.
  const roots = [(await testAuthority()).certificate];
  await assert.rejects(connect({ url: ca.url, token, roots, https: spying }), { code: "unavailable" });
  using _ = await connect({ url: ca.url, token });
});

Deno.test("a token works once, for its own name, and is gone with all that came of it when it is removed", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const token = await ca.token("gw1");
  const state = memoryState();
  using connected = await connect({ url: ca.url, token, state });
  await assert.rejects(connect({ url: ca.url, token }), { code: "unavailable", message: /used/ });
  await assert.rejects(connect({ url: ca.url }), { code: "unavailable", message: /make a join token there/ });
  const env = meshEnvironment(folder.path);
  const listed = JSON.parse(
    (await succeed(line("token", "ls", "--json", "--state", ca.state), { env })).text,
  );
  assert.deepEqual(listed.map(({ name }: { name: string }) => name), ["gw1.localhost"]);
  assert.ok(listed[0].used);
  await succeed(line("token", "rm", listed[0].id, "--state", ca.state), { env });
  const key = (await generatePrivateKey("ssh-ed25519")).publicKey;
  await waitUntil("that it is taken back", async () => {
    try {
      await connected.authority.issueUser({ identity: identity(), publicKey: key, remote: "x" });
    } catch (error) {
      assert.match((error as Error).message, /does not answer this gateway/);
      return true;
    }
  });
});

Deno.test("a gateway's certificate renews itself at two thirds of its life, with the same key", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const state = memoryState();
  const token = await ca.token("gw1");
  (await connect({ url: ca.url, token, state })).close();
  const credential = () => JSON.parse(new TextDecoder().decode(state.files.get(CREDENTIAL_FILE)));
  const before = credential();
  const { certificate, renew } = before.certified;
  const day = 86_400_000;
  assert.ok(Math.abs(Date.parse(renew) - Date.now() - day * 2 / 3) < 60_000, renew);
  const due = { ...before, certified: { ...before.certified, renew: new Date(0).toISOString() } };
  state.files.set(CREDENTIAL_FILE, encodeText(JSON.stringify(due)));
  using _ = await connect({ url: ca.url, state });
  await waitUntil("the renewal", () => credential().certified.certificate !== certificate);
  const after = credential();
  assert.equal(after.private_key, before.private_key);
  assert.ok(Date.parse(after.certified.renew) > Date.now());
});

Deno.test("who did not hear the answer, or was away too long, comes again with the same token and key", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const state = memoryState();
  const token = await ca.token("gw1");
  (await connect({ url: ca.url, token, state })).close();
  const { certified, ...key } = JSON.parse(new TextDecoder().decode(state.files.get(CREDENTIAL_FILE)));
  const expired = { ...certified, expires: new Date(0).toISOString() };
  for (const kept of [key, { ...key, certified: expired }]) {
    state.files.set(CREDENTIAL_FILE, encodeText(JSON.stringify(kept)));
    await assert.rejects(connect({ url: ca.url, state }), { message: /make a join token there/ });
    (await connect({ url: ca.url, token, state })).close();
  }
  // Another machine has another key.
  await assert.rejects(connect({ url: ca.url, token }), { message: /used/ });
  // And the key alone, with another's token, is nobody new.
  state.files.set(CREDENTIAL_FILE, encodeText(JSON.stringify(key)));
  const second = connect({ url: ca.url, token: await ca.token("gw2"), state });
  await assert.rejects(second, { message: /enrolled already, as gw1\.localhost/ });
});

Deno.test("while the authority is away, what it last said counts, over a restart too; then it is back", async () => {
  using folder = temporaryFolder();
  const state = memoryState();
  let url: string;
  {
    await using ca = await startAuthority(folder);
    url = ca.url;
    (await connect({ url, token: await ca.token("gw1"), state })).close();
  }
  const troubles: (string | undefined)[] = [];
  using connected = await connect({ url, state, onTrouble: (error) => troubles.push(error?.message) });
  const { authority } = connected;
  const { user } = await authority.authorities();
  const publicKey = (await generatePrivateKey("ssh-ed25519")).publicKey;
  const asked = () => authority.issueUser({ identity: identity(), publicKey, remote: "x" });
  await assert.rejects(asked(), { code: "unavailable", message: /cannot be reached/ });
  assert.match(troubles[0]!, /cannot be reached/);
  await using _ = await startAuthority(folder, "--listen", `127.0.0.1:${new URL(url).port}`);
  await waitUntil("that it is back", () => troubles.includes(undefined));
  const { certificate } = await asked();
  assert.deepEqual(certificate.signatureKey.blob, user[0].blob);
});

Deno.test("with a policy, the policy says which gateways may vouch, and a change of it counts at once", async () => {
  using folder = temporaryFolder();
  const policy = folder.write("policy.yaml", "rules: []\n", 0o644);
  await using ca = await startAuthority(folder, "--policy", policy);
  const state = memoryState();
  const token = await ca.token("gw1");
  // Whom to trust is for everybody, what is revoked is not: it has nothing to go by.
  await assert.rejects(connect({ url: ca.url, token, state }), { message: /not permitted to/ });
  folder.write(
    "policy.yaml",
    "rules: [{ name: gw1, who: { issuer: enrolled, name: gw1.localhost }, may: [assert] }]\n",
    0o644,
  );
  const connected = await waitUntil(
    "the new policy",
    () => connect({ url: ca.url, state }).catch(() => undefined),
  );
  connected.close();
});

Deno.test("stock programs read what anyone may read", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder, "--domain", "localhost");
  const client = httpsClient({ roots: () => undefined, unverified: true, maxAnswer: 65536 });
  try {
    const get = (path: string) => client.fetch(`${ca.url}/api/v1/${path}`, { method: "GET" });
    assert.match(await (await get("ca/user.pub")).text(), /^ssh-ed25519 \S+\n$/);
    assert.match(
      await (await get("ca/known_hosts")).text(),
      /^@cert-authority localhost,\*\.localhost ssh-ed25519 /,
    );
    const krl = await get("krl");
    assert.deepEqual(parseKrl(new Uint8Array(await krl.arrayBuffer())).signatures, []);
    for (const [path, known] of [["krl", krl], ["ca", await get("ca")]] as const) {
      const headers = { "if-none-match": known.headers.get("etag")! };
      const again = await client.fetch(`${ca.url}/api/v1/${path}`, { method: "GET", headers });
      assert.equal(again.status, 304, path);
    }
    assert.equal((await get("whoami")).status, 401);
  } finally {
    client.close();
  }
});

Deno.test("it says what to type next, with the fingerprint of its root, and ends at once when nothing is open", async () => {
  using folder = temporaryFolder();
  const env = meshEnvironment(folder.path);
  const running = start(line("--listen", "127.0.0.1:0"), { env });
  const [, url] = await running.stdout.match(/^Listening at (\S+); X\.509 root SHA256:[\w+/]{43}$/);
  await running.stdout.match(new RegExp(`^ {2}deno run -A cmd/gateway.ts --ca ${url} --ca-join TOKEN$`));
  const { code } = await running.stop();
  assert.equal(code, exitCodes.ended.code);
  const records = Deno.readTextFileSync(folder.at(".local/state/ssh-mesh-ca/audit.jsonl"));
  assert.match(records, /"event":"ca\.stopped"/);
});

Deno.test("each mistake is one sentence and its exit code", async (test) => {
  using folder = temporaryFolder();
  const env = meshEnvironment(folder.path);
  const wide = folder.at("wide");
  Deno.mkdirSync(wide);
  Deno.chmodSync(wide, 0o755);
  const policy = folder.write("policy.yaml", "rules: [{ who: anyone, may: [fly] }]\n");
  const config = folder.write("config.yaml", "connect: [gw:15022]\n");
  const mistakes: [string[], keyof typeof exitCodes, RegExp][] = [
    [["--fly"], "usage", /unknown option '--fly'/],
    [["token"], "usage", /token create, token ls or token rm/],
    [["token", "create"], "usage", /--name/],
    [["token", "create", "--name", "a", "--ttl", "soon"], "usage", /--ttl: 'soon' is not a duration/],
    [["token", "create", "--name", "a.b", "--state", folder.at("t")], "usage", /no name for a machine/],
    [["token", "rm", "1", "--state", folder.at("t")], "usage", /no such token/],
    [["--listen", "127.0.0.1:0=ssh"], "usage", /speaks tls alone/],
    [["--config", config], "usage", /'connect' is for gateways/],
    [["--config", folder.at("none")], "files", /none cannot be read/],
    [["--check", "--policy", policy], "files", /'fly'/],
    [["--check", "--trust-x509", policy], "files", /policy\.yaml cannot be used/],
    [["--check", "--state", wide], "state", /wide has mode 0755/],
    [["--trust-issuer", "https://accounts.google.com", "--check"], "usage", /required/],
  ];
  for (const [args, reason, sentence] of mistakes) {
    await test.step(args.map((arg) => arg.replace(folder.path, "")).join(" "), async () => {
      const { code, stderr, text } = await run(line(...args), { env });
      assert.equal(code, exitCodes[reason].code, stderr);
      assert.match(stderr.trimEnd().split("\n").at(-1)!, /^ca: /);
      assert.match(stderr, sentence);
      assert.equal(text, "");
    });
  }
});

Deno.test("--check makes nothing and says that all is right; --help and --version print", async () => {
  using folder = temporaryFolder();
  const env = meshEnvironment(folder.path);
  const checked = await run(line("--check"), { env });
  assert.deepEqual([checked.code, checked.text], [0, "The configuration is right\n"]);
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
  const help = await run(line("--help"), { env });
  assert.equal(help.code, 0);
  for (const { meaning } of Object.values(exitCodes)) assert.ok(help.text.includes(meaning));
  assert.equal((await run(line("--version"), { env })).code, 0);
});

Deno.test("a state folder in use is said so, and secrets are in no record", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const env = meshEnvironment(folder.path);
  const second = await run(line("--listen", "127.0.0.1:0", "--state", ca.state), { env });
  assert.equal(second.code, exitCodes.state.code);
  assert.match(second.stderr, /another process uses the state folder/);
  const token = await ca.token("gw1");
  (await connect({ url: ca.url, token })).close();
  const { s: secret } = JSON.parse(
    atob(token.slice("sshm1.".length).replaceAll("-", "+").replaceAll("_", "/")),
  );
  assert.ok(!Deno.readTextFileSync(`${ca.state}/audit.jsonl`).includes(secret));
  const database = Deno.readFileSync(`${ca.state}/store.sqlite-wal`);
  assert.ok(!new TextDecoder("latin1").decode(database).includes(secret));
});
