/**
 * An SSH server: who holds the key with this fingerprint may run `hello`, and nothing else.
 *
 *   deno run -A examples/server.ts PORT SHA256:…
 */
import { acceptSsh, generatePrivateKey, serveSession, type Service } from "../mod.ts";
import { chooseCrypto } from "../src/deno/crypto.ts";
import { denoNet } from "../src/deno/net.ts";
import { formatAddress } from "../src/platform/net.ts";

const [port, fingerprint] = Deno.args;
const hostKey = await generatePrivateKey("ssh-ed25519");
const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: Number(port) });
console.log(formatAddress(listener.address), await hostKey.publicKey.fingerprint());

const { provider: crypto } = await chooseCrypto();
for await (const duplex of listener) {
  acceptSsh(duplex, {
    crypto,
    hostKeys: [hostKey],
    auth: {
      publicKey: async ({ key, user }) =>
        await key.fingerprint() === fingerprint
          ? { result: "accepted", identity: user }
          : { result: "refused", reason: "another key" },
    },
    prepare: (connection) => {
      const hello = greeting(connection.authenticated.identity);
      connection.onChannel = (incoming) => {
        if (incoming.type !== "session") return; // what is not answered is refused
        serveSession(incoming.accept(), {
          start: (asked) =>
            Promise.resolve(asked.type === "exec" && asked.command === "hello" ? hello : undefined),
        });
      };
    },
  }).catch((error) => console.error(error.message));
}

function greeting(name: string): Service {
  return {
    async serve(channel) {
      await channel.write(new TextEncoder().encode(`hello, ${name}\n`));
      return { code: 0 };
    },
  };
}
