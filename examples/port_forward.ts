/**
 * What `ssh -L` does: connections to a local port go through an SSH server to a target.
 *
 *   deno run -A examples/port_forward.ts HOST:PORT USER KEYFILE SHA256:… TARGET_HOST:PORT
 */
import { connectSsh, openTcp, parsePrivateKey, relay } from "../mod.ts";
import { chooseCrypto } from "../src/deno/crypto.ts";
import { denoNet } from "../src/deno/net.ts";
import { formatAddress, parseTcpAddress } from "../src/platform/net.ts";

const [address, user, keyFile, fingerprint, target] = Deno.args;
const key = await parsePrivateKey(await Deno.readTextFile(keyFile));

const connection = await connectSsh(await denoNet.dial(parseTcpAddress(address)), {
  crypto: (await chooseCrypto()).provider,
  verifyHostKey: async ({ key }) => await key.fingerprint() === fingerprint || "this is another server",
  auth: { user, credentials: [{ method: "publickey", signers: [key] }] },
});

const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
connection.closed.then(() => listener.close());
console.log(formatAddress(listener.address));

const { hostname: host, port } = parseTcpAddress(target);
for await (const local of listener) {
  openTcp(connection, { host, port }).then(
    async (channel) => {
      // Half-close, back-pressure and the end of both are the relay's business.
      const { aToB, bToA, reason } = await relay(local, channel);
      console.log(`${reason}: ${aToB} bytes up, ${bToA} bytes down`);
    },
    (error) => {
      console.error(error.message);
      local.close();
    },
  );
}
