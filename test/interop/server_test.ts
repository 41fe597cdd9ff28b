/** Our server under every stock client. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { readSigner, startLibraryServer } from "../support/library_server.ts";
import { peerTest } from "../support/peers.ts";
import { run, start } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { defaultAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import { exchange, freePort, pattern, patternHash, sha256, sinkServer } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";
import { CLIENTS } from "./clients.ts";

/** Bytes that clients send through a command: some windows' worth. */
const SIZE = 5_000_000;
const input = () => new Blob([...pattern(SIZE)]).stream();

for (const client of CLIENTS) {
  peerTest(
    `${client.name} runs a command on our server, with its default algorithms and ours`,
    [client.peer],
    async () => {
      using site = await makeSite();
      const hostKey = await makeKey(site.folder, "host");
      await using server = await startLibraryServer({
        hostKeys: [await readSigner(hostKey)],
        authorized: [site.key.line],
        algorithms: defaultAlgorithms,
      });
      site.expect(server.port, hostKey);
      const { line, env } = client.exec(
        site,
        { port: server.port, user: "test", hostKey },
        "cat; echo apart >&2; exit 7",
      );
      const { code, stdout, stderr } = await run(line, { env, stdin: input() });
      assert.equal(stderr.trim(), "apart", server.errors.join("\n"));
      assert.equal(sha256(stdout), patternHash(SIZE));
      assert.equal(code, 7);
      assert.equal(server.logins.length, 1);
    },
  );

  peerTest(`${client.name} bears our server's rekeys while data flows`, [client.peer], async () => {
    using site = await makeSite();
    const hostKey = await makeKey(site.folder, "host");
    await using server = await startLibraryServer({
      hostKeys: [await readSigner(hostKey)],
      authorized: [site.key.line],
      rekeyBytes: 500_000,
    });
    site.expect(server.port, hostKey);
    const { line, env } = client.exec(site, { port: server.port, user: "test", hostKey }, "cat");
    const { code, stdout, stderr } = await run(line, { env, stdin: input() });
    assert.equal(code, 0, stderr + server.errors.join("\n"));
    assert.equal(sha256(stdout), patternHash(SIZE));
  });

  if (client.localForward === undefined || client.remoteForward === undefined) continue;
  const { localForward, remoteForward } = client;
  peerTest(`${client.name} forwards both ways through our server`, [client.peer], async () => {
    using site = await makeSite();
    const hostKey = await makeKey(site.folder, "host");
    await using library = await startLibraryServer({
      hostKeys: [await readSigner(hostKey)],
      authorized: [site.key.line],
    });
    site.expect(library.port, hostKey);
    const server = { port: library.port, user: "test", hostKey };
    await using sink = sinkServer();
    const bytes = new Uint8Array(await new Response(input()).arrayBuffer());
    const [near, far] = [freePort(), freePort()];
    const local = localForward(site, server, near, `127.0.0.1:${sink.port}`);
    const remote = remoteForward(site, server, `127.0.0.1:${far}`, `127.0.0.1:${sink.port}`);
    await using _local = start(local.line, { env: local.env });
    await using _remote = start(remote.line, { env: remote.env });
    for (const port of [near, far]) {
      const hash = await waitUntil(`a forward on port ${port}`, async () => {
        try {
          return new TextDecoder().decode(await exchange(port, bytes));
        } catch (error) {
          if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
        }
      });
      assert.equal(hash, sha256(bytes));
    }
  });
}
