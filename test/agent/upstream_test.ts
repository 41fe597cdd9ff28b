/** What users of the first ssh-mesh have: its environment, its folder, its names of files, and its ways to run. */
import assert from "node:assert/strict";
import { makeCertificate, makeKey } from "../support/keygen.ts";
import { MeshCommand, meshEnvironment, meshLine, startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { jumpConfig } from "../support/stock_client.ts";
import { ownUser } from "../support/stock_server.ts";

for (const variable of ["SSH_AUTHORIZED_KEYS", "SSH_AUTHORIZED_KEY", undefined]) {
  const where = variable ?? "the folder's authorized_keys";
  peerTest(`with SSHM_CFGDIR an agent dials with the certificate there and lets ${where} in`, [
    openssh,
  ], async () => {
    using site = await makeSite();
    const { folder, key } = site;
    const authority = await makeKey(folder, "authority");
    const policy = folder.write(
      "policy.yaml",
      "rules: [{ name: nodes, who: authenticated, may: [register], what: { node: web } }]\n",
    );
    const args = ["--trust-user-ca", authority.publicPath, "--policy", policy];
    await using gateway = await startGateway(folder, { owners: [key.line], args });
    site.expect(gateway.port, gateway.hostKey);

    const configuration = folder.at("config-home");
    Deno.mkdirSync(`${configuration}/.ssh`, { recursive: true, mode: 0o700 });
    const own = await makeKey(folder, "config-home/.ssh/id_ecdsa", "ecdsa-256");
    const certificate = await makeCertificate(authority, own, { role: "user", principals: ["web"] });
    Deno.renameSync(certificate, `${configuration}/.ssh/id_ecdsa_cert.pub`);
    if (!variable) folder.write("config-home/.ssh/authorized_keys", `${key.line}\n`);

    const home = folder.at("home");
    Deno.mkdirSync(home, { mode: 0o700 });
    const line = meshLine("agent", [
      ...["--gateway", `127.0.0.1:${gateway.port}`, "--gateway-key", gateway.hostKey.fingerprint],
      ...["--name", "web", "--state", `${home}/state`, "--log", "json"],
    ]);
    const env = { SSHM_CFGDIR: configuration, ...(variable && { [variable]: key.line }) };
    await using agent = new MeshCommand(start(line, { env: { ...meshEnvironment(home), ...env } }));
    await agent.event("registered", { name: "web" });
    const options = ["StrictHostKeyChecking=no"];
    const client = {
      port: gateway.port,
      user: ownUser,
      identity: key.path,
      knownHosts: site.knownHosts,
      options,
    };
    const config = folder.write("config", jumpConfig(client));
    const { text, stderr } = await run(openssh.line("ssh", "-F", config, "web", "echo in"));
    assert.equal(text, "in\n", stderr);
  });
}
