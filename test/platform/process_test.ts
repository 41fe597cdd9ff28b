import assert from "node:assert/strict";
import { concat, decodeText, encodeText } from "../../src/bytes/bytes.ts";
import type { Child, Command, PipeReader, TerminalChild } from "../../src/platform/process.ts";
import { denoProcesses } from "../../src/deno/process.ts";

const env = { PATH: Deno.env.get("PATH")!, HOME: "/" };
const sh = (script: string, more: Partial<Command> = {}): Command => ({
  file: "/bin/sh",
  args: ["-c", script],
  env,
  ...more,
});

async function all(pipe: PipeReader, buffer = new Uint8Array(1000)): Promise<string> {
  const parts: Uint8Array[] = [];
  for (let n = await pipe.read(buffer); n !== null; n = await pipe.read(buffer)) {
    parts.push(buffer.slice(0, n));
  }
  return decodeText(concat(...parts));
}

async function run(command: Command, input = ""): Promise<{ out: string; err: string; status: unknown }> {
  const child: Child = await denoProcesses.spawn(command);
  if (input !== "") await child.stdin.write(encodeText(input));
  await child.stdin.close();
  const [out, err, status] = await Promise.all([all(child.stdout), all(child.stderr), child.status]);
  return { out, err, status };
}

async function runOnTerminal(
  command: Command,
  drive?: (child: TerminalChild) => void | Promise<void>,
  terminal: Parameters<typeof denoProcesses.spawnOnTerminal>[1] = { term: "vt100", columns: 91, rows: 17 },
) {
  const child = await denoProcesses.spawnOnTerminal(command, terminal);
  const output = all(child.output);
  await drive?.(child);
  const [out, status] = await Promise.all([output, child.status]);
  child.close();
  return { out: out.replaceAll("\r\n", "\n"), status };
}

Deno.test("stdin, stdout and stderr are three pipes, and the exit code is exact", async () => {
  const result = await run(sh("cat; echo problem >&2; exit 42"), "input");
  assert.deepEqual(result, { out: "input", err: "problem\n", status: { code: 42 } });
});

for (
  const [script, status] of [
    ["kill -TERM $$", { signal: "TERM", coreDumped: false }],
    ["kill -KILL $$", { signal: "KILL", coreDumped: false }],
    ["kill -USR2 $$", { signal: "USR2", coreDumped: false }],
    ["kill -37 $$", { signal: "RTMIN+3", coreDumped: false }],
    ["exit 255", { code: 255 }],
    ["exit 143", { code: 143 }],
  ] as const
) {
  Deno.test({
    name: `'${script}' is reported as ${JSON.stringify(status)}, with pipes and on a terminal`,
    // Deno does not know real-time signals and keeps the resource of a child that died from one.
    sanitizeResources: !script.includes("37"),
    async fn() {
      assert.deepEqual((await run(sh(script))).status, status);
      assert.deepEqual((await runOnTerminal(sh(script))).status, status);
    },
  });
}

Deno.test("the environment is exactly the one given", async () => {
  const { out } = await run({ file: "env", args: [], env: { PATH: env.PATH, ONE: "1 = eins" } });
  assert.deepEqual(out.trim().split("\n").sort(), ["ONE=1 = eins", `PATH=${env.PATH}`]);
});

Deno.test("the working directory is the one given", async () => {
  assert.equal((await run(sh("pwd", { cwd: "/usr" }))).out, "/usr\n");
  assert.equal((await runOnTerminal(sh("pwd", { cwd: "/usr" }))).out, "/usr\n");
});

for (const way of ["spawn", "spawnOnTerminal"] as const) {
  const start = (command: Command) =>
    way === "spawn"
      ? denoProcesses.spawn(command)
      : denoProcesses.spawnOnTerminal(command, { term: "x", columns: 80, rows: 24 });

  Deno.test(`${way}: what does not exist or may not be executed is an error, not a child`, async () => {
    await assert.rejects(start({ file: "/no/such/file", args: [], env }), {
      name: "SpawnError",
      code: "not-found",
    });
    await assert.rejects(start({ file: "no-such-program", args: [], env }), { code: "not-found" });
    await assert.rejects(start({ file: "/etc/passwd", args: [], env }), { code: "denied" });
    await assert.rejects(start({ file: "/etc", args: [], env }), { code: "denied" });
    await assert.rejects(start(sh("true", { cwd: "/no/such/folder" })), { code: "no-folder" });
    await assert.rejects(start(sh("true", { cwd: "/etc/passwd" })), { code: "no-folder" });
  });
}

Deno.test("argv[0] is the one asked for, with pipes and on a terminal", async () => {
  const command = { file: "/bin/bash", args: ["-c", "echo $0; shopt -q login_shell && echo login"], env };
  const named = { ...command, argv0: "-bash" };
  assert.equal((await run(named)).out, "-bash\nlogin\n");
  assert.equal((await runOnTerminal(named)).out, "-bash\nlogin\n");
  assert.equal((await run(command)).out, "/bin/bash\n");
});

Deno.test("arguments arrive as they are, also through the launcher", async () => {
  const args = ["a b", "'", '"', "$HOME", "", "-n", "ü\n"];
  const print = { file: "/usr/bin/printf", args: ["[%s]", ...args], env, argv0: "-it's" };
  const expected = args.map((arg) => `[${arg}]`).join("");
  assert.equal((await run(print)).out, expected);
  assert.equal((await runOnTerminal(print)).out, expected);
});

Deno.test("output that the child leaves behind is read after its exit, while a background process holds the pipe", async () => {
  const child = await denoProcesses.spawn(sh("(sleep 0.3; echo late) & echo early; exit 3"));
  await child.stdin.close();
  assert.deepEqual(await child.status, { code: 3 });
  assert.equal(await all(child.stdout), "early\nlate\n");
  child.stderr.close();
});

Deno.test("writing to a child that has closed its stdin rejects", async () => {
  const child = await denoProcesses.spawn(sh("exec <&-; echo closed; sleep 0.2"));
  const buffer = new Uint8Array(16);
  await child.stdout.read(buffer);
  await assert.rejects(child.stdin.write(new Uint8Array(10)));
  await child.stdin.close();
  child.stdout.close();
  child.stderr.close();
  await child.status;
});

Deno.test("a signal reaches the whole process group", async () => {
  const child = await denoProcesses.spawn(sh("sleep 100 & echo started; wait"));
  await child.stdin.close();
  const buffer = new Uint8Array(16);
  await child.stdout.read(buffer);
  child.kill("TERM");
  assert.deepEqual(await child.status, { signal: "TERM", coreDumped: false });
  // Its end shows that the background process, which held the pipe, has gone too.
  assert.equal(await child.stdout.read(buffer), null);
  child.kill("TERM");
  child.kill("NO-SUCH-SIGNAL");
  child.stderr.close();
});

Deno.test("a reader that stops reading stops the child", async () => {
  const child = await denoProcesses.spawn(sh("head -c 10000000 /dev/zero; echo done >&2"));
  await child.stdin.close();
  const buffer = new Uint8Array(100_000);
  let total = await child.stdout.read(buffer) ?? 0;
  const first = await Promise.race([
    child.status,
    new Promise((resolve) => setTimeout(resolve, 100, "waiting")),
  ]);
  assert.equal(first, "waiting");
  for (let n = await child.stdout.read(buffer); n !== null; n = await child.stdout.read(buffer)) total += n;
  assert.equal(total, 10_000_000);
  assert.equal(await all(child.stderr), "done\n");
  await child.status;
});

Deno.test("a terminal has its size, its TERM and the child as session leader", async () => {
  const { out } = await runOnTerminal(
    sh("tty | cut -c1-9; stty size; echo $TERM; ps -o pid=,sid= -p $$ | tr -s ' '"),
  );
  const [tty, size, term, ids] = out.split("\n");
  assert.deepEqual([tty, size, term], ["/dev/pts/", "17 91", "vt100"]);
  const [pid, sid] = ids.trim().split(" ");
  assert.equal(pid, sid);
});

Deno.test("a size of zero is the usual size", async () => {
  const { out } = await runOnTerminal(sh("stty size"), undefined, { term: "x", columns: 0, rows: 0 });
  assert.equal(out, "24 80\n");
});

Deno.test("resize tells the foreground process", async () => {
  const script = "trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done";
  const child = await denoProcesses.spawnOnTerminal(sh(script), { term: "x", columns: 80, rows: 24 });
  const buffer = new Uint8Array(64);
  await child.output.read(buffer);
  child.resize({ columns: 132, rows: 50 });
  assert.equal(await all(child.output), "50 132\r\n");
  assert.deepEqual(await child.status, { code: 3 });
  child.resize({ columns: 10, rows: 10 });
});

Deno.test("terminal modes are set before the command runs, and the device is in the variable named", async () => {
  const modes = new Map([[1, 0x18], [2, 255], [3, 0x08], [38, 0], [53, 0], [72, 0], [42, 1], [200, 9], [
    128,
    38400,
  ]]);
  const command = sh("stty -a; echo $SSH_TTY; tty");
  const terminal = { term: "x", columns: 80, rows: 24, modes, deviceVariable: "SSH_TTY" };
  const { out } = await runOnTerminal(command, undefined, terminal);
  for (
    const expected of ["intr = ^X;", "quit = <undef>;", "erase = ^H;", "-ixon", "-echo ", "-onlcr", " iutf8"]
  ) {
    assert.ok(out.includes(expected), `${expected} in ${out}`);
  }
  const [variable, tty] = out.trim().split("\n").slice(-2);
  assert.equal(variable, tty);
});

Deno.test("control-C on the terminal interrupts the foreground process", async () => {
  const { status } = await runOnTerminal(sh("echo ready; exec sleep 100"), async (child) => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await child.input.write(new Uint8Array([3]));
    await child.input.close();
  });
  assert.deepEqual(status, { signal: "INT", coreDumped: false });
});

Deno.test("all output of a terminal is read, however slowly", async () => {
  const child = await denoProcesses.spawnOnTerminal(sh("seq 20000"), { term: "x", columns: 80, rows: 24 });
  const buffer = new Uint8Array(4096);
  let text = "";
  for (let turn = 0;; turn++) {
    const count = await child.output.read(buffer);
    if (count === null) break;
    text += decodeText(buffer.subarray(0, count));
    // Longer than the silence after which an ended terminal is given up, near the end too.
    if (turn === 1 || text.includes("\n19990\r")) await new Promise((resolve) => setTimeout(resolve, 150));
  }
  const expected = Array.from({ length: 20000 }, (_, i) => `${i + 1}\r\n`).join("");
  assert.equal(text, expected);
  assert.deepEqual(await child.status, { code: 0 });
});

Deno.test("a background process does not keep a terminal open after its command", async () => {
  const started = performance.now();
  const { out, status } = await runOnTerminal(sh("trap '' HUP; sleep 30 >/dev/null & echo bye; exit 4"));
  assert.deepEqual([out, status], ["bye\n", { code: 4 }]);
  assert.ok(performance.now() - started < 20_000);
});

Deno.test("closing a terminal hangs up", async () => {
  const child = await denoProcesses.spawnOnTerminal(sh("echo ready; exec sleep 100"), {
    term: "x",
    columns: 80,
    rows: 24,
  });
  await child.output.read(new Uint8Array(16));
  child.close();
  assert.deepEqual(await child.status, { signal: "HUP", coreDumped: false });
  await assert.rejects(child.input.write(new Uint8Array(1)));
});
