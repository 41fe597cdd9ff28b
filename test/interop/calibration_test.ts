/**
 * Stock clients against stock servers: shows that the tests' tools work and what peers can do among themselves, so that a
 * failure against our server is ours.
 */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import {
  dropbear,
  dropbearNewest,
  openssh,
  opensshNewest,
  type Peer,
  peerStep,
  peerTest,
} from "../support/peers.ts";
import { run, succeed } from "../support/process.ts";
import { makeSite, type Site } from "../support/site.ts";
import { lastLine } from "../support/stock_client.ts";
import { startDropbear, startSshd } from "../support/stock_server.ts";
import { toDropbear } from "../support/keygen.ts";
import { pattern, patternHash, sha256 } from "../support/tcp.ts";
import { checkClient } from "./client_contract.ts";
import { CLIENTS, type Server } from "./clients.ts";

/** Starts a server and tells the site's clients whom to expect. */
async function startServer(peer: Peer, site: Site): Promise<Server & AsyncDisposable> {
  const hostKey = await makeKey(site.folder, "host");
  const authorized = [site.key.line];
  const server = peer === dropbear || peer === dropbearNewest
    ? await startDropbear(peer, site.folder, { hostKey: await toDropbear(hostKey), authorized })
    : await startSshd(peer, site.folder, { hostKeys: [hostKey], authorized });
  site.expect(server.port, hostKey);
  return {
    port: server.port,
    user: server.user,
    hostKey,
    [Symbol.asyncDispose]: server[Symbol.asyncDispose],
  };
}

/**
 * Runs a program up to three times while it does not end. Other people's clients and servers hang on each other now and then:
 * Dropbear's client on OpenSSH 9.2's server once in some fifty commands when the machine is busy, all output read and no exit
 * status. Against ours there is one try.
 */
async function runAgain(...[line, options]: Parameters<typeof run>): ReturnType<typeof run> {
  for (let tries = 1;; tries++) {
    try {
      return await run(line, { ...options, within: 10_000 });
    } catch (error) {
      if (tries === 3 || !/: not within/.test(String(error))) throw error;
    }
  }
}

for (const serverPeer of [opensshNewest, dropbear, dropbearNewest]) {
  peerTest(`every stock client runs a command on ${serverPeer.name}'s server`, [serverPeer], async (t) => {
    using site = await makeSite();
    await using server = await startServer(serverPeer, site);
    const size = 300_000;
    for (const client of CLIENTS) {
      await peerStep(t, client.name, [client.peer], async () => {
        const { line, env } = client.exec(site, server, "cat; echo apart >&2; exit 7");
        const { code, stdout, stderr } = await run(line, {
          env,
          stdin: new Blob([...pattern(size)]).stream(),
        });
        assert.equal(lastLine(stderr), "apart");
        assert.equal(sha256(stdout), patternHash(size));
        assert.equal(code, 7);
      });
    }
  });
}

peerTest("every stock client forwards through OpenSSH's server, has a terminal there and copies files", [
  openssh,
], async (t) => {
  using site = await makeSite();
  await using server = await startServer(openssh, site);
  for (const client of CLIENTS) await checkClient(t, client, site, server, { run: runAgain });
});

peerTest("a stock client refuses a host key that it does not expect", [openssh], async () => {
  using site = await makeSite();
  await using server = await startServer(openssh, site);
  site.folder.write("known_hosts", "");
  site.expect(server.port, await makeKey(site.folder, "another"));
  for (const client of CLIENTS.filter(({ peer }) => !peer.missing)) {
    const wrong = { ...server, hostKey: await makeKey(site.folder, `wrong for ${client.name}`) };
    const { line, env } = client.exec(site, wrong, "true");
    assert.notEqual((await run(line, { env })).code, 0, client.name);
  }
});

peerTest("the set-up's tree holds newer peers than the system", [openssh, opensshNewest], async () => {
  const version = async (peer: Peer) => {
    const { stderr } = await succeed(peer.line("ssh", "-V"));
    return Number(/OpenSSH_(\d+\.\d+)/.exec(stderr)![1]);
  };
  assert.ok(await version(opensshNewest) >= 10.6);
  assert.ok(await version(openssh) < await version(opensshNewest));
});
