import assert from "node:assert/strict";
import { KEEPALIVE } from "../../src/gateway/keepalive.ts";
import { decodeRefused, encodeInstance } from "../../src/mesh/requests.ts";
import { parsePolicy } from "../../src/identity/policy/mod.ts";
import { SshError } from "../../src/ssh/error.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { waitUntil } from "../support/wait.ts";
import { startTestGateway, testKey } from "./in_memory.ts";

const ann = await testKey("ann");
const bob = await testKey("bob");

Deno.test("a client that does not authenticate in time is let go, and its place with it", async () => {
  const clock = new FakeClock();
  await using site = await startTestGateway({ keys: [ann.line], clock, loginGrace: 30_000, maxStartups: 1 });
  const silent = await site.net.dial(site.address);
  await assert.rejects(site.connect(ann.key), "its place is taken");
  await clock.advance(30_000);
  const buffer = new Uint8Array(4096);
  while (await silent.read(buffer).catch(() => null) !== null);
  await (await site.connect(ann.key)).run("whoami");
});

Deno.test("an address that only fails is told so and let go", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const failures: unknown[] = [];
  for (let i = 0; i < 16; i++) await site.connect(bob.key).catch((error) => failures.push(error));
  assert.equal(failures.length, 16);
  assert.ok(failures.slice(0, 12).every((error) => error instanceof SshError && error.code === "auth"));
  assert.ok(failures.slice(-1).every((error) => !(error instanceof SshError && error.code === "auth")));
  await assert.rejects(site.connect(ann.key), "the address is held off, whoever comes");
  await (await site.connect(ann.key, { from: "198.51.100.1" })).run("whoami");
});

Deno.test("an agent is told why a forward is refused, and why one is withdrawn", async () => {
  const rules = `rules: [{ who: { key: "${bob.fingerprint}" }, may: [register], what: { node: bob } }]`;
  await using site = await startTestGateway({ keys: [`user:${bob.line}`], policy: rules });
  const agent = await site.connect(bob.key);
  const told: string[] = [];
  agent.router.onRequest("refused@ssh-mesh", ({ data }) => {
    const { asked, sentence } = decodeRefused(data);
    told.push(`${asked.host}:${asked.port} ${sentence}`);
    return true;
  });
  await agent.connection.request("instance@ssh-mesh", encodeInstance("one"), true);
  await agent.serve("bob", 22);
  await assert.rejects(agent.serve("web", 22));
  assert.match(told[0], /^web:22 you are not permitted to 'register' web\.localhost/);
  await site.gateway.apply({ policy: parsePolicy("") });
  await waitUntil("the word", () => told.length === 2);
  assert.equal(told[1], "bob:22 you are no longer permitted to serve this");
});

Deno.test("a sentence for a peer and a record hold nothing that a terminal would obey", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  const { err, code } = await client.run("\x1b[2Jboo\u202e");
  assert.equal(code, 127);
  assert.match(err, /there is no command '\\u\{1b\}\[2Jboo\\u\{202e\}' here/);
  await assert.rejects(client.serve("we\x1bb\n", 22));
  const records = JSON.stringify(site.audit);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(records, /[\x00-\x1f\u202e]/);
});

Deno.test("status is for owners, and counts", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await client.serve("web", 22);
  const channel = await client.open("web", 22);
  const { out } = await client.run("status --json");
  const { clients, leases, flows, flow_list } = JSON.parse(out);
  assert.deepEqual({ clients, leases, flows, target: flow_list[0].target }, {
    clients: 1,
    leases: 1,
    flows: 1,
    target: "web:22",
  });
  assert.equal((await client.run("status --nonsense")).code, 64);
  channel.close();
});

Deno.test("a lease lasts as long as its holder answers, and ends with a holder that falls silent", async () => {
  const clock = new FakeClock();
  await using site = await startTestGateway({ keys: [ann.line], clock });
  const { registry } = site.gateway.parts;
  const node = await site.connect(ann.key);
  await node.serve("web", 22);
  const expiry = async () => (await registry.list("web.localhost"))[0]?.expiresAt;
  for (let minute = 0; minute < 5; minute++) {
    const before = await expiry();
    for (let i = 0; i < 6; i++) {
      await clock.advance(KEEPALIVE.intervalMs);
      await waitUntil("the lease to be prolonged", async () => await expiry() === clock.now() + 60_000);
    }
    assert.ok(await expiry() > before);
  }
  // From here on it neither answers nor closes.
  node.connection.onGlobalRequest = () => new Promise(() => {});
  for (let i = 0; i <= KEEPALIVE.misses; i++) await clock.advance(KEEPALIVE.intervalMs);
  await waitUntil("the name to be free", async () => await expiry() === undefined);
  await node.connection.closed;
});
