/**
 * Uploads a file by SFTP, lists its folder there, and downloads it again.
 *
 *   deno run -A examples/sftp.ts HOST:PORT USER KEYFILE SHA256:… LOCAL REMOTE COPY
 */
import { connectSsh, openSession, openSftp, parsePrivateKey } from "../mod.ts";
import { chooseCrypto } from "../src/deno/crypto.ts";
import { denoNet } from "../src/deno/net.ts";
import { parseTcpAddress } from "../src/platform/net.ts";

const [address, user, keyFile, fingerprint, local, remote, copy] = Deno.args;
const key = await parsePrivateKey(await Deno.readTextFile(keyFile));

const connection = await connectSsh(await denoNet.dial(parseTcpAddress(address)), {
  crypto: (await chooseCrypto()).provider,
  verifyHostKey: async ({ key }) => await key.fingerprint() === fingerprint || "this is another server",
  auth: { user, credentials: [{ method: "publickey", signers: [key] }] },
});

const session = await openSession(connection);
const { channel } = await session.subsystem("sftp");
{
  await using sftp = await openSftp(channel);
  const source = (await Deno.open(local)).readable;
  console.log("uploaded", await sftp.upload(remote, source, { mode: 0o600 }), "bytes");

  const folder = remote.slice(0, remote.lastIndexOf("/")) || "/";
  for await (const { name, attributes } of sftp.list(folder)) {
    if (remote.endsWith(`/${name}`)) console.log(name, attributes.size);
  }

  const sink = await Deno.open(copy, { write: true, create: true, truncate: true });
  await sftp.download(remote).pipeTo(sink.writable);
}
connection.close();
await connection.closed;
