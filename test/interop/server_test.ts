/** Our server under every stock client. */
import assert from "node:assert/strict";
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { denoNet } from "../../src/deno/net.ts";
import type { TcpAddress } from "../../src/platform/net.ts";
import { defaultAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import type { Connection } from "../../src/ssh/connection/types.ts";
import { SshError } from "../../src/ssh/error.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import { makeKey } from "../support/keygen.ts";
import { readSigner, startLibraryServer } from "../support/library_server.ts";
import { openssh, peerStep, peerTest } from "../support/peers.ts";
import { run } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { pattern, patternHash, sha256 } from "../support/tcp.ts";
import { checkClient } from "./client_contract.ts";
import { CLIENTS } from "./clients.ts";

/** Loaded once and for good, outside any test: a library that stays is a leak to the one that loads it. */
const systemCrypto = (await chooseCrypto()).provider;

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

peerTest(
  "why a connection ends is shown by ssh, in the middle of whatever it sends",
  [openssh],
  async (t) => {
    using site = await makeSite();
    const hostKey = await makeKey(site.folder, "host");
    const signer = await readSigner(hostKey);
    const [sentence, refusal] = ["the gateway is full; come back at noon", "you were asked to be quiet"];
    const endings: Record<string, (connection: Connection, life: AbortController) => void> = {
      "by the program": (connection) => connection.close(undefined, sentence),
      "because of an error": (_, life) => life.abort(new SshError("limit", refusal)),
    };
    for (const [name, end] of Object.entries(endings)) {
      await t.step(name, async () => {
        // A sentence that is lost is lost by a race.
        for (let i = 0; i < 5; i++) {
          const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
          const { port } = listener.address as TcpAddress;
          site.expect(port, hostKey);
          const client = { port, identity: site.key.path, knownHosts: site.knownHosts };
          const uploading = run(sshLine(openssh, client, [], "take this"), { stdin: endless() });
          const life = new AbortController();
          const connection = await acceptSsh((await listener[Symbol.asyncIterator]().next()).value!, {
            crypto: systemCrypto,
            hostKeys: [signer],
            auth: { publicKey: () => ({ result: "accepted", identity: "ann" }) },
            signal: life.signal,
            prepare: (connection) => {
              connection.onChannel = async (incoming) => {
                const channel = incoming.accept();
                channel.onRequest = () => true;
                const buffer = new Uint8Array(65536);
                for (let left = 2_000_000; left > 0;) left -= await channel.read(buffer) ?? left;
                end(connection, life);
              };
            },
          });
          listener.close();
          await connection.gone;
          const { code, stderr } = await uploading;
          assert.equal(code, 255);
          assert.match(stderr, new RegExp(`Received disconnect from .*: (${sentence}|${refusal})`));
        }
      });
    }
  },
);

/** Zeroes until nobody takes them. */
function endless(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65536)) });
}
