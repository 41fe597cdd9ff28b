/**
 * Runs a command on an SSH server whose host key's fingerprint is known, and ends as the command does.
 *
 *   deno run -A examples/exec.ts HOST:PORT USER KEYFILE SHA256:… COMMAND
 */
import { connectSsh, openSession, parsePrivateKey } from "../mod.ts";
import { chooseCrypto } from "../src/deno/crypto.ts";
import { denoNet } from "../src/deno/net.ts";
import { parseTcpAddress } from "../src/platform/net.ts";

const [address, user, keyFile, fingerprint, command] = Deno.args;
const key = await parsePrivateKey(await Deno.readTextFile(keyFile));

const connection = await connectSsh(await denoNet.dial(parseTcpAddress(address)), {
  crypto: (await chooseCrypto()).provider,
  verifyHostKey: async ({ key }) => await key.fingerprint() === fingerprint || "this is another server",
  auth: { user, credentials: [{ method: "publickey", signers: [key] }] },
});

const session = await openSession(connection);
const program = await session.exec(command);
await program.stdin.close();

// Both outputs share the channel's window: read both, at the same time.
const [out, err] = [Deno.stdout, Deno.stderr];
await Promise.all([copy(program.stdout, out), copy(program.stderr, err)]);
const status = await program.status;
connection.close();
await connection.closed;
Deno.exit("code" in status ? status.code : 255);

async function copy(from: typeof program.stdout, to: typeof out): Promise<void> {
  const buffer = new Uint8Array(32 * 1024);
  for (let count; (count = await from.read(buffer)) !== null;) {
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
}
