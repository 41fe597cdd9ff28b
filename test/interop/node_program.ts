/**
 * What the library does under Node: a client and a server shake hands over a connection in memory and run one program.
 * Prints one line of JSON. The test bundles it; it names nothing of Deno's.
 */
import { acceptSsh, connectSsh, duplexPair, generatePrivateKey } from "../../mod.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";

const [near, far] = duplexPair();
const hostKey = await generatePrivateKey("ssh-ed25519");
const userKey = await generatePrivateKey("ecdsa-sha2-nistp256");
const fingerprints = [await userKey.publicKey.fingerprint(), await hostKey.publicKey.fingerprint()];

const serving = acceptSsh(far, {
  crypto: nodeCrypto,
  hostKeys: [hostKey],
  auth: {
    publicKey: async ({ key, user }) =>
      await key.fingerprint() === fingerprints[0]
        ? { result: "accepted", identity: user }
        : { result: "refused" },
  },
  prepare: (connection) => {
    connection.onChannel = async (incoming) => {
      const channel = incoming.accept();
      const buffer = new Uint8Array(1024);
      for (let count; (count = await channel.read(buffer)) !== null;) {
        await channel.write(buffer.subarray(0, count));
      }
      await channel.closeWrite();
    };
  },
});

const client = await connectSsh(near, {
  crypto: nodeCrypto,
  verifyHostKey: async ({ key }) => await key.fingerprint() === fingerprints[1] || "another key",
  auth: { user: "ann", credentials: [{ method: "publickey", signers: [userKey] }] },
});
const server = await serving;

const channel = await client.open("session", new Uint8Array(0));
await channel.write(new TextEncoder().encode("hello through Node"));
await channel.closeWrite();
const buffer = new Uint8Array(1024);
const echo = [];
for (let count; (count = await channel.read(buffer)) !== null;) {
  echo.push(new TextDecoder().decode(buffer.subarray(0, count)));
}
channel.close();
client.close();
await server.closed;

console.log(JSON.stringify({ identity: server.authenticated.identity, echo: echo.join("") }));
