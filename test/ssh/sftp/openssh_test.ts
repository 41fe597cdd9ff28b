/** The real `sftp` against our server, and our client against the real `sftp-server`, over pipes and without SSH. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { concat, decodeText, encodeText, randomBytes } from "../../../src/bytes/bytes.ts";
import { systemAccounts, systemFiles } from "../../../src/deno/files.ts";
import { openSftp, type SftpClient } from "../../../src/ssh/sftp/client.ts";
import { OpenFlag, Status } from "../../../src/ssh/sftp/protocol.ts";
import { serveSftp } from "../../../src/ssh/sftp/server.ts";
import { SftpError } from "../../../src/ssh/sftp/status.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { type Folder, temporaryFolder } from "../../support/folder.ts";
import { findProgram } from "../../support/peers.ts";
import { type Finished, run } from "../../support/process.ts";

const SFTP_SERVER = "/usr/lib/openssh/sftp-server";
const missing = !findProgram("sftp") || !findProgram("sftp-server") && !exists(SFTP_SERVER);
const SIZE = 50_000_000;
const support = new URL("../../support/sftp_server.ts", import.meta.url).pathname;

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function hashFile(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

function writeRandom(path: string, size: number): void {
  using file = Deno.openSync(path, { write: true, create: true });
  for (let left = size; left > 0; left -= 1_000_000) file.writeSync(randomBytes(Math.min(left, 1_000_000)));
}

interface Places {
  /** Where the client runs. */
  readonly local: Folder;
  /** Where the server's session begins. */
  readonly remote: Folder;
  /** Runs `sftp` with these commands. A command after `-` may fail. */
  sftp(commands: readonly string[], args?: string): Promise<Finished>;
}

/** A test of the real client with our server. */
function withClient(name: string, test: (places: Places) => Promise<void>, ignore = missing): void {
  Deno.test({
    name: `OpenSSH's sftp ${name}`,
    ignore,
    fn: async () => {
      using local = temporaryFolder();
      using remote = temporaryFolder();
      // The server's own folder is where it starts; sftp starts it in the client's.
      const script = local.write(
        "server.sh",
        `#!/bin/sh\ncd ${remote.path} && exec ${Deno.execPath()} run -A --quiet ${support} "$@"\n`,
        0o755,
      );
      const denoDir = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
      await test({
        local,
        remote,
        sftp: (commands, args = "") =>
          run(["sftp", "-b", "-", "-D", `${script} ${args}`], {
            stdin: commands.join("\n") + "\n",
            cwd: local.path,
            env: { DENO_DIR: denoDir },
            within: 60_000,
          }),
      });
    },
  });
}

withClient("puts, gets and resumes 50 MB unharmed", async ({ local, remote, sftp }) => {
  writeRandom(local.at("big"), SIZE);
  const { code, stderr } = await sftp(["put big", "get big back", "put -f -p big synced"]);
  assert.equal(code, 0, stderr);
  const hash = hashFile(local.at("big"));
  assert.equal(hashFile(remote.at("big")), hash);
  assert.equal(hashFile(remote.at("synced")), hash);
  assert.equal(hashFile(local.at("back")), hash);
  Deno.truncateSync(local.at("back"), 20_000_001);
  Deno.truncateSync(remote.at("synced"), 30_000_001);
  const resumed = await sftp(["reget big back", "reput big synced"]);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.equal(hashFile(local.at("back")), hash);
  assert.equal(hashFile(remote.at("synced")), hash);
});

withClient("lists, changes, links, renames and removes", async ({ local, remote, sftp }) => {
  local.write("small", "small");
  const { code, text, stderr } = await sftp([
    "pwd",
    "mkdir dir",
    "put small dir/one",
    "chmod 640 dir/one",
    "ls -l dir",
    "ls -ln dir",
    "symlink one dir/link",
    "ln dir/one dir/hard",
    "ls -la dir",
    "put small dir/two",
    "rename dir/one dir/two",
    "copy dir/two dir/three",
    "df .",
    "rm dir/two",
    "rm dir/link",
    "rm dir/hard",
    "cd dir",
    "pwd",
    "rm three",
    "cd ..",
    "rmdir dir",
    "ls",
  ]);
  assert.equal(code, 0, stderr);
  assert.ok(text.includes(`Remote working directory: ${remote.path}/dir`));
  assert.match(text, /^-rw-r----- .* root +root +5 .* dir\/one$/m);
  assert.match(text, /^lrwxrwxrwx .* dir\/link$/m);
  assert.match(text, /^drwx.* dir\/\.$/m);
  assert.match(text, /%Capacity\n +\d+ +\d+ +\d+ +\d+ +\d+%/);
  assert.deepEqual([...Deno.readDirSync(remote.path)], []);
});

withClient("renames over an existing file, and refuses to the old way", async ({ remote, sftp }) => {
  remote.write("a", "A");
  remote.write("b", "B");
  // -l: the request of the draft instead of posix-rename.
  const refused = await sftp(["rename -l a b"]);
  assert.equal(refused.code, 1);
  assert.equal(remote.read("b"), "B");
  const { code, stderr } = await sftp(["rename a b"]);
  assert.equal(code, 0, stderr);
  assert.equal(remote.read("b"), "A");
});

withClient("moves whole trees with odd names both ways", async ({ local, remote, sftp }) => {
  Deno.mkdirSync(local.at("tree/deep/er"), { recursive: true });
  const names = ["ünï ☃", "new\nline", "sp ace", "*star?", "'quote\""];
  for (const name of names) local.write(`tree/deep/${name}`, name);
  const { code, stderr } = await sftp(["put -pr tree", "get -pr tree back"]);
  assert.equal(code, 0, stderr);
  for (const name of names) {
    assert.equal(remote.read(`tree/deep/${name}`), name);
    assert.equal(local.read(`back/deep/${name}`), name);
  }
  assert.ok(Deno.statSync(local.at("back/deep/er")).isDirectory);
  assert.equal(
    Deno.statSync(local.at("back/deep/sp ace")).mtime?.getTime(),
    Math.floor(Deno.statSync(local.at("tree/deep/sp ace")).mtime!.getTime() / 1000) * 1000,
  );
});

withClient("is told what is not there and what is not a directory", async ({ remote, sftp }) => {
  remote.write("f", "");
  const { code, stderr } = await sftp(["-get nowhere", "-cd f", "-rmdir f", "-mkdir f", "pwd"]);
  assert.equal(code, 0);
  assert.match(stderr, /"?.*nowhere"? not found/);
  assert.match(stderr, /not a directory/);
});

withClient("is refused by permissions as anyone else", async ({ local, remote, sftp }) => {
  local.write("small", "x");
  Deno.chmodSync(remote.path, 0o755);
  remote.write("secret", "s", 0o600);
  remote.write("public", "p", 0o644);
  const nobody = String(Deno.statSync("/proc/self").uid === 0 ? 65534 : Deno.uid());
  const { code, stderr } = await sftp([
    "-get secret",
    "-put small new",
    "-rm public",
    "-chmod 666 public",
    "-mkdir d",
    "get public",
  ], `--user ${nobody}`);
  assert.equal(code, 0, stderr);
  assert.equal(stderr.match(/Permission denied/g)?.length, 5, stderr);
  assert.equal(local.read("public"), "p");
  assert.equal(remote.read("public"), "p");
}, missing || Deno.uid() !== 0);

withClient("reads from a read-only server and changes nothing", async ({ local, remote, sftp }) => {
  local.write("small", "x");
  remote.write("f", "content");
  const { code, stderr } = await sftp(
    ["get f", "-put small", "-rm f", "-rename f g", "ls -l"],
    "--read-only",
  );
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Permission denied/);
  assert.deepEqual([...Deno.readDirSync(remote.path)].map(({ name }) => name), ["f"]);
  assert.equal(local.read("f"), "content");
});

/** A test of our client with the real server. */
function withRealServer(name: string, test: (sftp: SftpClient, remote: Folder) => Promise<void>): void {
  Deno.test({
    name: `with OpenSSH's sftp-server, our client ${name}`,
    ignore: missing,
    fn: async () => {
      using remote = temporaryFolder();
      const program = exists(SFTP_SERVER) ? SFTP_SERVER : findProgram("sftp-server")!;
      const child = new Deno.Command(program, {
        args: ["-d", remote.path],
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      try {
        await using sftp = await openSftp({ readable: child.stdout, writable: child.stdin });
        await test(sftp, remote);
      } finally {
        await child.status;
      }
    },
  });
}

withRealServer("puts and gets 50 MB unharmed", async (sftp, remote) => {
  writeRandom(remote.at("source"), SIZE);
  const hash = hashFile(remote.at("source"));
  using file = await Deno.open(remote.at("source"));
  const chunks = file.readable as ReadableStream<Uint8Array<ArrayBuffer>>;
  assert.equal(await sftp.upload("copy", chunks, { mode: 0o600 }), SIZE);
  assert.equal(hashFile(remote.at("copy")), hash);
  const digest = createHash("sha256");
  for await (const chunk of sftp.download("copy")) digest.update(chunk);
  assert.equal(digest.digest("hex"), hash);
});

/** "ok", the text read, or "refused". */
async function outcome(operation: () => Promise<unknown>): Promise<string> {
  try {
    const result = await operation();
    return result instanceof Uint8Array ? decodeText(result) : "ok";
  } catch (error) {
    assert.ok(error instanceof SftpError, String(error));
    return "refused";
  }
}

/** What comes of opening with each combination of flags: open, write, read, the file's content and mode. */
async function openEveryWay(sftp: SftpClient, folder: Folder): Promise<Map<string, string[]>> {
  const names = Object.keys(OpenFlag) as (keyof typeof OpenFlag)[];
  const results = new Map<string, string[]>();
  for (let bits = 0; bits < 64; bits++) {
    const flags = names.filter((name) => bits & OpenFlag[name]);
    for (const there of ["file", "nothing", "dangling link"]) {
      const path = folder.at("f");
      if (there === "file") folder.write("f", "0123", 0o600);
      else if (there === "dangling link") Deno.symlinkSync("target", path);
      const steps: string[] = [];
      const options = Object.fromEntries(flags.map((name) => [name, true]));
      steps.push(
        await outcome(async () => {
          await using file = await sftp.open("f", { ...options, mode: 0o640 });
          steps.push(await outcome(() => file.write(encodeText("XY"), 1)));
          steps.push(await outcome(() => file.read(0, 100)));
        }),
      );
      try {
        steps.push(folder.read("f"), (Deno.statSync(path).mode! & 0o777).toString(8));
      } catch {
        steps.push("absent");
      }
      results.set(`${flags.join("|") || "none"} on ${there}`, steps);
      for (const { name } of Deno.readDirSync(folder.path)) Deno.removeSync(folder.at(name));
    }
  }
  return results;
}

withRealServer(
  "opens files every way there is, with the results that our server gives",
  async (sftp, remote) => {
    const expected = await openEveryWay(sftp, remote);
    using folder = temporaryFolder();
    const [near, far] = duplexPair();
    const served = serveSftp(far, { files: systemFiles, accounts: systemAccounts, home: folder.path });
    const ours = await openSftp(near);
    assert.deepEqual(await openEveryWay(ours, folder), expected);
    assert.equal(expected.size, 192);
    ours.close();
    await assert.rejects(served);
  },
);

withRealServer("does everything else it can", async (sftp, remote) => {
  assert.ok(sftp.limits.read > 32768 && sftp.extensions.has("limits@openssh.com"));
  assert.equal(await sftp.realpath("."), remote.path);
  await sftp.mkdir("d", { mode: 0o700 });
  for (const name of ["ünï", "new\nline"]) remote.write(`d/${name}`, name);
  const names = await Array.fromAsync(sftp.list("d"), ({ name }) => name);
  assert.deepEqual(names.sort(), ["new\nline", "ünï"]);
  await sftp.symlink("d/ünï", "l");
  assert.equal(Deno.readLinkSync(remote.at("l")), "d/ünï");
  assert.equal(await sftp.readlink("l"), "d/ünï");
  await sftp.link("d/ünï", "hard");
  await assert.rejects(sftp.rename("hard", "l"), SftpError);
  await sftp.rename("hard", "d/new\nline", { replace: true });
  await sftp.setstat("d/ünï", { mode: 0o640, times: { accessed: 5, modified: 6 } });
  await sftp.lsetstat("l", { times: { accessed: 7, modified: 8 } });
  const { mode, times, size } = await sftp.stat("l");
  assert.deepEqual({ mode, times, size }, {
    mode: 0o100640,
    times: { accessed: 5, modified: 6 },
    size: 5,
  });
  assert.equal((await sftp.lstat("l")).times?.modified, 8);
  {
    await using file = await sftp.open("d/ünï", { read: true, write: true });
    await file.setstat({ size: 3 });
    await file.sync();
    assert.equal((await file.stat()).size, 3);
    assert.ok((await file.statFileSystem()).blocks > 0);
  }
  const space = await sftp.statFileSystem(".");
  assert.ok(space.blocks >= space.blocksFree && space.maxNameLength > 0);
  assert.equal(await sftp.expandPath("~root"), await systemAccounts.home("root"));
  await sftp.remove("d/ünï");
  await sftp.remove("d/new\nline");
  await sftp.rmdir("d");
  await assert.rejects(
    sftp.stat("d"),
    (error) => error instanceof SftpError && error.status === Status.noSuchFile,
  );
  const bytes = concat(randomBytes(70_000), randomBytes(300_000));
  await sftp.upload("x", new Response(bytes).body!);
  assert.equal((await sftp.stat("x")).size, bytes.length);
});
