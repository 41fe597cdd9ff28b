import assert from "node:assert/strict";
import { SshError } from "../../src/ssh/error.ts";
import { waitUntil } from "../support/wait.ts";
import { startTestGateway, testKey } from "./in_memory.ts";

const ann = await testKey("ann");
const bob = await testKey("bob");
const pod = await testKey("pod");

async function refused(promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof SshError && error.code === "request-refused");
}

Deno.test("a name is reached under its alias and its full name, in any spelling", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const node = await site.connect(ann.key);
  await node.serve("Web", 22, "web: ");
  const user = await site.connect(ann.key);
  for (const host of ["web", "web.localhost", "WEB.LOCALHOST.", "Web"]) {
    assert.equal(await user.ask(host, 22, "hello"), "web: hello");
  }
});

Deno.test("a name has only the ports that it registered", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await client.serve("web", 22);
  await client.serve("web", 5432, "db: ");
  assert.equal(await client.ask("web", 5432), "db: ");
  await assert.rejects(client.open("web", 80), /nothing serves this name/);
});

Deno.test("port 0 is answered 15022 and means the name's SSH", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const node = await site.connect(ann.key);
  assert.equal((await node.serve("web", 0, "hi")).port, 15022);
  assert.equal(await node.ask("web", 22), "hi");
});

Deno.test("a cancelled forward is gone, and its name free", async () => {
  await using site = await startTestGateway({ keys: [ann.line, bob.line] });
  const first = await site.connect(ann.key);
  const listener = await first.serve("web", 22, "ann");
  const second = await site.connect(bob.key);
  await refused(second.serve("web", 22));
  await listener.close();
  await assert.rejects(second.open("web", 22), /nothing serves/);
  await second.serve("web", 22, "bob");
  assert.equal(await first.ask("web", 22), "bob");
});

Deno.test("a name ends with the connection that served it", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const node = await site.connect(ann.key);
  await node.serve("web", 22);
  const user = await site.connect(ann.key);
  node.close();
  await waitUntil("the name to be free", async () => (await site.gateway.parts.registry.list()).length === 0);
  await assert.rejects(user.open("web", 22), /nothing serves/);
});

const unnamed: [string, number][] = [["localhost", 22], ["", 80], ["*", 443], ["127.0.0.1", 0]];
for (const [host, port] of unnamed) {
  Deno.test(`-R '${host}:${port}' asks for the credential's own name, which a bare key has not`, async () => {
    await using site = await startTestGateway({ keys: [ann.line] });
    await refused((await site.connect(ann.key)).serve(host, port));
    const { reason } = site.audit.findLast(({ event }) => event === "node.refused")!;
    assert.match(String(reason), /carries no name of its own/);
  });
}

const never: [string, number, RegExp][] = [
  ["10.1.2.3", 8080, /on an IP address/],
  ["localhost", 8080, /you are not permitted to 'listen'/],
  ["", 15008, /no name of its own|mesh/],
  ["web..x", 22, /labels/],
  ["localhost.", 8080, /listen/],
];
for (const [host, port, why] of never) {
  Deno.test(`-R '${host}:${port}' is refused to an owner without flags`, async () => {
    await using site = await startTestGateway({ keys: [ann.line] });
    await refused((await site.connect(ann.key)).serve(host, port));
    assert.match(String(site.audit.findLast(({ event }) => event === "node.refused")!.reason), why);
  });
}

Deno.test("a real port opens where the flags allow it, carries connections, and closes on cancel", async () => {
  const owners = { dial: [], listen: [{ first: 8000, last: 8010 }] };
  await using site = await startTestGateway({ keys: [ann.line], owners });
  const node = await site.connect(ann.key);
  const listener = await node.serve("localhost", 8001, "port: ");
  const address = { transport: "tcp", hostname: "127.0.0.1", port: 8001 } as const;
  const connection = await site.net.dial(address);
  const buffer = new Uint8Array(64);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, (await connection.read(buffer))!)), "port: ");
  connection.close();
  await waitUntil("its record", () => site.flows.length === 1);
  const { who, action } = site.flows[0] as unknown as { who: { kind: string }; action: string };
  assert.deepEqual([who.kind, action], ["anonymous", "listen"]);
  await refused(node.serve("localhost", 9000));
  await listener.close();
  await assert.rejects(site.net.dial(address));
});

Deno.test("port 80 is published with the right to, and stands unpublished without", async () => {
  const policy = `
rules:
  - { who: { key: "${pod.fingerprint}" }, may: [register], what: { node: "pod" } }
`;
  await using site = await startTestGateway({ keys: [ann.line, `user:${pod.line}`], policy });
  await (await site.connect(ann.key)).serve("web", 80);
  await (await site.connect(pod.key)).serve("pod", 80);
  const leases = await site.gateway.parts.registry.list();
  const published = leases.map(({ name, endpoints }) => [name, endpoints[0].published]);
  assert.deepEqual(published, [["web.localhost", true], ["pod.localhost", false]]);
});

Deno.test("the key's permitlisten bounds what it may register", async () => {
  await using site = await startTestGateway({ keys: [`permitlisten="web:22" ${ann.line}`] });
  const node = await site.connect(ann.key);
  await node.serve("web", 22);
  await refused(node.serve("db", 22));
});

Deno.test("a line without port forwarding registers nothing and opens nothing", async () => {
  await using site = await startTestGateway({ keys: [ann.line, `restrict ${bob.line}`] });
  await (await site.connect(ann.key)).serve("web", 22);
  const client = await site.connect(bob.key);
  await refused(client.serve("db", 22));
  await assert.rejects(client.open("web", 22), /does not permit port forwarding/);
});

Deno.test("the same instance takes its name over at once, another one is refused while the first lives", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const introduce = async (instance: string) => {
    const client = await site.connect(ann.key);
    const data = new Uint8Array(4 + instance.length);
    new DataView(data.buffer).setUint32(0, instance.length);
    data.set(new TextEncoder().encode(instance), 4);
    assert.ok(await client.connection.request("instance@ssh-mesh", data, true));
    return client;
  };
  const first = await introduce("one");
  await first.serve("web", 22, "first");
  const again = await introduce("one");
  await again.serve("web", 22, "again");
  assert.equal(await again.ask("web", 22), "again");
  assert.ok(await first.connection.closed.then(() => true), "who serves nothing any more is let go");
  await refused((await introduce("two")).serve("web", 22));
});

Deno.test("leases of several instances stand side by side where a rule says shared", async () => {
  const policy = `
rules:
  - { who: { key: "${ann.fingerprint}" }, may: [register], what: { node: "web" }, shared: true }
`;
  await using site = await startTestGateway({ keys: [ann.line], policy });
  for (const greeting of ["a", "b"]) await (await site.connect(ann.key)).serve("web", 22, greeting);
  const user = await site.connect(ann.key);
  const answers = await Promise.all([1, 2, 3, 4].map(() => user.ask("web", 22)));
  assert.deepEqual([...new Set(answers)].sort(), ["a", "b"]);
});
