/**
 * A channel type of one's own, between a client and a server in one process: the server sends back in capitals.
 *
 *   deno run examples/custom_channel.ts TEXT
 */
import { acceptSsh, connectSsh, duplexPair, generatePrivateKey, Router } from "../mod.ts";
import { nodeCrypto } from "../src/deno/crypto_node.ts";

/** Names of one's own end in a domain of one's own (RFC 4250 §4.6.1). */
const UPPER = "upper@example.com";

const [near, far] = duplexPair();
const [hostKey, userKey] = [await generatePrivateKey("ssh-ed25519"), await generatePrivateKey("ssh-ed25519")];
const fingerprint = await hostKey.publicKey.fingerprint();

const serving = acceptSsh(far, {
  crypto: nodeCrypto,
  hostKeys: [hostKey],
  auth: { publicKey: ({ user }) => ({ result: "accepted", identity: user }) },
  prepare: (connection) => {
    const router = new Router(connection);
    router.onChannel(UPPER, (incoming) => upper(incoming.accept()));
  },
});

async function upper(
  channel: { readable: ReadableStream<Uint8Array>; writable: WritableStream },
): Promise<void> {
  const capitals = new TransformStream<string, string>({
    transform: (text, controller) => controller.enqueue(text.toUpperCase()),
  });
  await channel.readable.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
    .pipeThrough(capitals).pipeThrough(new TextEncoderStream()).pipeTo(channel.writable);
}

const client = await connectSsh(near, {
  crypto: nodeCrypto,
  verifyHostKey: async ({ key }) => await key.fingerprint() === fingerprint || "another server",
  auth: { user: "ann", credentials: [{ method: "publickey", signers: [userKey] }] },
});
const channel = await client.open(UPPER, new Uint8Array());
const writer = channel.writable.getWriter();
await writer.write(new TextEncoder().encode(Deno.args.join(" ")));
await writer.close();
console.log(await new Response(channel.readable).text());

channel.close();
client.close();
await (await serving).closed;
