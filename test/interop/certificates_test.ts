/** Certificates of ours in stock programs: sshd, curl, openssl; and stock clients that know none. */
import assert from "node:assert/strict";
import { isRevokedByKeygen, readWithKeygen } from "../support/certificate_text.ts";
import { ANN, type IdentityScene, identityScene } from "../support/identity_scene.ts";
import { type KeyFile, makeKey } from "../support/keygen.ts";
import { findProgram, openssh, type Peer, peerStep, peerTest } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { opensshOptions } from "../support/stock_client.ts";
import { ownUser, startSshd } from "../support/stock_server.ts";
import { waitUntil } from "../support/wait.ts";
import { CLIENTS } from "./clients.ts";

const program = (name: string): Peer => ({
  name,
  newest: false,
  missing: findProgram(name) ? undefined : `no ${name} on this system`,
  line: (program, ...args) => [findProgram(program) ?? program, ...args],
});
const curl = program("curl");
const openssl = program("openssl");

/** Runs a command at the gateway as its owner, with stock ssh and the owner's plain key. */
async function asOwner(scene: IdentityScene, command: string, stdin?: string): Promise<string> {
  const options = opensshOptions({
    port: scene.gateway.port,
    identity: scene.owner.path,
    knownHosts: scene.gatewayHosts,
    options: ["HostKeyAlias=localhost"],
  });
  const line = openssh.line("ssh", ...options, "-p", `${scene.gateway.port}`, "own@127.0.0.1", command);
  return (await succeed(line, stdin === undefined ? {} : { stdin })).text;
}

/** Registers 127.0.0.1:`port` as `name` with stock ssh and the owner's key, until it is disposed of. */
async function register(scene: IdentityScene, name: string, port: number) {
  const options = opensshOptions({
    port: scene.gateway.port,
    identity: scene.owner.path,
    knownHosts: scene.gatewayHosts,
    options: ["HostKeyAlias=localhost"],
  });
  const forward = start(
    openssh.line(
      "ssh",
      ...options,
      ...["-p", `${scene.gateway.port}`, "-N", "-R", `${name}:22:127.0.0.1:${port}`, "own@127.0.0.1"],
    ),
  );
  await waitUntil(`${name} at the gateway`, async () => {
    if (forward.exited) throw new Error(`the forward ended: ${forward.stderr}`);
    return (await asOwner(scene, "ls --json")).includes(`"${name}.localhost"`);
  });
  return forward;
}

peerTest(
  "a stock sshd with our host certificate, user authority and revocation list",
  [openssh],
  async (t) => {
    await using scene = await identityScene();
    const { folder } = scene;
    const hostKey = await makeKey(folder, "node-host");
    // Before it can have a certificate for a name it must be registered: first with its plain key.
    const [authorities, list] = [
      folder.write("user_ca.pub", await asOwner(scene, "ca user")),
      folder.at("revoked.krl"),
    ];
    const principals = folder.write("principals", "group:sre\n");
    const config = [
      `TrustedUserCAKeys ${authorities}`,
      `AuthorizedPrincipalsFile ${principals}`,
      `RevokedKeys ${list}`,
      `HostCertificate ${hostKey.path}-cert.pub`,
    ];
    const fetchList = async () => {
      const { stdout } = await scene.sshm("krl");
      folder.write("revoked.krl", stdout);
    };
    await fetchList();
    {
      await using plain = await startSshd(openssh, folder, { hostKeys: [hostKey], authorized: [] });
      await using _forward = await register(scene, "box", plain.port);
      folder.write("node-host-cert.pub", await asOwner(scene, "cert --host", `${hostKey.line}\n`));
    }
    await t.step("the host certificate names the node alone", async () => {
      const facts = await readWithKeygen(`${hostKey.path}-cert.pub`);
      assert.match(facts.Type, /host certificate$/);
      assert.equal(facts.Principals, "box.localhost");
      assert.equal(facts["Critical Options"], "(none)");
    });
    await using sshd = await startSshd(openssh, folder, { hostKeys: [hostKey], authorized: [], config });
    await using _forward = await register(scene, "box", sshd.port);
    const ann = await scene.person("ann", ANN);
    await ann.signIn();
    const batch = ["-o", "BatchMode=yes", "box.localhost", "echo in"];
    await t.step("a person with a certificate logs in, asking nothing", async () => {
      const { text, stderr } = await ann.ssh(batch);
      assert.equal(text, "in\n", stderr);
    });
    await t.step("what is revoked at the gateway is revoked there with the list", async () => {
      const { Serial } = await readWithKeygen(ann.certificate);
      assert.equal(await isRevokedByKeygen(list, ann.certificate), false);
      assert.equal((await scene.sshm("revoke", "serial", Serial)).code, 0);
      await fetchList();
      assert.equal(await isRevokedByKeygen(list, ann.certificate), true);
      const direct = await run(
        openssh.line(
          "ssh",
          ...opensshOptions({
            port: sshd.port,
            identity: ann.key.path,
            knownHosts: ann.knownHosts,
            options: ["HostKeyAlias=box.localhost"],
          }),
          ...["-p", `${sshd.port}`, `${ownUser}@127.0.0.1`, "true"],
        ),
      );
      assert.equal(direct.code, 255);
      assert.match(direct.stderr, /Permission denied/);
      assert.match(sshd.process.stderr.toString(), /revoked/i);
    });
  },
);

peerTest("clients that know no certificates use plain keys on both sides", [openssh], async (t) => {
  await using scene = await identityScene();
  const { gateway } = scene;
  using site = await makeSite();
  site.expect(gateway.port, gateway.hostKey);
  const keys = scene.folder.at("gateway-owners");
  Deno.writeTextFileSync(keys, `${site.key.line}\n`, { append: true });
  const server = { port: gateway.port, user: "own", hostKey: gateway.hostKey };
  for (const client of CLIENTS) {
    await peerStep(t, client.name, [client.peer], async () => {
      const asked = client.exec(site, server, "whoami");
      await waitUntil("the key to count", async () => {
        const { code, text } = await run(asked.line, { env: asked.env });
        return code === 0 && text.includes(site.key.fingerprint);
      });
    });
  }
});

/** A request of curl's to the API: status and body. */
async function api(
  scene: IdentityScene,
  roots: string,
  path: string,
  args: readonly string[],
): Promise<{ readonly status: number; readonly body: string }> {
  const { port } = scene.gateway;
  const { text } = await succeed(
    curl.line(
      "curl",
      ...["--silent", "--show-error", "--cacert", roots, "--resolve", `localhost:${port}:127.0.0.1`],
      ...["--write-out", "\n%{http_code}", ...args, `https://localhost:${port}/api/v1/${path}`],
    ),
    { env: { HOME: scene.folder.path } },
  );
  const at = text.lastIndexOf("\n");
  return { status: Number(text.slice(at + 1)), body: text.slice(0, at) };
}

const json = (
  value: unknown,
) => ["--header", "content-type: application/json", "--data", JSON.stringify(value)];
const bearer = (token: string) => ["--header", `authorization: Bearer ${token.trim()}`];

/** A key, and a request for its certificate, by openssl. */
async function certificateRequest(scene: IdentityScene, name: string, extension?: string) {
  const [key, csr] = [scene.folder.at(`${name}.key`), scene.folder.at(`${name}.csr`)];
  await succeed(openssl.line(
    "openssl",
    ...["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"],
    ...["-keyout", key, "-out", csr, "-subj", "/", ...(extension ? ["-addext", extension] : [])],
  ));
  Deno.chmodSync(key, 0o600);
  return { key, csr: Deno.readTextFileSync(csr) };
}

peerTest(
  "curl gets an X.509 certificate with a token, and an SSH certificate with the X.509 one",
  [openssh, curl, openssl],
  async (t) => {
    await using scene = await identityScene();
    const { folder, cluster } = scene;
    const roots = folder.write("roots.pem", await asOwner(scene, "ca x509"));
    const token = await cluster.podToken({ namespace: "shop", account: "web" });
    const spiffe = "spiffe://prod.mycorp.com/ns/shop/sa/web";
    const request = await certificateRequest(scene, "pod", `subjectAltName=URI:${spiffe}`);
    const [certificate, chain] = [folder.at("pod.crt"), folder.at("pod.chain")];

    await t.step("a token gets an X.509 certificate with the SPIFFE name", async () => {
      const { status, body } = await api(scene, roots, "certs/x509", [
        ...bearer(token),
        ...json({ csr: request.csr }),
      ]);
      assert.equal(status, 200, body);
      const issued = JSON.parse(body);
      folder.write("pod.crt", issued.certificate);
      folder.write("pod.chain", issued.chain.join(""));
      const shown = await succeed(
        openssl.line("openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"),
      );
      assert.match(shown.text, new RegExp(`URI:${spiffe}`));
    });
    await t.step("openssl verifies it against our roots, for a client", async () => {
      const { text } = await succeed(
        openssl.line(
          "openssl",
          "verify",
          "-purpose",
          "sslclient",
          "-CAfile",
          roots,
          "-untrusted",
          chain,
          certificate,
        ),
      );
      assert.match(text, /: OK/);
    });
    await t.step("another pod's name in the request is refused", async () => {
      const other = await certificateRequest(
        scene,
        "other",
        "subjectAltName=URI:spiffe://prod.mycorp.com/ns/shop/sa/db",
      );
      const { status } = await api(scene, roots, "certs/x509", [
        ...bearer(token),
        ...json({ csr: other.csr }),
      ]);
      assert.ok(status === 400 || status === 403, `${status}`);
    });
    const key: KeyFile = await makeKey(folder, "pod-ssh");
    await t.step("the X.509 certificate gets an SSH certificate, within its lifetime", async () => {
      const { status, body } = await api(scene, roots, "certs/ssh", [
        ...["--cert", certificate, "--key", request.key],
        ...json({ public_key: key.line }),
      ]);
      assert.equal(status, 200, body);
      const file = folder.write("pod-ssh-cert.pub", `${JSON.parse(body).certificate}\n`);
      const facts = await readWithKeygen(file);
      assert.match(facts.Type, /user certificate$/);
      assert.equal(facts.Principals, "web@shop.prod.mycorp.com");
    });
    await t.step("which logs in at the gateway as the pod", async () => {
      const options = opensshOptions({
        port: scene.gateway.port,
        identity: key.path,
        knownHosts: scene.gatewayHosts,
        options: ["HostKeyAlias=localhost"],
      });
      const { text } = await succeed(
        openssh.line("ssh", ...options, "-p", `${scene.gateway.port}`, "pod@127.0.0.1", "whoami"),
      );
      assert.match(text, /^name +web@shop\.prod\.mycorp\.com$/m);
      assert.match(text, /^kind +ssh-cert$/m);
    });
    await t.step("a person's token gets either kind, and the groups come along", async () => {
      const token = await scene.provider.idToken(ANN);
      const own = await certificateRequest(scene, "ann");
      const issued = await api(scene, roots, "certs/x509", [...bearer(token), ...json({ csr: own.csr })]);
      assert.equal(issued.status, 200, issued.body);
      const file = folder.write("ann.crt", JSON.parse(issued.body).certificate);
      const names = await succeed(
        openssl.line("openssl", "x509", "-in", file, "-noout", "-ext", "subjectAltName"),
      );
      assert.match(names.text, /email:ann@mycorp\.com/);
      const asked = json({ public_key: key.line });
      for (const credential of [bearer(token), ["--cert", file, "--key", own.key]]) {
        const { status, body } = await api(scene, roots, "certs/ssh", [...credential, ...asked]);
        assert.equal(status, 200, body);
        const facts = await readWithKeygen(folder.write("ann-cert.pub", `${JSON.parse(body).certificate}\n`));
        assert.equal(facts.Principals, "ann@mycorp.com group:sre");
      }
    });
    await t.step("nobody gets one for nothing, for another's token, or for another gateway's", async () => {
      const asked = json({ public_key: key.line });
      assert.equal((await api(scene, roots, "certs/ssh", asked)).status, 401);
      const elsewhere = await cluster.podToken({
        namespace: "shop",
        account: "web",
        audience: "ssh://localhost.evil",
      });
      assert.equal((await api(scene, roots, "certs/ssh", [...bearer(elsewhere), ...asked])).status, 401);
    });
    await t.step(
      "authorities, known hosts, revocations and the API's description are there for everybody",
      async () => {
        const ca = JSON.parse((await api(scene, roots, "ca", [])).body);
        assert.deepEqual(ca.ssh.user, (await asOwner(scene, "ca user")).trimEnd().split("\n"));
        assert.match((await api(scene, roots, "ca/known_hosts", [])).body, /^@cert-authority /);
        assert.equal((await api(scene, roots, "krl", ["--output", folder.at("api.krl")])).status, 200);
        assert.equal(await isRevokedByKeygen(folder.at("api.krl"), key.publicPath), false);
        assert.equal(JSON.parse((await api(scene, roots, "openapi.json", [])).body).openapi, "3.1.0");
      },
    );
    await t.step("a revoked X.509 certificate gets nothing any more", async () => {
      const { text } = await succeed(
        openssl.line("openssl", "x509", "-in", certificate, "-noout", "-serial"),
      );
      const serial = text.trim().split("=")[1];
      assert.equal((await scene.sshm("revoke", "x509-serial", serial)).code, 0);
      const args = ["--cert", certificate, "--key", request.key, ...json({ public_key: key.line })];
      await waitUntil(
        "the refusal",
        async () => (await api(scene, roots, "certs/ssh", args)).status === 401,
        5000,
      );
    });
  },
);
