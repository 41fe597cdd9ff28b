/** Host key rotation with OpenSSH as the client that learns. */
import assert from "node:assert/strict";
import { nodeCrypto } from "../../../src/deno/crypto_node.ts";
import { denoNet } from "../../../src/deno/net.ts";
import { generatePrivateKey } from "../../../src/keys/private_key.ts";
import { formatPublicKey } from "../../../src/keys/public_key.ts";
import { announceHostKeys } from "../../../src/ssh/connection/host_key_rotation.ts";
import { Router } from "../../../src/ssh/connection/router.ts";
import { acceptSsh } from "../../../src/ssh/server.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { findProgram } from "../../support/peers.ts";
import { start } from "../../support/process.ts";
import { opensshOptions } from "../../support/stock_client.ts";
import { waitUntil } from "../../support/wait.ts";

const ssh = findProgram("ssh");
const hostKeys = await Promise.all(
  (["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"] as const).map((type) => generatePrivateKey(type)),
);
const lines = hostKeys.map((key) => formatPublicKey(key.publicKey));

for (const [algorithm, known] of [["ssh-ed25519", 0], ["rsa-sha2-256", 1], ["rsa-sha2-512", 1]] as const) {
  Deno.test({
    name: `OpenSSH that knows one host key and exchanges keys with ${algorithm} learns the others`,
    ignore: !ssh,
    fn: async () => {
      using folder = temporaryFolder();
      const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
      const port = listener.address.transport === "tcp" ? listener.address.port : 0;
      const life = new AbortController();
      const serving = (async () => {
        for await (const duplex of listener) {
          const connection = await acceptSsh(duplex, {
            crypto: nodeCrypto,
            hostKeys,
            signal: life.signal,
            auth: { none: () => ({ result: "accepted", identity: "anybody" }) },
            prepare: (connection) => {
              const negotiated = connection.negotiated.hostKey;
              announceHostKeys(connection, new Router(connection), {
                hostKeys: () => hostKeys,
                algorithm: negotiated,
              });
            },
          });
          await connection.closed;
        }
      })();
      const knownHosts = folder.write("known_hosts", `[127.0.0.1]:${port} ${lines[known]}\n`);
      const options = opensshOptions({
        port,
        knownHosts,
        // Put first, not alone: OpenSSH learns no key of a type that it would not accept.
        options: ["UpdateHostKeys=yes", `HostKeyAlgorithms=^${algorithm}`],
      });
      {
        await using _client = start([ssh!, ...options, "-N", "-p", String(port), "ann@127.0.0.1"]);
        await waitUntil("known_hosts to hold all keys", () => {
          const text = Deno.readTextFileSync(knownHosts);
          return lines.every((line) => text.includes(line.split(" ")[1]));
        });
      }
      life.abort(new Error("the test is over"));
      listener.close();
      await serving;
      assert.ok(folder.read("known_hosts").startsWith("[127.0.0.1]"));
    },
  });
}
