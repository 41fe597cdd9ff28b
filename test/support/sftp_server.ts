/**
 * Our SFTP server over standard input and output, for clients that start one: `sftp -D "deno run -A sftp_server.ts"`.
 * `--read-only`, and `--user ID` to give up root's rights first.
 */
import process from "node:process";
import { systemAccounts, systemFiles } from "../../src/deno/files.ts";
import { serveSftp } from "../../src/ssh/sftp/server.ts";

const user = Deno.args[Deno.args.indexOf("--user") + 1];
if (Deno.args.includes("--user")) {
  process.setgid!(Number(user));
  process.setuid!(Number(user));
}
await serveSftp({ readable: Deno.stdin.readable, writable: Deno.stdout.writable }, {
  files: systemFiles,
  accounts: systemAccounts,
  home: Deno.cwd(),
  readOnly: Deno.args.includes("--read-only"),
});
