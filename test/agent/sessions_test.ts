/** Stock ssh, scp and sftp in sessions of the agent. */
import assert from "node:assert/strict";
import { decodeText, encodeText } from "../../src/bytes/bytes.ts";
import { defaultSessionPolicy } from "../../src/agent/exec.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import type { TerminalChild } from "../../src/platform/process.ts";
import { openssh, opensshNewest, peerTest } from "../support/peers.ts";
import { run, start, succeed } from "../support/process.ts";
import { waitUntil } from "../support/wait.ts";
import { own, type SessionServer, startSessionServer } from "./session_server.ts";

const need = [openssh];
const ssh = (server: SessionServer, ...args: string[]) =>
  openssh.line("ssh", ...server.options, "-p", `${server.port}`, ...args);
const at = `${own.name}@127.0.0.1`;

peerTest("a command has its exit code, its two outputs, its home and its environment", need, async () => {
  await using server = await startSessionServer();
  const script = 'cat; echo err >&2; pwd; echo "$USER $LOGNAME $HOME $SHELL"; echo $SSH_CONNECTION; exit 3';
  const { code, text, stderr } = await run(ssh(server, at, script), { stdin: "in\n" });
  const [input, folder, names, connection] = text.trimEnd().split("\n");
  assert.deepEqual([code, input, folder], [3, "in", own.home]);
  // A user's start-up files may say something before it.
  assert.match(stderr, /^err$/m);
  assert.equal(names, `${own.name} ${own.name} ${own.home} ${own.shell}`);
  assert.match(connection, new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${server.port}$`));
  assert.deepEqual(server.errors, []);
});

peerTest("a signal that ends a command ends ssh with 255, and says which", need, async () => {
  await using server = await startSessionServer();
  const { code, stderr } = await run(ssh(server, "-v", at, "kill -TERM $$"));
  assert.equal(code, 255);
  assert.match(stderr, /client_input_channel_req: channel 0 rtype exit-signal/);
});

peerTest(
  "client variables pass by AcceptEnv, SetEnv beats them, and none changes who one is",
  need,
  async () => {
    const policy = { acceptEnv: ["A*", "HOME", "SSH_*"], setEnv: new Map([["A2", "admin"]]) };
    await using server = await startSessionServer({ policy });
    const sent = "SetEnv=A1=one A2=two B=three HOME=/evil SSH_ORIGINAL_COMMAND=evil SSH_AUTH_SOCK=/evil";
    const script = 'echo "$A1,$A2,$B,$HOME,$SSH_ORIGINAL_COMMAND,$SSH_AUTH_SOCK"';
    const { text } = await succeed(ssh(server, "-o", sent, at, script));
    assert.equal(text, `one,admin,,${own.home},,\n`);
  },
);

peerTest("tar into ssh into tar: half-close is exact, and the data too", need, async () => {
  await using server = await startSessionServer();
  const from = `${server.folder}/from`;
  const to = `${server.folder}/to`;
  await Deno.mkdir(from);
  await Deno.mkdir(to);
  await Deno.writeFile(`${from}/big`, crypto.getRandomValues(new Uint8Array(60_000)));
  await Deno.writeTextFile(`${from}/small`, "x".repeat(3_000_000));
  const line = ssh(server, at, `tar xf - -C ${to}; echo unpacked`).map((word) =>
    `'${word.replaceAll("'", "'\\''")}'`
  );
  const { text } = await succeed(["sh", "-c", `tar cf - -C ${from} . | ${line.join(" ")}`]);
  assert.equal(text, "unpacked\n");
  await succeed(["diff", "-r", from, to]);
});

peerTest(
  "a process in the background that holds the pipe is waited for, one that does not is not",
  need,
  async () => {
    await using server = await startSessionServer();
    const holding = await succeed(ssh(server, at, "(sleep 0.5; echo late) & echo early"));
    assert.equal(holding.text, "early\nlate\n");
    const started = performance.now();
    await succeed(ssh(server, at, "sleep 20 >/dev/null 2>&1 </dev/null & echo $!"));
    assert.ok(performance.now() - started < 10_000);
  },
);

peerTest("a shell without a terminal is a login shell that reads its commands from stdin", need, async () => {
  await using server = await startSessionServer({ account: { shell: "/bin/bash" } });
  const { text, code } = await run(ssh(server, "-T", at), {
    stdin: "echo $0; shopt -q login_shell && echo login\nexit 4\n",
  });
  assert.ok(text.endsWith("-bash\nlogin\n"), text);
  assert.equal(code, 4);
});

peerTest(
  "a forced command runs instead, knows the client's wish, and needs no leave for it",
  need,
  async () => {
    const policy = { forceCommand: 'echo "forced: $SSH_ORIGINAL_COMMAND"; exit 5' };
    await using server = await startSessionServer({ policy });
    const wished = await run(ssh(server, at, "rm -rf 'x y'"));
    assert.deepEqual([wished.text, wished.code], ["forced: rm -rf 'x y'\n", 5]);
    assert.equal((await run(ssh(server, "-T", at))).text, "forced: \n");
    assert.equal((await run(ssh(server, "-s", at, "sftp"))).text, "forced: internal-sftp\n");
  },
);

peerTest("a forced internal-sftp serves SFTP, whatever was asked for", need, async () => {
  await using server = await startSessionServer({ policy: { forceCommand: "internal-sftp" } });
  const { text } = await succeed(
    openssh.line("sftp", ...server.options, "-P", `${server.port}`, "-b", "-", at),
    { stdin: "pwd\n" },
  );
  assert.match(text, new RegExp(`Remote working directory: ${own.home}\n`));
});

for (const command of ["internal-sftp", "/none/sftp-server -l INFO"]) {
  peerTest(`scp and sftp work over the subsystem '${command}'`, need, async () => {
    await using server = await startSessionServer({ policy: { subsystems: new Map([["sftp", command]]) } });
    const source = `${server.folder}/source`;
    const data = crypto.getRandomValues(new Uint8Array(50_000));
    await Deno.writeFile(source, data);
    const copy = (...args: string[]) =>
      openssh.line("scp", ...server.options, "-P", `${server.port}`, ...args);
    await succeed(copy(source, `${at}:${server.folder}/there`));
    await succeed(copy(`${at}:${server.folder}/there`, `${server.folder}/back`));
    assert.deepEqual(await Deno.readFile(`${server.folder}/back`), data);
    // The old protocol runs the program scp at this end.
    await succeed(copy("-O", source, `${at}:${server.folder}/old`));
    assert.deepEqual(await Deno.readFile(`${server.folder}/old`), data);
  });
}

peerTest("a subsystem that there is none of is refused", need, async () => {
  await using server = await startSessionServer();
  const { code, stderr } = await run(ssh(server, "-s", at, "netconf"));
  assert.equal(code, 255);
  assert.match(stderr, /subsystem request failed/);
});

peerTest("without a shell plain commands run, and all else is told why not", need, async () => {
  await using server = await startSessionServer({ account: { shell: "/none/sh" } });
  assert.equal((await succeed(ssh(server, at, "printf '%s|' 'a b' c"))).text, "a b|c|");
  const pipe = await run(ssh(server, at, "ls | wc"));
  assert.equal(pipe.code, 127);
  assert.match(pipe.stderr, /there is no shell here \(\/none\/sh\): only plain commands run here/);
  const shell = await run(ssh(server, "-T", at));
  assert.match(shell.stderr, /there is no shell here \(\/none\/sh\): give a command to run/);
  const missing = await run(ssh(server, at, "no-such-program"));
  assert.match(missing.stderr, /there is no 'no-such-program' here/);
});

peerTest("where the home directory is gone a session starts in /", need, async () => {
  await using server = await startSessionServer({ account: { home: "/none/home" } });
  assert.equal((await succeed(ssh(server, at, "pwd"))).text, "/\n");
});

peerTest("the client's agent is behind a socket that goes with the session", need, async () => {
  await using server = await startSessionServer();
  const key = `${server.folder}/user`;
  const forwarding = (server: SessionServer, command: string) => {
    const [file, ...args] = ssh(server, "-A", at, command);
    return [file, "-o", "IdentityAgent=SSH_AUTH_SOCK", ...args];
  };
  const script = `eval $(ssh-agent -s) >/dev/null; ssh-add -q ${key}; "$@"; ssh-agent -k >/dev/null`;
  const remote = 'ssh-add -l; stat -c %a "$SSH_AUTH_SOCK" "${SSH_AUTH_SOCK%/*}"; echo $SSH_AUTH_SOCK';
  const { text } = await succeed(["sh", "-c", script, "sh", ...forwarding(server, remote)]);
  const [fingerprint, socketMode, folderMode, path] = text.split("\n");
  assert.match(fingerprint, /^256 SHA256:\S+ user \(ED25519\)$/);
  assert.deepEqual([socketMode, folderMode], ["600", "700"]);
  await waitUntil("no socket", async () => !await Deno.stat(path).then(() => true, () => false));

  await using strict = await startSessionServer({ policy: { allowAgentForwarding: false } });
  const refused = await succeed([
    "sh",
    "-c",
    script.replace(key, `${strict.folder}/user`),
    "sh",
    ...forwarding(strict, "echo -$SSH_AUTH_SOCK-"),
  ]);
  assert.equal(refused.text, "--\n");
});

/** Runs `ssh` on a terminal of its own, as a person does. */
async function onTerminal(line: string[], modes = new Map<number, number>()): Promise<{
  child: TerminalChild;
  output(): string;
  type(text: string): Promise<void>;
  sees(text: string): Promise<unknown>;
}> {
  const [file, ...args] = line;
  const env = { PATH: Deno.env.get("PATH")!, HOME: own.home };
  const child = await denoProcesses.spawnOnTerminal(
    { file, args, env },
    { term: "vt220", columns: 101, rows: 31, modes },
  );
  let output = "";
  (async () => {
    const buffer = new Uint8Array(4096);
    for (let n = await child.output.read(buffer); n !== null; n = await child.output.read(buffer)) {
      output += decodeText(buffer.subarray(0, n));
    }
  })();
  return {
    child,
    output: () => output,
    type: (text) => child.input.write(encodeText(text)),
    sees: (text) => waitUntil(`'${text}' on the terminal`, () => Promise.resolve(output.includes(text))),
  };
}

for (const peer of [openssh, opensshNewest]) {
  peerTest(
    `${peer.name} on a terminal: size, TERM, modes, resize, control-C, exit status`,
    [peer],
    async () => {
      await using server = await startSessionServer({ account: { shell: "/bin/sh" } });
      const line = peer.line("ssh", ...server.options, "-p", `${server.port}`, "-t", at);
      // The person's own erase character is ^H, and control-C is control-X.
      const terminal = await onTerminal(line, new Map([[3, 8], [1, 24]]));
      await terminal.type(
        "PS1='>'; stty -a; echo $TERM; test $SSH_TTY = $(tty) && echo same-tty; echo one''two\n",
      );
      await terminal.sees("onetwo");
      for (const expected of ["rows 31; columns 101;", "vt220", "erase = ^H;", "intr = ^X;", "same-tty"]) {
        assert.ok(terminal.output().includes(expected), `${expected} in ${terminal.output()}`);
      }
      terminal.child.resize({ columns: 66, rows: 22 });
      await terminal.type("sleep 0.3; echo size $(stty size)\n");
      await terminal.sees("size 22 66");
      await terminal.type("echo sleep''ing; sleep 100; echo not''reached\n");
      await terminal.sees("sleeping");
      await terminal.type("\x18");
      await terminal.sees("^X");
      await terminal.type("exit 9\n");
      let status: unknown;
      terminal.child.status.then((ended) => status = ended);
      await waitUntil("the end", () => Promise.resolve(status !== undefined));
      assert.deepEqual(status, { code: 9 });
      assert.ok(!terminal.output().includes("notreached"));
      terminal.child.close();
      assert.deepEqual(server.errors, []);
    },
  );
}

peerTest("a terminal may be forbidden; the command then runs without one", need, async () => {
  await using server = await startSessionServer({ policy: { permitTTY: false } });
  const { text, stderr } = await run(ssh(server, "-tt", at, "tty; echo done"), { stdin: "" });
  assert.match(stderr, /PTY allocation request failed/);
  assert.match(text, /^(not a tty\ndone\n)?$/);
  // ssh may give up by itself; the command's end is waited for all the same.
  await waitUntil("no program", () => Promise.resolve(server.programs === 0));
});

peerTest("a client that is killed hangs up its terminal's programs", need, async () => {
  await using server = await startSessionServer();
  const mark = `${server.folder}/hung-up`;
  await using client = start(
    ssh(server, "-tt", at, `trap 'echo gone > ${mark}; exit' HUP; echo ready; while :; do sleep 0.1; done`),
  );
  await client.stdout.match(/ready/);
  await client.stop("SIGKILL");
  await waitUntil("the trap", () => Deno.stat(mark).then(() => true, () => false));
});

Deno.test("the agent's default takes the locale and little else from clients", () => {
  assert.deepEqual(defaultSessionPolicy.acceptEnv, ["LANG", "LC_*", "COLORTERM", "NO_COLOR"]);
  assert.equal(defaultSessionPolicy.subsystems.get("sftp"), "internal-sftp");
});
