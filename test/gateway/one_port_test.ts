/** One port for SSH and HTTPS, as people start it. */
import assert from "node:assert/strict";
import { decodeText, encodeText } from "../../src/bytes/bytes.ts";
import { SILENCE } from "../../src/gateway/protocol.ts";
import { MAX_REFUSED } from "../../src/gateway/guesses.ts";
import { encodeBase64 } from "../../src/bytes/encoding.ts";
import { makeClientKey } from "../../src/ca/client_key.ts";
import { testAuthority, workload } from "../support/authority.ts";
import { httpsFetch, textUntilClose, tlsConnect } from "../support/https_client.ts";
import { sharedFolder, temporaryFolder } from "../support/folder.ts";
import { makeKey } from "../support/keygen.ts";
import { startGateway } from "../support/mesh.ts";
import { kubernetesLikeIssuer } from "../support/oidc.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";

/** Sends `first`, if anything, and resolves to the first bytes that come back. */
async function answerTo(port: number, first: string): Promise<{ text: string; ms: number }> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const began = performance.now();
  if (first !== "") await connection.write(encodeText(first));
  const buffer = new Uint8Array(256);
  const count = await connection.read(buffer).catch(() => null);
  return { text: decodeText(buffer.subarray(0, count ?? 0)), ms: performance.now() - began };
}

peerTest("SSH and HTTPS come in on one port; who says nothing hears SSH", [openssh], async () => {
  using site = await makeSite();
  const cluster = await kubernetesLikeIssuer(site.folder);
  const config = site.folder.write(
    "gateway.yaml",
    `issuers: [{ issuer: "${cluster.issuer}", kind: kubernetes, jwks: "${cluster.jwks}", trust_domain: prod.example }]`,
  );
  await using gateway = await startGateway(site.folder, {
    owners: [site.key.line],
    args: ["--config", config],
  });
  site.expect(gateway.port, gateway.hostKey);
  const owner = { port: gateway.port, user: "x", knownHosts: site.knownHosts, identity: site.key.path };
  const { text: ca } = await succeed(sshLine(openssh, owner, [], "ca x509"));

  const url = `https://localhost:${gateway.port}`;
  const authorities = await (await httpsFetch(`${url}/api/v1/ca`, { ca })).json();
  assert.equal(authorities.ssh.user.length, 1);

  const token = await cluster.podToken({ namespace: "shop", account: "web" });
  const asked = { public_key: site.key.line, ttl: "5m" };
  const certify = (authorization: string) =>
    httpsFetch(`${url}/api/v1/certs/ssh`, {
      ca,
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify(asked),
    });
  const { certificate } = await (await certify(`Bearer ${token}`)).json();
  const file = site.folder.write("id-cert.pub", `${certificate}\n`);
  const key = site.folder.write("id", Deno.readTextFileSync(site.key.path), 0o600);
  const { text } = await succeed(
    sshLine(openssh, { ...owner, identity: key }, ["-o", `CertificateFile=${file}`], "whoami"),
  );
  assert.match(text, /^name +(web@shop\.prod\.example|SHA256:)/m);
  assert.equal((await certify(`Bearer ${token.slice(0, -6)}AAAAAA`)).status, 401);
  assert.ok(
    !Deno.readTextFileSync(`${gateway.state}/audit.jsonl`).includes(token.split(".")[2].slice(0, 20)),
  );

  const silent = await answerTo(gateway.port, "");
  assert.match(silent.text, /^SSH-2\.0-/);
  assert.ok(silent.ms >= SILENCE - 50);
  // An answer to who speaks first waits for nothing.
  const speaking = await answerTo(gateway.port, "SSH-2.0-test\r\n");
  assert.match(speaking.text, /^SSH-2\.0-/);
  assert.ok(speaking.ms < SILENCE, `${speaking.ms} ms`);
});

Deno.test("client certificates of our authority and of configured roots say who somebody is; others nobody", async () => {
  using folder = temporaryFolder();
  const owner = await makeKey(folder, "owner");
  const cluster = await kubernetesLikeIssuer(folder);
  const [trusted, stranger] = await Promise.all([
    testAuthority({ trustDomain: "mesh.example" }),
    testAuthority({ trustDomain: "other.example" }),
  ]);
  const config = folder.write(
    "gateway.yaml",
    `issuers: [{ issuer: "${cluster.issuer}", kind: kubernetes, jwks: "${cluster.jwks}", trust_domain: prod.example }]
trust_x509: { file: "${folder.write("root.pem", trusted.certificate)}", trust_domain: mesh.example }
`,
  );
  await using gateway = await startGateway(folder, { owners: [owner.line], args: ["--config", config] });
  const url = `https://localhost:${gateway.port}/api/v1`;
  const ca = Deno.readTextFileSync(`${gateway.state}/ca_x509_1.crt`);
  const whoami = async (pair: { certificate: string; privateKey: string }) => {
    const response = await httpsFetch(`${url}/whoami`, { ca, ...pair });
    return { status: response.status, ...await response.json() };
  };
  const { privateKey, csr } = await makeClientKey();
  const token = await cluster.podToken({ namespace: "shop", account: "web" });
  const issued = await (await httpsFetch(`${url}/certs/x509`, {
    ca,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ csr: encodeBase64(csr) }),
  })).json();
  const own = await whoami({ certificate: issued.certificate, privateKey });
  assert.deepEqual([own.status, own.kind, own.name], [200, "x509", "web@shop.prod.example"]);

  const pod = await trusted.issue({
    identity: workload("db", "data", "mesh.example"),
    trustDomains: ["mesh.example"],
  });
  const foreign = await whoami(pod);
  assert.deepEqual([foreign.status, foreign.kind, foreign.name], [200, "x509", "db@data.mesh.example"]);

  // Its trust domain is not its own here, and its root is nobody's.
  const liar = await trusted.issue({
    identity: workload("web", "shop", "prod.example"),
    trustDomains: ["prod.example"],
  });
  assert.notEqual((await whoami(liar)).status, 200);
  const unknown = await stranger.issue({
    identity: workload("db", "data", "other.example"),
    trustDomains: ["other.example"],
  });
  assert.notEqual((await whoami(unknown).catch(() => ({ status: 0 }))).status, 200);
});

Deno.test("guesses over HTTPS hold an address off as those over SSH do", async () => {
  using folder = temporaryFolder();
  const owner = await makeKey(folder, "owner");
  await using gateway = await startGateway(folder, { owners: [owner.line] });
  const ca = Deno.readTextFileSync(`${gateway.state}/ca_x509_1.crt`);
  const guess = () =>
    httpsFetch(`https://localhost:${gateway.port}/api/v1/whoami`, {
      ca,
      headers: { authorization: "Bearer guess" },
    });
  let guesses = 0;
  while (guesses < 40 && await guess().then(({ status }) => status === 401, () => false)) guesses++;
  assert.ok(guesses >= 12 && guesses <= 14, `${guesses}`);
  assert.match((await answerTo(gateway.port, "SSH-2.0-test\r\n")).text, /^Not allowed at this time/);
});

Deno.test("administrators rotate the gateway's roots over HTTPS, and nobody else does", async () => {
  using folder = temporaryFolder();
  const owner = await makeKey(folder, "owner");
  const cluster = await kubernetesLikeIssuer(folder);
  const policy = folder.write(
    "policy.yaml",
    "rules: [{ who: { name: ops@infra.prod.example }, may: [admin] }]\n",
  );
  const config = folder.write(
    "gateway.yaml",
    `issuers: [{ issuer: "${cluster.issuer}", kind: kubernetes, jwks: "${cluster.jwks}", trust_domain: prod.example }]`,
  );
  const args = ["--config", config, "--policy", policy];
  await using gateway = await startGateway(folder, { owners: [owner.line], args });
  const url = `https://localhost:${gateway.port}/api/v1/ca`;
  const ca = Deno.readTextFileSync(`${gateway.state}/ca_x509_1.crt`);
  const rotate = async (account: string) => {
    const token = await cluster.podToken({ namespace: "infra", account });
    const { status } = await httpsFetch(`${url}/rotations`, {
      ca,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ kind: "user", overlap: 0 }),
    });
    return status;
  };
  assert.equal(await rotate("web"), 403);
  assert.equal(await rotate("ops"), 204);
  assert.equal((await (await httpsFetch(url, { ca })).json()).ssh.user.length, 2);
});

Deno.test("one connection may guess six times over HTTPS, however many requests it sends at once", async () => {
  using folder = temporaryFolder();
  const owner = await makeKey(folder, "owner");
  await using gateway = await startGateway(folder, { owners: [owner.line] });
  const ca = Deno.readTextFileSync(`${gateway.state}/ca_x509_1.crt`);
  const socket = await tlsConnect(gateway.port, { ca });
  const said = textUntilClose(socket);
  const guess = "GET /api/v1/whoami HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer guess\r\n\r\n";
  socket.write(guess.repeat(50));
  const answers = (await said).split(/(?=HTTP\/1\.1 )/);
  assert.equal(answers.length, MAX_REFUSED);
  assert.ok(answers.every((answer) => answer.startsWith("HTTP/1.1 401 ")));
  assert.deepEqual(answers.map((answer) => /^connection: close/im.test(answer)), [
    ...Array(MAX_REFUSED - 1).fill(false),
    true,
  ]);
  // All that it had to write is written when it has ended.
  await gateway[Symbol.asyncDispose]();
  const records = Deno.readTextFileSync(`${gateway.state}/audit.jsonl`).match(/"event":"auth.refused"/g);
  assert.equal(records?.length, MAX_REFUSED);
});

Deno.test("a listener for one protocol serves no other", async () => {
  using folder = temporaryFolder();
  const owner = await makeKey(folder, "owner");
  await using gateway = await startGateway(folder, {
    owners: [owner.line],
    args: ["--listen", "127.0.0.1:0=tls", "--listen", "127.0.0.1:0=ssh"],
  });
  const [, tls, ssh] = (await gateway.event("ready")).listeners as string[];
  const port = (address: string) => Number(address.split(":").at(-1));
  assert.match((await answerTo(port(ssh), "")).text, /^SSH-2\.0-/);
  assert.doesNotMatch((await answerTo(port(tls), "SSH-2.0-test\r\n")).text, /SSH-2\.0/);
  await assert.rejects(httpsFetch(`https://localhost:${port(ssh)}/api/v1/ca`, { ca: [] }));
});

peerTest("clients without a key are not prompted where nobody's token counts", [openssh], async () => {
  const folder = sharedFolder();
  try {
    const owner = await makeKey(folder, "owner");
    const asked = folder.at("asked");
    const askpass = folder.write("askpass", `#!/bin/sh\necho "$1" >> ${asked}\necho x\n`, 0o700);
    const env = { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: "force", DISPLAY: ":0" };
    const attempt = async (args: string[]) => {
      await using gateway = await startGateway(folder, {
        name: crypto.randomUUID(),
        owners: [owner.line],
        args,
      });
      const known = folder.write("known", `[127.0.0.1]:${gateway.port} ${gateway.hostKey.bare}\n`);
      const line = openssh.line(
        ...["ssh", "-F", "none", "-p", `${gateway.port}`, "-o", `UserKnownHostsFile=${known}`],
        ...["-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none", "127.0.0.1", "whoami"],
      );
      const { stderr } = await run(line, { env });
      return stderr;
    };
    assert.match(await attempt([]), /Permission denied \(publickey\)/);
    assert.throws(() => Deno.statSync(asked), Deno.errors.NotFound);
    const cluster = await kubernetesLikeIssuer(folder);
    const config = folder.write(
      "issuers.yaml",
      `issuers: [{ issuer: "${cluster.issuer}", kind: kubernetes, jwks: "${cluster.jwks}", trust_domain: a.example }]`,
    );
    assert.match(await attempt(["--config", config]), /the token is not accepted here/);
    assert.match(Deno.readTextFileSync(asked), /Token, or its first part ending in \+: /);
  } finally {
    folder[Symbol.dispose]();
  }
});
