/** Clients that are in, and want more than they may have. */
import assert from "node:assert/strict";
import {
  encodeExport,
  encodeGateway,
  encodeUnexport,
  type Export,
  GatewayMessage,
} from "../../src/gateway/mesh/messages.ts";
import { signCertificate, withCertificate } from "../../src/cert/certificate.ts";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { MAX_EXPORTS } from "../../src/gateway/registrations.ts";
import { MAX_SESSIONS } from "../../src/gateway/served_client.ts";
import { SshError } from "../../src/ssh/error.ts";
import { encodeHostPort } from "../../src/ssh/forward/messages.ts";
import { openSession } from "../../src/ssh/session/client.ts";
import { WHOLE_RECORDS } from "../../src/telemetry/record_limit.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { policyOf, startTestGateway, type TestClient, testKey } from "./in_memory.ts";

const ann = await testKey("ann");
const bob = await testKey("bob");

const GATEWAY = `SHA256:${"A".repeat(43)}`;

function ask(client: TestClient, request: string, data: Bytes): Promise<unknown> {
  return client.connection.request(request, data, true);
}

async function sayGateway(client: TestClient): Promise<void> {
  assert.notEqual(await ask(client, GatewayMessage.gateway, encodeGateway(GATEWAY)), false);
}

function offer(client: TestClient, name: string, more: Partial<Export> = {}): Promise<unknown> {
  const whole = { name, port: 22, published: false, path: [GATEWAY], ...more };
  return ask(client, GatewayMessage.export, encodeExport(whole));
}

async function refused(promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof SshError && error.code === "request-refused");
}

Deno.test("permitlisten holds for a client that says it is a gateway, too", async () => {
  await using site = await startTestGateway({ keys: [`permitlisten="web:22" ${ann.line}`] });
  const client = await site.connect(ann.key);
  await sayGateway(client);
  assert.equal(await offer(client, "db"), false);
  assert.notEqual(await offer(client, "web"), false);
});

Deno.test("an export that is said a thousand times is one, and one taking back ends it", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await sayGateway(client);
  for (let i = 0; i < 1000; i++) await offer(client, "web", { published: i % 2 === 0 });
  const { out } = await client.run("whoami --json");
  assert.deepEqual(JSON.parse(out).serves, ["web.localhost:22"]);
  assert.notEqual(
    await ask(client, GatewayMessage.unexport, encodeUnexport({ name: "web", port: 22 })),
    false,
  );
  assert.equal(JSON.parse((await client.run("whoami --json")).out).serves, undefined);
});

Deno.test("a gateway offers a bounded number of names and ports, and may say each of them again", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await sayGateway(client);
  for (let i = 0; i < MAX_EXPORTS; i++) {
    assert.notEqual(await offer(client, `n${i >> 4}`, { port: 1 + i % 16 }), false);
  }
  assert.equal(await offer(client, "one-more"), false);
  assert.notEqual(await offer(client, "n0", { port: 1, path: [GATEWAY, `SHA256:${"B".repeat(43)}`] }), false);
  await ask(client, GatewayMessage.unexport, encodeUnexport({ name: "n7", port: 1 }));
  assert.notEqual(await offer(client, "one-more"), false);
});

Deno.test("what was exported unpublished stays so when the policy is read anew", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await sayGateway(client);
  await offer(client, "web", { port: 80 });
  await site.gateway.apply({ policy: policyOf("") });
  const [lease] = await site.gateway.parts.registry.list();
  assert.equal(lease.endpoints[0].published, false);
});

Deno.test("port 0 asked for twice, or beside the port that it is answered with, is one forward", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  const forward = (port: number) =>
    client.connection.request("tcpip-forward", encodeHostPort({ host: "web", port }), true);
  const [first, second] = await Promise.all([forward(0), forward(0)]);
  assert.notEqual(first, false);
  assert.equal(second, false);
  assert.equal(await forward(15022), false);
  const [lease] = await site.gateway.parts.registry.list();
  assert.deepEqual(lease.endpoints.map(({ port }) => port), [22]);
});

Deno.test("a cancel takes back one's own forwards only", async () => {
  await using site = await startTestGateway({ keys: [ann.line, bob.line] });
  await (await site.connect(ann.key)).serve("web", 22);
  const thief = await site.connect(bob.key);
  const cancel = encodeHostPort({ host: "web", port: 22 });
  assert.equal(await ask(thief, "cancel-tcpip-forward", cancel), false);
  assert.equal(
    await ask(thief, GatewayMessage.unexport, encodeUnexport({ name: "web", port: 22 })),
    false,
  );
  assert.equal((await site.gateway.parts.registry.list()).length, 1);
});

Deno.test("another's name is refused under its alias, its full name and any spelling", async () => {
  const policy = `rules: [{ who: authenticated, may: [register], what: { node: "*" } }]`;
  await using site = await startTestGateway({ keys: [ann.line, `user:${bob.line}`], policy });
  await (await site.connect(ann.key)).serve("web", 22);
  const thief = await site.connect(bob.key);
  for (const name of ["web", "WEB", "web.", "web.localhost", "Web.LocalHost.", "ｗｅｂ"]) {
    await refused(thief.serve(name, 22));
    await refused(thief.serve(name, 8080));
  }
  await sayGateway(thief);
  assert.equal(await offer(thief, "web"), false);
});

Deno.test("nobody serves a name that is the gateway's own, or this machine's", async () => {
  await using site = await startTestGateway({ keys: [ann.line], domain: "gw.example" });
  const client = await site.connect(ann.key);
  const names = ["gw.example", "GW.Example.", "x.localhost", "127.1", "0x7f.1", "2130706433", "[::1]x"];
  for (const name of names) await refused(client.serve(name, 22));
  await sayGateway(client);
  for (const name of [...names, "localhost", "", "*", "127.0.0.1", "::1"]) {
    assert.equal(await offer(client, name), false, name);
  }
});

Deno.test("a registration or a port that a rule gives for a time ends with it", async () => {
  const clock = new FakeClock();
  const policy = `
rules:
  - { who: authenticated, may: [register], what: { node: web }, max_session: 30s }
  - { who: authenticated, may: [listen], what: { listen: 8080 }, max_session: 30s }
`;
  await using site = await startTestGateway({ keys: [`user:${bob.line}`], policy, clock });
  const client = await site.connect(bob.key);
  await client.serve("web", 22);
  await client.serve("*", 8080);
  const connect = () => site.net.dial({ transport: "tcp", hostname: "0.0.0.0", port: 8080 });
  (await connect()).close();
  const { registry } = site.gateway.parts;
  await clock.advance(29_000);
  assert.equal((await registry.list()).length, 1);
  await clock.advance(2_000);
  await settle();
  await assert.rejects(connect());
  assert.deepEqual(await registry.list(), []);
});

Deno.test("a right that goes while a claim waits for a silent holder is gone when the claim is granted", async () => {
  const clock = new FakeClock();
  const policy =
    `rules: [{ who: authenticated, may: [register, listen], what: { node: "*", listen: 8080 } }]`;
  await using site = await startTestGateway({ keys: [`user:${bob.line}`], policy, clock });
  const silent = await site.connect(bob.key);
  await silent.serve("web", 22);
  // Holds its answers back: the next claim waits for the probe.
  silent.connection.onGlobalRequest = () => new Promise(() => {});
  const client = await site.connect(bob.key);
  const claim = refused(client.serve("web", 22));
  await settle();
  await site.gateway.apply({ policy: policyOf("") });
  await clock.advance(2_000);
  await claim;
  assert.deepEqual(await site.gateway.parts.registry.list(), []);
});

Deno.test("what ls and status print of others holds nothing that a terminal would obey, and stays JSON", async () => {
  const evil = "\u009b2J\u202eeve";
  const authority = await testKey("ca");
  const certificate = await signCertificate({
    role: "user",
    publicKey: bob.key.publicKey,
    serial: 1n,
    keyId: evil,
    principals: [evil],
    validAfter: 0n,
    validBefore: 2n ** 64n - 1n,
    criticalOptions: new Map(),
    extensions: new Map([["permit-port-forwarding", ""]]),
  }, authority.key);
  const policy = `rules: [{ who: authenticated, may: [register, connect], what: { node: "*" } }]`;
  await using site = await startTestGateway({ keys: [ann.line, `cert-authority ${authority.line}`], policy });
  const eve = await site.connect(withCertificate(bob.key, certificate));
  await eve.serve("web", 22, "hi");
  const flow = await eve.open("web", 22);
  const owner = await site.connect(ann.key);
  for (const command of ["ls", "ls --json", "status", "status --json"]) {
    const { out } = await owner.run(command);
    assert.match(out, /eve/);
    assert.doesNotMatch(out.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u, command);
    if (command.endsWith("--json")) assert.ok(JSON.stringify(JSON.parse(out)).includes("eve"));
  }
  flow.close();
});

Deno.test("one credential does not take all places, whoever else comes finds one", async () => {
  await using site = await startTestGateway({ keys: [ann.line, bob.line], maxClientsPerIdentity: 3 });
  const taken = [];
  for (let i = 0; i < 3; i++) taken.push(await site.connect(bob.key));
  const fourth = await site.connect(bob.key);
  await fourth.connection.closed;
  assert.match(String(site.audit.at(-1)?.reason), /too many connections of this identity/);
  assert.equal((await (await site.connect(ann.key)).run("whoami")).code, 0);
  taken[0].close();
  await settle();
  assert.equal((await (await site.connect(bob.key)).run("whoami")).code, 0);
});

Deno.test("one connection has few sessions at once, and another when one has ended", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const { connection } = await site.connect(ann.key);
  const sessions = await Promise.all(Array.from({ length: MAX_SESSIONS }, () => openSession(connection)));
  await assert.rejects(openSession(connection), { code: "channel-refused", message: /no more sessions/ });
  const program = await sessions[0].exec("whoami");
  await program.stdin.close();
  await program.status;
  await settle();
  await openSession(connection);
});

Deno.test("a flood of refused opens, forwards and idle commands leaves a bounded trail, and a count", async () => {
  const site = await startTestGateway({ keys: [`user:${bob.line}`] });
  const flood = WHOLE_RECORDS + 50;
  try {
    const client = await site.connect(bob.key);
    for (let i = 0; i < flood; i++) {
      await assert.rejects(client.open(`host-${i}`, 22), { code: "channel-refused" });
      await refused(client.serve(`name-${i}`, 22));
      await client.run("whoami");
    }
  } finally {
    await site[Symbol.asyncDispose]();
  }
  const count = (event: string) => site.audit.filter((line) => line.event === event).length;
  const counted = site.audit.filter(({ event }) => event === "records.left_out");
  for (const event of ["access.refused", "node.refused", "command.run"]) {
    assert.equal(count(event), WHOLE_RECORDS, event);
    assert.equal(counted.find((line) => line.of === event)?.count, flood - WHOLE_RECORDS, event);
  }
});
