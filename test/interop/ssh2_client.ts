/**
 * Runs one command over SSH with npm's ssh2, standard input and output attached, and exits as it did.
 *
 * usage: ssh2_client.ts PORT USER KEYFILE HOSTKEY COMMAND     HOSTKEY: "type base64"
 */
import { readFileSync } from "node:fs";
import process from "node:process";
// @ts-types="./ssh2_types.ts"
import ssh2 from "ssh2";

const [port, username, keyFile, hostKey, command] = process.argv.slice(2);
const expected = hostKey.split(" ")[1];
const client = new ssh2.Client();

client.on("ready", () => {
  client.exec(command, (error, channel) => {
    if (error) throw error;
    let status = 255;
    channel.on("exit", (code: number | null) => status = code ?? 255);
    channel.on("close", () => {
      client.end();
      process.exitCode = status;
    });
    process.stdin.pipe(channel);
    channel.pipe(process.stdout);
    channel.stderr.pipe(process.stderr);
  });
});
client.on("error", (error) => {
  console.error(String(error));
  process.exit(255);
});
client.connect({
  host: "127.0.0.1",
  port: Number(port),
  username,
  privateKey: readFileSync(keyFile),
  hostVerifier: (key) => key.toString("base64") === expected,
});
