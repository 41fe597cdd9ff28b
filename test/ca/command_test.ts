/** The authority as people run it. */
import assert from "node:assert/strict";
import { encodeBase64 } from "../../src/bytes/encoding.ts";
import { makeClientKey } from "../../src/ca/client_key.ts";
import { parseCertificate } from "../../src/cert/certificate.ts";
import { parseKrl } from "../../src/cert/krl.ts";
import { httpsClient } from "../../src/deno/https_client.ts";
import { exitCodes } from "../../src/gateway/exit_codes.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { formatPublicKey, parsePublicKeyLine } from "../../src/keys/public_key.ts";
import type { TlsIdentity } from "../../src/platform/web.ts";
import { readCertificates } from "../../src/x509/certificate.ts";
import { subjectNames } from "../../src/x509/names.ts";
import { person, testAuthority } from "../support/authority.ts";
import { temporaryFolder } from "../support/folder.ts";
import { httpsFetch } from "../support/https_client.ts";
import { meshEnvironment } from "../support/mesh.ts";
import { kubernetesLikeIssuer } from "../support/oidc.ts";
import { run, start, succeed } from "../support/process.ts";
import { line, startAuthority } from "./running_authority.ts";

Deno.test("a pod gets certificates by its token, and by its X.509 certificate an SSH certificate that ends with it", async () => {
  using folder = temporaryFolder();
  const issuer = await kubernetesLikeIssuer(folder);
  const config = folder.write(
    "config.yaml",
    JSON.stringify({
      issuers: [{
        issuer: issuer.issuer,
        kind: "kubernetes",
        jwks: issuer.jwks,
        trust_domain: "prod.example",
      }],
    }),
  );
  await using ca = await startAuthority(folder, "--config", config);
  const token = await issuer.podToken({ namespace: "shop", account: "web" });
  const { privateKey, csr } = await makeClientKey();
  let identity: TlsIdentity | undefined;
  const client = httpsClient({
    roots: () => undefined,
    identity: () => identity,
    unverified: true,
    maxAnswer: 65536,
  });
  const ask = async (path: string, body: unknown, bearer?: string) => {
    const headers = {
      "content-type": "application/json",
      ...(bearer && { authorization: `Bearer ${bearer}` }),
    };
    const request = { method: "POST", headers, body: JSON.stringify(body) } as const;
    const response = await client.fetch(`${ca.url}/api/v1/${path}`, request);
    return { status: response.status, ...await response.json() };
  };
  try {
    const key = await generatePrivateKey("ssh-ed25519");
    const public_key = formatPublicKey(key.publicKey);
    const issued = await ask("certs/ssh", { public_key }, token);
    const { principals } = parseCertificate(parsePublicKeyLine(issued.certificate).certificate!);
    assert.deepEqual(principals, ["web@shop.prod.example"]);
    const x509 = await ask("certs/x509", { csr: encodeBase64(csr), ttl: "1m" }, token);
    const [leaf] = readCertificates(x509.certificate);
    assert.deepEqual(subjectNames(leaf.extensions).uris, ["spiffe://prod.example/ns/shop/sa/web"]);

    identity = { certificate: x509.certificate, privateKey };
    const bound = await ask("certs/ssh", { public_key });
    assert.equal(bound.status, 200);
    const { validBefore } = parseCertificate(parsePublicKeyLine(bound.certificate).certificate!);
    assert.ok(Number(validBefore) * 1000 <= Date.parse(x509.expires));
    const again = await ask("certs/x509", { csr: encodeBase64(csr) });
    assert.deepEqual([again.status, again.type], [403, "urn:ssh-mesh:problem:not-permitted"]);
    // Nobody but gateways vouches for others, and nobody but who registered a name has it certified.
    const on_behalf_of = { kind: "key", issuer: "key", subject: "x", name: "root" };
    assert.equal((await ask("certs/ssh", { public_key, on_behalf_of })).status, 403);
    assert.equal((await ask("certs/ssh", { public_key, type: "host", names: ["x.localhost"] })).status, 403);
    assert.equal((await ask("certs/ssh", { public_key }, `${token.slice(0, -4)}AAAA`)).status, 401);
    assert.ok(!JSON.stringify(ca.records()).includes(token));
  } finally {
    client.close();
  }
});

Deno.test("a client certificate of a trusted root gets an SSH certificate, and of any other root nothing", async () => {
  using folder = temporaryFolder();
  const [trusted, stranger] = await Promise.all([testAuthority(), testAuthority()]);
  const roots = folder.write("roots.pem", trusted.certificate, 0o644);
  await using ca = await startAuthority(folder, "--trust-x509", roots);
  const public_key = formatPublicKey((await generatePrivateKey("ssh-ed25519")).publicKey);
  for (const [authority, status] of [[trusted, 200], [stranger, 400]] as const) {
    const identity = await authority.issue({ identity: person("ann@mycorp.com") });
    const client = httpsClient({
      roots: () => undefined,
      identity: () => identity,
      unverified: true,
      maxAnswer: 65536,
    });
    try {
      const headers = { "content-type": "application/json" };
      const request = { method: "POST", headers, body: JSON.stringify({ public_key }) } as const;
      const response = await client.fetch(`${ca.url}/api/v1/certs/ssh`, request);
      assert.equal(response.status, status);
      if (status !== 200) continue;
      const { certificate } = await response.json();
      const { principals } = parseCertificate(parsePublicKeyLine(certificate).certificate!);
      assert.deepEqual(principals, ["ann@mycorp.com"]);
    } finally {
      client.close();
    }
  }
});

Deno.test("whoever guesses at the authority is held off", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const root = Deno.readTextFileSync(`${ca.state}/ca_x509_1.crt`);
  const headers = { authorization: "Bearer guess" };
  const guess = () => httpsFetch(`${ca.url}/api/v1/whoami`, { ca: root, headers });
  let guesses = 0;
  while (guesses < 40 && await guess().then(({ status }) => status === 401, () => false)) guesses++;
  assert.ok(guesses >= 12 && guesses <= 14, `${guesses}`);
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
  await running.stdout.match(new RegExp(`^ {2}\\S.* --ca ${url} --ca-join TOKEN$`));
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
    [["rotate", "dns"], "usage", /'dns' is invalid/],
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

Deno.test("a root is rotated while the authority is stopped: the old one is trusted on, the new one signs", async () => {
  using folder = temporaryFolder();
  const env = meshEnvironment(folder.path);
  const roots = async (ca: { readonly url: string }) => {
    const client = httpsClient({ roots: () => undefined, unverified: true, maxAnswer: 65536 });
    try {
      const response = await client.fetch(`${ca.url}/api/v1/ca/user.pub`, { method: "GET" });
      return (await response.text()).trim().split("\n");
    } finally {
      client.close();
    }
  };
  let before: string[], state: string;
  {
    await using ca = await startAuthority(folder);
    [before, state] = [await roots(ca), ca.state];
    const refused = await run(line("rotate", "user", "--state", state), { env });
    assert.equal(refused.code, exitCodes.state.code);
  }
  await succeed(line("rotate", "user", "--overlap", "1ms", "--state", state), { env });
  await using ca = await startAuthority(folder);
  const after = await roots(ca);
  assert.deepEqual([after.length, after[1]], [2, before[0]]);
});

Deno.test("a state folder in use is said so", async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const env = meshEnvironment(folder.path);
  const second = await run(line("--listen", "127.0.0.1:0", "--state", ca.state), { env });
  assert.equal(second.code, exitCodes.state.code);
  assert.match(second.stderr, /another process uses the state folder/);
});
