/** Who has a name: agents that are half gone, and clients that will not give up. */
import assert from "node:assert/strict";
import { makeKey } from "../support/keygen.ts";
import { type LogLine, startAgent, startGateway } from "../support/mesh.ts";
import { openssh, peerTest } from "../support/peers.ts";
import { start, succeed } from "../support/process.ts";
import { silentRelay } from "../support/silent_relay.ts";
import { makeSite } from "../support/site.ts";
import { sshLine } from "../support/stock_client.ts";
import { waitUntil } from "../support/wait.ts";

/** Both ends must have found a silent one by then, in milliseconds. */
const FOUND = 30_000;

/** A holder is asked for a sign of life for two seconds; then its owner has the name. */
const RECLAIMED = 6_000;

peerTest("a half-open agent loses its name to its owner at once, and both ends find out within 30 s", [
  openssh,
], async () => {
  await using stack = new AsyncDisposableStack();
  const site = stack.use(await makeSite());
  const identity = await makeKey(site.folder, "agent-key");
  const gateway = stack.use(await startGateway(site.folder, { owners: [site.key.line, identity.line] }));
  site.expect(gateway.port, gateway.hostKey);
  const relay = stack.use(silentRelay(gateway.port));
  const behind = { ...gateway, port: relay.port };
  const holds = { gateway: behind, identity };
  const contested = stack.use(await startAgent(site.folder, { ...holds, name: "contested" }));
  const alone = stack.use(await startAgent(site.folder, { ...holds, name: "alone" }));

  relay.fallSilent();
  relay.recover(); // for new connections; the old ones stay silent
  const began = performance.now();
  const owner = { port: gateway.port, identity: site.key.path, knownHosts: site.knownHosts };

  // Another process of the same owner: another instance.
  const heir = await startAgent(site.folder, { name: "contested", gateway, identity, home: "heir" });
  stack.use(heir);
  assert.ok(performance.now() - began < RECLAIMED, `${performance.now() - began} ms`);

  const left = () => FOUND - (performance.now() - began);
  await contested.event("disconnected", {}, { within: left() });
  await alone.event("disconnected", {}, { within: left() });
  // Its own next connection is the same instance: nobody is in its way.
  const registrations = (line: LogLine) => line.event === "registered" && line.name === "alone";
  await waitUntil("the lonely name again", () => alone.log.filter(registrations).length === 2, RECLAIMED);
  const { text } = await succeed(sshLine(openssh, owner, [], "ls --json"));
  assert.deepEqual((JSON.parse(text) as { alias: string }[]).map(({ alias }) => alias).sort(), [
    "alone",
    "contested",
  ]);
});

peerTest("of two stock clients with one key that both reconnect for ever, the live one keeps the name", [
  openssh,
], async () => {
  await using stack = new AsyncDisposableStack();
  const site = stack.use(await makeSite());
  const gateway = stack.use(await startGateway(site.folder, { owners: [site.key.line] }));
  site.expect(gateway.port, gateway.hostKey);
  const client = { port: gateway.port, identity: site.key.path, knownHosts: site.knownHosts };
  const lease = async () => {
    const { text } = await succeed(sshLine(openssh, client, [], "ls --json"));
    return (JSON.parse(text) as { alias: string; since: string }[]).find(({ alias }) => alias === "web");
  };
  /** Says `try` before each attempt. */
  const fight = () => {
    const words = sshLine(openssh, client, ["-N", "-R", "web:22:127.0.0.1:9"]).map((word) => `'${word}'`);
    return start(["sh", "-c", `while :; do echo try; ${words.join(" ")}; done`]);
  };
  const tries = ({ stdout }: ReturnType<typeof fight>) => stdout.all.length;

  const first = stack.use(fight());
  const held = await waitUntil("the name", lease);
  const second = stack.use(fight());
  await waitUntil("many rounds", () => tries(second) > 20);
  assert.deepEqual(await lease(), held);
  assert.equal(tries(first), 1);
  // Nobody holds it for ever: when the first one is gone, the second has it with its next try.
  await first.stop("SIGKILL");
  const next = await waitUntil("the other holder", async () => {
    const now = await lease();
    return now && now.since !== held.since && now;
  });
  const count = tries(second);
  assert.deepEqual(await lease(), next);
  assert.equal(tries(second), count);
});
