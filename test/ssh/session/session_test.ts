import assert from "node:assert/strict";
import { type Bytes, decodeText, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { denoProcesses } from "../../../src/deno/process.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { sessionOver } from "../../../src/ssh/session/client.ts";
import type { Program } from "../../../src/ssh/session/program.ts";
import { envRequest, ptyRequest, textRequest } from "../../../src/ssh/session/requests.ts";
import { MAX_ENV_COUNT } from "../../../src/ssh/session/server.ts";
import { channelPair, FAKE_WINDOW } from "./fake_channel.ts";
import { all, PTY, ScriptedProgram, serve, settled } from "./scripted_program.ts";

Deno.test("a program gets what was settled before, and its output, status, EOF and CLOSE come in this order", async () => {
  const { client, server, program, starts, done } = serve();
  const session = sessionOver(client);
  const running = await session.exec("do it", { env: { A: "1" }, pty: PTY, agentForwarding: true });
  assert.deepEqual(starts[0].request, { type: "exec", command: "do it" });
  assert.deepEqual([...starts[0].settings.env], [["A", "1"]]);
  assert.deepEqual(starts[0].settings.pty, PTY);
  assert.equal(starts[0].settings.agentForwarding, true);
  program.stdout.push("out");
  program.stderr.push("err");
  await settled();
  program.finish({ code: 3 });
  assert.deepEqual(await Promise.all([all(running.stdout), all(running.stderr)]), ["out", "err"]);
  assert.deepEqual(await running.status, { code: 3 });
  await done;
  const events = server.log.slice(server.log.lastIndexOf("success"));
  assert.deepEqual(events, ["success", "data", "stderr", "request exit-status", "eof", "close"]);
  assert.deepEqual(program.events, ["closed", "stdin closed"]);
});

Deno.test("the client's EOF closes the program's stdin and nothing else", async () => {
  const { client, program, done } = serve();
  const running = await sessionOver(client).exec("cat");
  await running.stdin.write(encodeText("last words"));
  await running.stdin.close();
  await settled();
  assert.deepEqual(program.events, ["stdin last words", "stdin closed"]);
  program.stdout.push("reply");
  program.finish();
  assert.equal(await all(running.stdout), "reply");
  assert.deepEqual(await running.status, { code: 0 });
  await done;
});

Deno.test("what comes out after the program's end is still sent before its status", async () => {
  const { client, server, program, done } = serve();
  const running = await sessionOver(client).exec("x");
  program.exit.resolve({ code: 9 });
  await settled();
  assert.ok(!server.log.includes("request exit-status"));
  program.stdout.push("from the background");
  program.finish();
  assert.equal(await all(running.stdout), "from the background");
  assert.deepEqual(await running.status, { code: 9 });
  await done;
});

Deno.test("a program that closes its output and goes on sends EOF at once and its status later", async () => {
  const { client, server, program, done } = serve();
  const running = await sessionOver(client).exec("x");
  program.stdout.end();
  program.stderr.end();
  assert.equal(await all(running.stdout), "");
  assert.ok(!server.log.includes("close"));
  await running.stdin.write(encodeText("more"));
  await settled();
  assert.deepEqual(program.events, ["stdin more"]);
  program.exit.resolve({ signal: "SEGV", coreDumped: true });
  assert.deepEqual(await running.status, { signal: "SEGV", coreDumped: true });
  await done;
  assert.deepEqual(server.log.slice(-3), ["eof", "request exit-signal", "close"]);
});

Deno.test("input that the program does not read is discarded, and the client is told", async () => {
  const { client, server, program, done } = serve();
  const running = await sessionOver(client).exec("head -1");
  program.brokenInput = true;
  const block = new Uint8Array(FAKE_WINDOW);
  await running.stdin.write(block);
  await settled();
  await assert.rejects(running.stdin.write(block), { code: "closed" });
  assert.ok(server.log.includes("request eow@openssh.com"));
  for (let i = 0; i < 4; i++) await client.write(block);
  program.finish();
  await running.status;
  await done;
});

Deno.test("a client that reads no more stops the program's output", async () => {
  const { client, program, done } = serve();
  const running = await sessionOver(client).exec("yes");
  await settled();
  await client.request("eow@openssh.com", EMPTY, false);
  await settled();
  assert.ok(program.stdout.closed && program.stderr.closed);
  program.exit.resolve({ signal: "PIPE", coreDumped: false });
  assert.deepEqual(await running.status, { signal: "PIPE", coreDumped: false });
  await done;
});

Deno.test("a client that goes takes the pipes and the terminal with it", async () => {
  const { client, program, done } = serve();
  const running = await sessionOver(client).exec("sleep");
  await settled();
  running.close();
  await done;
  assert.ok(program.stdout.closed && program.stderr.closed);
  assert.deepEqual(program.events.sort(), ["closed", "stdin closed"]);
  await assert.rejects(running.status, (error) => error instanceof SshError && error.code === "closed");
});

Deno.test("a client that goes while its program is being started leaves nothing behind", async () => {
  const gate = Promise.withResolvers<Program>();
  const { client, program, done } = serve({ start: () => gate.promise });
  const asked = client.request("shell", EMPTY, true);
  client.close();
  await settled();
  gate.resolve(program);
  await asked;
  await done;
  assert.ok(program.stdout.closed && program.stderr.closed);
  assert.deepEqual(program.events.sort(), ["closed", "stdin closed"]);
});

Deno.test("a client that never reads costs one window and one buffer", async () => {
  const { client, server, program, done } = serve();
  const running = await sessionOver(client).exec("yes");
  const block = "y".repeat(16 * 1024);
  for (let i = 0; i < 100; i++) program.stdout.push(block);
  await settled();
  assert.ok(server.unread <= FAKE_WINDOW + 16 * 1024, `${server.unread}`);
  assert.ok(program.stdout.reads.length > 90);
  program.finish();
  running.stderr.close();
  assert.equal((await all(running.stdout)).length, 100 * 16 * 1024);
  await done;
});

Deno.test("of shell, exec and subsystem exactly one starts, and settings end with it", async () => {
  const { client, program, starts, done } = serve();
  const ask = (type: string, data: Bytes = EMPTY) => client.request(type, data, true);
  assert.equal(await ask("shell"), true);
  assert.equal(await ask("shell"), false);
  assert.equal(await ask("exec", textRequest.encode("x")), false);
  assert.equal(await ask("subsystem", textRequest.encode("sftp")), false);
  assert.equal(await ask("env", envRequest.encode({ name: "A", value: "1" })), false);
  assert.equal(await ask("pty-req", ptyRequest.encode(PTY)), false);
  assert.equal(await ask("auth-agent-req@openssh.com"), false);
  assert.equal(starts.length, 1);
  program.finish();
  await done;
});

Deno.test("two starts at the same moment start one program", async () => {
  const gate = Promise.withResolvers<Program>();
  const { client, program, done } = serve({ start: () => gate.promise });
  const first = client.request("shell", EMPTY, true);
  const second = client.request("shell", EMPTY, true);
  gate.resolve(program);
  assert.deepEqual(await Promise.all([first, second]), [true, false]);
  program.finish();
  await done;
});

Deno.test("after a refused start the client may ask for something else; an error is a refusal that is told to the owner", async () => {
  const errors: unknown[] = [];
  const program = new ScriptedProgram();
  const { client, done } = serve({
    onError: (error) => errors.push(error),
    start: (request) => {
      if (request.type === "shell") throw new Error("no shell here");
      return Promise.resolve(request.type === "exec" ? program : undefined);
    },
  });
  assert.equal(await client.request("subsystem", textRequest.encode("sftp"), true), false);
  assert.equal(await client.request("shell", EMPTY, true), false);
  assert.equal(String(errors), "Error: no shell here");
  await assert.rejects(sessionOver(client).subsystem("netconf"), { code: "request-refused" });
  assert.equal(await client.request("exec", textRequest.encode("x"), true), true);
  program.finish();
  await done;
});

Deno.test("requests that are malformed, unknown, repeated or not allowed get FAILURE", async () => {
  const { client, done } = serve({
    acceptEnv: (name) => name === "LANG",
    acceptPty: (pty) => pty.term !== "bad",
    acceptAgentForwarding: undefined,
  });
  const env = (name: string, value: string) => envRequest.encode({ name, value });
  const table: [string, Bytes, boolean][] = [
    ["env", env("LANG", "C"), true],
    ["env", env("LD_PRELOAD", "/x"), false],
    ["env", env("LANG", "a\0b"), false],
    ["env", env("", "a"), false],
    ["env", env("LANG=x", "a"), false],
    ["env", encodeText("garbage"), false],
    ["pty-req", encodeText("garbage"), false],
    ["pty-req", ptyRequest.encode({ ...PTY, term: "bad" }), false],
    ["pty-req", ptyRequest.encode(PTY), true],
    ["pty-req", ptyRequest.encode(PTY), false],
    ["auth-agent-req@openssh.com", EMPTY, false],
    ["x11-req", EMPTY, false],
    ["constructor", EMPTY, false],
    ["signal", textRequest.encode("TERM"), false],
    ["break", new Writer().uint32(1).finish(), false],
    ["exec", textRequest.encode("a\0b"), false],
    ["exec", new Writer().string(new Uint8Array([0xff])).finish(), false],
    ["exec", EMPTY, false],
  ];
  for (const [type, data, expected] of table) {
    assert.equal(await client.request(type, data, true), expected, `${type} ${decodeText(data)}`);
  }
  client.close();
  await done;
});

Deno.test("environment is limited in number and size", async () => {
  const { client, done } = serve();
  const set = (name: string, value: string) =>
    client.request("env", envRequest.encode({ name, value }), true);
  assert.equal(await set("HUGE", "x".repeat(65 * 1024)), false);
  for (let i = 0; i < MAX_ENV_COUNT; i++) assert.equal(await set(`V${i}`, "1"), true);
  assert.equal(await set("ONE_MORE", "1"), false);
  client.close();
  await done;
});

Deno.test("window changes, signals and breaks reach the program", async () => {
  const { client, program, starts, done } = serve();
  const session = sessionOver(client);
  const running = await session.shell({ pty: PTY });
  await running.resize({ columns: 100, rows: 30 });
  await running.signal("USR1");
  assert.equal(await running.sendBreak(250), true);
  assert.deepEqual(program.events, ["resize 100x30", "signal USR1", "break 250"]);
  assert.deepEqual(starts[0].settings.pty?.columns, 80);
  program.finish();
  await done;
});

Deno.test("a window change before the start counts for the start", async () => {
  const { client, program, starts, done } = serve();
  await client.request("pty-req", ptyRequest.encode(PTY), true);
  const size = new Writer().uint32(132).uint32(50).uint32(0).uint32(0).finish();
  await client.request("window-change", size, false);
  await client.request("shell", EMPTY, true);
  assert.deepEqual([starts[0].settings.pty?.columns, starts[0].settings.pty?.rows], [132, 50]);
  program.finish();
  await done;
});

Deno.test("a service inside the process speaks on the channel and its status is reported; an error is status 1", async () => {
  const { client, server, done } = serve({
    start: (request) =>
      Promise.resolve({
        serve: async (channel) => {
          if (request.type === "shell") throw new Error("out of order");
          const text = await all(channel);
          await channel.write(encodeText(text.toUpperCase()));
          return { code: 5 };
        },
      }),
  });
  const running = await sessionOver(client).subsystem("upper");
  await running.stdin.write(encodeText("abc"));
  await running.stdin.close();
  assert.equal(await all(running.stdout), "ABC");
  assert.deepEqual(await running.status, { code: 5 });
  await done;
  assert.deepEqual(server.log, ["success", "data", "request exit-status", "eof", "close"]);

  const other = serve({
    start: () => Promise.resolve({ serve: () => Promise.reject(new Error("out of order")) }),
  });
  const failing = await sessionOver(other.client).shell();
  assert.equal(await all(failing.stderr), "out of order\r\n");
  assert.deepEqual(await failing.status, { code: 1 });
  await other.done;
});

Deno.test("a session that ends without a status says so", async () => {
  const [client, server] = channelPair();
  server.onRequest = () => true;
  const running = await sessionOver(client).exec("x");
  server.close();
  await assert.rejects(running.status, { code: "closed" });
});

Deno.test("ten megabytes pass through a real program byte by byte, both ways at once", async () => {
  const { client, done } = serve({
    start: () => denoProcesses.spawn({ file: "cat", args: [], env: { PATH: Deno.env.get("PATH")! } }),
  });
  const running = await sessionOver(client).exec("cat");
  const block = crypto.getRandomValues(new Uint8Array(65536));
  const blocks = 160;
  const sending = (async () => {
    for (let i = 0; i < blocks; i++) await running.stdin.write(block);
    await running.stdin.close();
  })();
  let at = 0;
  const buffer = new Uint8Array(50_000);
  for (let n = await running.stdout.read(buffer); n !== null; n = await running.stdout.read(buffer)) {
    for (let i = 0; i < n; i++, at++) if (buffer[i] !== block[at & 0xffff]) assert.fail(`byte ${at}`);
  }
  assert.equal(at, blocks * 65536);
  await sending;
  assert.deepEqual(await running.status, { code: 0 });
  await done;
});
