/** A gateway whose certificates another program signs, with the stock ssh. */
import assert from "node:assert/strict";
import { encodeBase64 } from "../../src/bytes/encoding.ts";
import { makeClientKey } from "../../src/ca/client_key.ts";
import { httpsFetch } from "../support/https_client.ts";
import { temporaryFolder } from "../support/folder.ts";
import { knownHost, makeKey } from "../support/keygen.ts";
import { startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, succeed } from "../support/process.ts";
import { sshLine } from "../support/stock_client.ts";
import { waitUntil } from "../support/wait.ts";
import { startAuthority } from "./running_authority.ts";

peerTest("what a machine got from the authority elsewhere falls when its join token is taken back", [
  openssh,
], async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const owner = await makeKey(folder, "owner");
  const args = ["--ca", ca.url, "--ca-join", `@${folder.write("join", `${await ca.token("gw1")}\n`)}`];
  await using gateway = await startGateway(folder, { owners: [owner.line], args });
  const knownHosts = folder.write("known", knownHost(gateway.port, gateway.hostKey));
  const ssh = async (command: string) =>
    (await succeed(sshLine(openssh, { port: gateway.port, identity: owner.path, knownHosts }, [], command)))
      .text;
  const root = await ssh("ca x509");
  const { id, token } = JSON.parse(await ssh("token create --name web --json"));
  const { privateKey, csr } = await makeClientKey();
  const api = `https://localhost:${gateway.port}/api/v1`;
  const joined = await httpsFetch(`${api}/join`, {
    ca: root,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ csr: encodeBase64(csr) }),
  });
  const { certificate, serial } = await joined.json();
  const whoami = () => httpsFetch(`${api}/whoami`, { ca: root, certificate, privateKey });
  assert.equal((await (await whoami()).json()).name, "web.localhost");
  await ssh(`token rm ${id}`);
  assert.equal((await whoami()).status, 401);
  const revoked = ca.records().find(({ event }) => event === "cert.revoked")!;
  assert.deepEqual(revoked.revocation, { kind: "x509-serial", serial });
  assert.equal(revoked.by, `${owner.fingerprint} by gw1.localhost`);
});

peerTest("ssh logs in with a certificate that the authority elsewhere signed, until that revokes it", [
  openssh,
], async () => {
  using folder = temporaryFolder();
  await using ca = await startAuthority(folder);
  const owner = await makeKey(folder, "owner");
  const args = ["--ca", ca.url, "--ca-join", await ca.token("gw1")];
  await using gateway = await startGateway(folder, { owners: [owner.line], args });
  const knownHosts = folder.write("known", knownHost(gateway.port, gateway.hostKey));
  const client = { port: gateway.port, identity: owner.path, knownHosts };

  // The gateway proves itself by the authority's certificate, and says so.
  const { text: lines } = await succeed(sshLine(openssh, client, [], "known-hosts"));
  const authority = lines.split("\n").filter((line) => line.startsWith("@cert-authority")).join("\n");
  const strict = { ...client, knownHosts: folder.write("authority", `${authority}\n`) };
  const algorithms = ["-o", "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com"];
  const certified = async () =>
    (await run(sshLine(openssh, strict, [...algorithms, "-o", "HostKeyAlias=localhost"], "whoami"))).code ===
      0;
  await waitUntil("the host certificate", certified);

  const { text: certificate } = await succeed(sshLine(openssh, client, [], "cert"), { stdin: owner.line });
  const file = folder.write("cert.pub", certificate);
  const { text: described } = await succeed(["ssh-keygen", "-L", "-f", file]);
  const [, serial] = /Serial: (\d+)/.exec(described)!;
  const { text: root } = await succeed(sshLine(openssh, client, [], "ca user"));
  const signer = folder.write("root.pub", root);
  const { text: fingerprint } = await succeed(["ssh-keygen", "-l", "-f", signer]);
  assert.match(
    described,
    new RegExp(`Signing CA: ED25519 ${fingerprint.split(" ")[1].replaceAll(/[+/]/g, "\\$&")}`),
  );

  const whoami = () =>
    run(sshLine(openssh, client, ["-o", `CertificateFile=${file}`, "-o", "IdentitiesOnly=yes"], "whoami"));
  assert.match((await whoami()).text, /^kind +ssh-cert$/m);
  await succeed(sshLine(openssh, client, [], `revoke serial ${serial}`));
  // The key alone is an owner's still: what is revoked is its certificate.
  await waitUntil("the revocation", async () => /^kind +key$/m.test((await whoami()).text));
  const revoked = ca.records().find(({ event }) => event === "cert.revoked")!;
  assert.deepEqual(revoked.revocation, { kind: "serial", serial });
  assert.equal(revoked.by, `${owner.fingerprint} by gw1.localhost`);
});
