/** The journal of flows: one line for each connection, however it ended, and none besides. */
import assert from "node:assert/strict";
import { startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { type Running, start, succeed } from "../support/process.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { echoServer } from "../support/tcp.ts";
import { waitUntil } from "../support/wait.ts";

interface FlowLine {
  readonly id: string;
  readonly who: { readonly name: string };
  readonly target: string;
  readonly rule: string;
  readonly up: number;
  readonly down: number;
  readonly end: string;
}

peerTest("each connection leaves exactly one line, whoever ends it and however", [openssh], async () => {
  using site = await makeSite();
  await using gateway = await startGateway(site.folder, {
    owners: [site.key.line],
    args: ["--drain-grace", "1s"],
  });
  site.expect(gateway.port, gateway.hostKey);
  const client = { port: gateway.port, identity: site.key.path, knownHosts: site.knownHosts };
  const flows = (): FlowLine[] => {
    const text = Deno.readTextFileSync(`${gateway.state}/flows.jsonl`);
    return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  };
  const reached = (count: number) => waitUntil(`${count} lines`, () => flows().length >= count && flows());

  await using echo = echoServer();
  const register = async (name: string): Promise<Running> => {
    const agent = start(sshLine(openssh, client, ["-N", "-v", "-R", `${name}:7:127.0.0.1:${echo.port}`]));
    await agent.stderr.match(/remote forward success/);
    return agent;
  };
  await using steady = await register("steady");
  await using dying = await register("dying");

  // Both sides end: as many as there are, at once.
  const hello = Array.from({ length: 10 }, (_, index) => `hello ${index}\n`);
  const answers = await Promise.all(
    hello.map((stdin) => succeed(sshLine(openssh, client, ["-W", "steady:7"]), { stdin })),
  );
  assert.deepEqual(answers.map(({ text }) => text), hello);
  const ended = await reached(10);
  assert.deepEqual(ended.map(({ up, down }) => [up, down]), hello.map(() => [8, 8]));
  assert.ok(ended.every(({ target, rule }) => target === "steady:7" && rule === "owner"));

  const open = async (name: string) => {
    const running = start(sshLine(openssh, client, ["-W", `${name}:7`]), { stdin: "piped" });
    const writer = running.stdin!.getWriter();
    await writer.write(new TextEncoder().encode("here\n"));
    writer.releaseLock();
    await running.stdout.match(/^here$/);
    return running;
  };
  // The client is killed, its agent is killed, the gateway is told to stop.
  await using killed = await open("steady");
  await killed.stop("SIGKILL");
  await reached(11);
  await using orphan = await open("dying");
  await dying.stop("SIGKILL");
  await reached(12);
  await orphan.stop();
  await using cut = await open("steady");
  gateway.process.signal("SIGTERM");
  await waitUntil("the end of the gateway", () => gateway.process.exited);
  const all = await reached(13);
  await cut.stop();
  await steady.stop();

  assert.equal(all.length, 13);
  assert.equal(new Set(all.map(({ id }) => id)).size, 13);
  assert.ok(all.slice(10).every(({ up, down }) => up === 5 && down === 5), JSON.stringify(all.slice(10)));
  assert.match(all[12].end, /drain|shut|stop/);
});
