/**
 * An SSH client made of npm's ssh2, for the tests.
 *
 * usage: ssh2_client.ts PORT USER KEYFILE HOSTKEY MODE ARGUMENTS     HOSTKEY: "type base64"
 *
 *   exec COMMAND             standard input and output attached; exits as the command did
 *   pty COMMAND              the same in a terminal of 97 columns and 31 rows
 *   copy LOCAL REMOTE        uploads by SFTP, then downloads to LOCAL.back
 *   local PORT HOST PORT     listens on 127.0.0.1 and forwards as the server sees it, until killed
 *   remote NAME PORT PORT    asks the server to listen at NAME:PORT and forwards to 127.0.0.1, until killed
 */
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import process from "node:process";
import type { Duplex } from "node:stream";
// @ts-types="./ssh2_types.ts"
import ssh2, { type Channel } from "ssh2";

const [port, username, keyFile, hostKey, mode, ...args] = process.argv.slice(2);
const [kind, expected] = hostKey.split(" ");
const client = new ssh2.Client();

/** Attaches a program to this one's standard streams. */
function attach(error: Error | undefined, channel: Channel): void {
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
}

function relay(near: Duplex, far: Duplex): void {
  near.pipe(far).pipe(near);
  for (const end of [near, far]) end.on("error", () => {});
}

const modes: Record<string, (...args: string[]) => void> = {
  exec: (command) => client.exec(command, attach),
  pty: (command) => client.exec(command, { pty: { term: "xterm", cols: 97, rows: 31 } }, attach),
  copy(local, remote) {
    client.sftp((error, sftp) => {
      if (error) throw error;
      sftp.fastPut(local, remote, (error) => {
        if (error) throw error;
        sftp.fastGet(remote, `${local}.back`, (error) => {
          if (error) throw error;
          client.end();
        });
      });
    });
  },
  local(nearPort, host, farPort) {
    const server = createServer({ allowHalfOpen: true }, (near) => {
      client.forwardOut("127.0.0.1", 0, host, Number(farPort), (error, far) => {
        if (error) near.destroy(error);
        else relay(near, far);
      });
    });
    server.listen(Number(nearPort), "127.0.0.1");
  },
  remote(name, farPort, nearPort) {
    client.on("tcp connection", (_details, accept) => {
      relay(connect({ host: "127.0.0.1", port: Number(nearPort), allowHalfOpen: true }), accept());
    });
    client.forwardIn(name, Number(farPort), (error) => {
      if (error) throw error;
    });
  },
};

client.on("ready", () => modes[mode](...args));
client.on("error", (error) => {
  console.error(String(error));
  process.exit(255);
});
client.connect({
  host: "127.0.0.1",
  port: Number(port),
  username,
  privateKey: readFileSync(keyFile),
  // It takes whatever it prefers of what the server has: the key that is expected decides, as with known_hosts.
  ...(kind &&
    { algorithms: { serverHostKey: kind === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [kind] } }),
  hostVerifier: (key) => key.toString("base64") === expected,
});
