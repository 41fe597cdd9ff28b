/**
 * The library under Node: runs a command over a Node socket. Names nothing of Deno's, so the bundle runs there.
 *
 *   deno run -A examples/node_bundle.ts examples/node_exec.ts exec.mjs
 *   node exec.mjs HOST:PORT USER KEYFILE SHA256:… COMMAND
 */
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import process from "node:process";
import { Duplex } from "node:stream";
import { connectSsh, type Duplex as Streams, openSession, parsePrivateKey } from "../mod.ts";
import { nodeCrypto } from "../src/deno/crypto_node.ts";

const [address, user, keyFile, fingerprint, command] = process.argv.slice(2);
const key = await parsePrivateKey(readFileSync(keyFile, "utf8"));
const [, host, port] = /^(.*):(\d+)$/.exec(address)!;

// A connection is two web streams, whatever is underneath; half-close needs this option.
const socket = createConnection({ host, port: Number(port), noDelay: true, allowHalfOpen: true });

const connection = await connectSsh(Duplex.toWeb(socket) as unknown as Streams, {
  crypto: nodeCrypto,
  verifyHostKey: async ({ key }) => await key.fingerprint() === fingerprint || "this is another server",
  auth: { user, credentials: [{ method: "publickey", signers: [key] }] },
});
const program = await (await openSession(connection)).exec(command);
await program.stdin.close();
program.stderr.close();

const buffer = new Uint8Array(32 * 1024);
for (let count; (count = await program.stdout.read(buffer)) !== null;) {
  process.stdout.write(buffer.slice(0, count));
}
const status = await program.status;
process.exitCode = "code" in status ? status.code : 255;
connection.close();
