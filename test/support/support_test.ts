/** The tests' own tools: one that lies makes every other test worthless. */
import assert from "node:assert/strict";
import { randomBytes } from "../../src/bytes/bytes.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { ChaosDuplex, InjectedFault } from "./chaos.ts";
import { sharedFolder, temporaryFolder } from "./folder.ts";
import { newestTree } from "./peers.ts";
import { run, start, succeed } from "./process.ts";
import { silentRelay } from "./silent_relay.ts";
import { dripUntilCut } from "./slow_client.ts";
import {
  echoServer,
  exchange,
  fileHash,
  pattern,
  patternHash,
  receiveHash,
  sendPattern,
  sinkServer,
  sourceServer,
  tcpServer,
  writePattern,
} from "./tcp.ts";
import { deadline, waitUntil } from "./wait.ts";

Deno.test("a deadline passes a result on and names what was late", async () => {
  assert.equal(await deadline(Promise.resolve(7), "seven"), 7);
  await assert.rejects(
    deadline(new Promise(() => {}), "the impossible", 5),
    /the impossible: not within 5 ms/,
  );
  await assert.rejects(waitUntil("the false", () => false, 5), /the false: not within 5 ms/);
  let asked = 0;
  assert.equal(await waitUntil("the third time", () => ++asked === 3 && "here"), "here");
});

Deno.test("a temporary folder is private and leaves nothing behind", () => {
  let path: string;
  {
    using folder = temporaryFolder();
    path = folder.path;
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o700);
    assert.equal(Deno.statSync(folder.write("key", "secret")).mode! & 0o777, 0o600);
    assert.equal(folder.read("key"), "secret");
  }
  assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
});

Deno.test({
  name: "a shared folder has one path here and in the newest peers' tree, and leaves nothing in either",
  ignore: newestTree.missing !== undefined,
  fn: async () => {
    let path: string;
    {
      using folder = sharedFolder();
      path = folder.path;
      folder.write("greeting", "hello");
      const { text } = await succeed(["chroot", newestTree.root, "cat", folder.at("greeting")]);
      assert.equal(text, "hello");
    }
    assert.throws(() => Deno.lstatSync(path), Deno.errors.NotFound);
    assert.throws(() => Deno.statSync(newestTree.root + path), Deno.errors.NotFound);
  },
});

Deno.test("running a program tells how it ended and what it said", async () => {
  const { code, text, stderr } = await run(["sh", "-c", "cat; echo no >&2; exit 3"], { stdin: "yes" });
  assert.deepEqual([code, text, stderr], [3, "yes", "no\n"]);
  await assert.rejects(succeed(["sh", "-c", "echo why >&2; exit 4"]), /exit 4\nwhy/);
  await assert.rejects(run(["sh", "-c", "exec tail -f /dev/null"], { within: 50 }), /not within 50 ms/);
});

Deno.test("a program gets none of this process's environment but PATH and the like", async () => {
  const { text } = await run(["env"], { env: { ADDED: "1" } });
  assert.match(text, /^ADDED=1$/m);
  assert.doesNotMatch(text, /^(SSH_AUTH_SOCK|USER|DENO_\w+|HOME=\/root)/m);
});

Deno.test("a program beside the test is read line by line and ended with it", async () => {
  let pid: number;
  {
    await using program = start(["sh", "-c", "echo one; echo ready 42; exec tail -f /dev/null"]);
    pid = program.pid;
    assert.equal((await program.stdout.match(/^ready (\d+)$/))[1], "42");
    await assert.rejects(
      program.stdout.match(/never/, { within: 20 }),
      /never.*not within 20 ms\none\nready 42/s,
    );
    assert.equal(program.exited, false);
  }
  assert.throws(() => Deno.kill(pid, "SIGCONT"));
});

Deno.test("a program's children end with it, and one that left its group does not hold the test up", async () => {
  await using program = start([
    "sh",
    "-c",
    "tail -f /dev/null & echo $!; setsid sh -c 'echo $$; exec tail -f /dev/null' & wait",
  ]);
  await program.stdout.match(/^\d+$/);
  const pids = await waitUntil(
    "two children",
    () => program.stdout.all.length === 2 && program.stdout.all.map(Number),
  );
  try {
    await program.stop();
    await waitUntil("the child's end", () => !alive(pids[0]));
    assert.equal(alive(pids[1]), true);
  } finally {
    Deno.kill(pids[1], "SIGKILL");
  }
});

function alive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

Deno.test("waiting for a line fails at once when the output has ended without it", async () => {
  await using program = start(["echo", "something else"]);
  await assert.rejects(program.stdout.match(/hello/), /the output ended without it/);
});

Deno.test("bulk data is told apart by its hash: through a file, a sink and a source", async () => {
  using folder = temporaryFolder();
  await using sink = sinkServer();
  const size = 3_000_001;
  await using source = sourceServer(size);
  const hash = patternHash(size);
  writePattern(folder.at("bulk"), size);
  assert.equal(Deno.statSync(folder.at("bulk")).size, size);
  assert.equal(fileHash(folder.at("bulk")), hash);
  assert.equal(await sendPattern(sink.port, size), hash);
  assert.equal(await receiveHash(source.port), hash);
  assert.notEqual(patternHash(size - 1), hash);
  const [first, second] = [...pattern(2 * 1024 * 1024)];
  assert.notDeepEqual(first, second);
});

Deno.test("an echo server answers after the client has ended its side, and counts its clients", async () => {
  await using echo = echoServer();
  const sent = randomBytes(200_000);
  assert.deepEqual(await exchange(echo.port, sent), sent);
  assert.equal(echo.accepted, 1);
});

Deno.test("a silent relay passes data both ways, then neither way, and closes nothing", async () => {
  await using echo = echoServer();
  await using relay = silentRelay(echo.port);
  const sent = randomBytes(100_000);
  assert.deepEqual(await exchange(relay.port, sent), sent);

  using caught = await Deno.connect({ hostname: "127.0.0.1", port: relay.port });
  const buffer = new Uint8Array(8);
  await caught.write(new Uint8Array([1]));
  assert.equal(await caught.read(buffer), 1);
  relay.fallSilent();
  await caught.write(new Uint8Array([2]));
  const answer = caught.read(buffer).catch(() => "closed here");
  await assert.rejects(deadline(answer, "an answer", 100), /an answer: not within/);

  relay.recover();
  assert.deepEqual(await exchange(relay.port, sent), sent);
  await assert.rejects(deadline(answer, "an answer", 20), /an answer: not within/);
  await relay[Symbol.asyncDispose]();
  assert.ok([null, "closed here"].includes(await answer as null));
});

Deno.test("a slow client tells when it is cut off, and when it is not", async () => {
  await using impatient = tcpServer(async (connection) => {
    const byte = new Uint8Array(1);
    for (let i = 0; i < 3; i++) await connection.read(byte);
  });
  const bytes = new TextEncoder().encode("SSH-");
  assert.ok(await dripUntilCut(impatient.port, bytes, { every: 5, within: 5000 }) < 5000);
  await using patient = echoServer();
  await assert.rejects(dripUntilCut(patient.port, bytes, { every: 5, within: 60 }), /still bore/);
});

Deno.test("a chaos duplex fails at the given read or write, cuts reads small and flips one bit", async () => {
  for (let at = 0; at < 3; at++) {
    const [near, far] = duplexPair();
    const reading = new ChaosDuplex(near, { failRead: at, chunk: 1 });
    await far.write(new Uint8Array([1, 2, 3, 4]));
    for (let i = 0; i < at; i++) assert.equal(await reading.read(new Uint8Array(9)), 1);
    await assert.rejects(reading.read(new Uint8Array(9)), InjectedFault);
    await assert.rejects(far.read(new Uint8Array(9)), InjectedFault);
  }
  for (let at = 0; at < 3; at++) {
    const [near] = duplexPair();
    const writing = new ChaosDuplex(near, { failWrite: at });
    for (let i = 0; i < at; i++) await writing.write(new Uint8Array(1));
    await assert.rejects(writing.write(new Uint8Array(1)), InjectedFault);
  }
  const [near, far] = duplexPair();
  const flipping = new ChaosDuplex(near, { flipBit: 9, chunk: 1 });
  await far.write(new Uint8Array([0, 0, 0]));
  const got = [];
  for (const byte = new Uint8Array(1); got.length < 3; got.push(byte[0])) await flipping.read(byte);
  assert.deepEqual(got, [0, 2, 0]);
});
