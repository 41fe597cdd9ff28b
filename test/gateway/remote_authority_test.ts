/** A gateway whose certificates another machine signs. */
import assert from "node:assert/strict";
import { temporaryFolder } from "../support/folder.ts";
import { startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { run, succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";

/** A gateway and its authority, as `start` has made it reachable. */
async function shownBy(
  site: Awaited<ReturnType<typeof makeSite>>,
  ca: { readonly url: string; readonly token: string },
) {
  const gateway = await startGateway(site.folder, {
    name: "gw",
    owners: [site.key.line],
    args: ["--ca", ca.url, "--ca-join", ca.token],
  });
  site.expect(gateway.port, gateway.hostKey);
  const owner = { port: gateway.port, user: "x", knownHosts: site.knownHosts, identity: site.key.path };
  const ssh = (command: string, stdin?: string) =>
    run(sshLine(openssh, owner, [], command), stdin === undefined ? {} : { stdin });
  return { gateway, owner, ssh };
}

peerTest(
  "another gateway is the authority: certificates, host certificate, revocation, an outage",
  [openssh],
  async () => {
    using site = await makeSite();
    using other = temporaryFolder();
    const authority = await startGateway(other, {
      name: "ca",
      owners: [site.key.line],
      args: [
        "--policy",
        other.write("policy.yaml", "rules: [{ who: { issuer: enrolled }, may: [assert] }]\n"),
      ],
    });
    const known = other.write("known", `[127.0.0.1]:${authority.port} ${authority.hostKey.bare}\n`);
    const admin = { port: authority.port, user: "x", knownHosts: known, identity: site.key.path };
    const token = (await succeed(sshLine(openssh, admin, [], "token create --name gw"))).text.trim();
    const { gateway, ssh } = await shownBy(site, { url: `https://localhost:${authority.port}`, token });
    try {
      const ca = (await ssh("ca user")).text;
      assert.equal(ca, (await succeed(sshLine(openssh, admin, [], "ca user"))).text);
      const issued = await ssh("cert", `${site.key.line}\n`);
      assert.match(issued.text, /^ssh-ed25519-cert-v01@openssh\.com /, issued.stderr);
      assert.match((await ssh("known-hosts")).text, /^@cert-authority localhost,/);
      assert.equal((await ssh("revoke serial 42 --reason test")).code, 0);
      assert.match((await ssh("revoked")).text, /^serial 42 /);
      await authority[Symbol.asyncDispose]();
      // What was heard still counts; nothing new is signed.
      assert.equal((await ssh("whoami")).code, 0);
      assert.equal((await ssh("ca user")).text, ca);
      assert.equal((await ssh("cert", `${site.key.line}\n`)).code, 69);
    } finally {
      await gateway[Symbol.asyncDispose]();
      await authority[Symbol.asyncDispose]();
    }
  },
);
