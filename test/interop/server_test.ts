/** Our server under every stock client. */
import assert from "node:assert/strict";
import { defaultAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import { makeKey } from "../support/keygen.ts";
import { readSigner, startLibraryServer } from "../support/library_server.ts";
import { openssh, peerStep, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { pattern, patternHash, sha256 } from "../support/tcp.ts";
import { checkClient } from "./client_contract.ts";
import { CLIENTS } from "./clients.ts";

/** Bytes that clients send through a command while keys are renewed. */
const SIZE = 5_000_000;

peerTest("every stock client uses our server, with its default algorithms and ours", [openssh], async (t) => {
  using site = await makeSite();
  const hostKey = await makeKey(site.folder, "host");
  await using server = await startLibraryServer({
    hostKeys: [await readSigner(hostKey)],
    authorized: [site.key.line],
    algorithms: defaultAlgorithms,
  });
  site.expect(server.port, hostKey);
  for (const client of CLIENTS) {
    const at = { port: server.port, user: "test", hostKey };
    await checkClient(t, client, site, at, { sessions: false });
  }
});

peerTest("every stock client bears our server's rekeys while data flows", [openssh], async (t) => {
  using site = await makeSite();
  const hostKey = await makeKey(site.folder, "host");
  await using server = await startLibraryServer({
    hostKeys: [await readSigner(hostKey)],
    authorized: [site.key.line],
    rekeyBytes: 500_000,
  });
  site.expect(server.port, hostKey);
  for (const client of CLIENTS) {
    await peerStep(t, client.name, [client.peer], async () => {
      const { line, env } = client.exec(site, { port: server.port, user: "test", hostKey }, "cat");
      const input = new Blob([...pattern(SIZE)]).stream();
      const { code, stdout, stderr } = await run(line, { env, stdin: input });
      assert.equal(code, 0, stderr + server.errors.join("\n"));
      assert.equal(sha256(stdout), patternHash(SIZE));
    });
  }
});
