import assert from "node:assert/strict";
import { parseDialRange } from "../../src/identity/ranges.ts";
import { ChannelOpenError } from "../../src/ssh/error.ts";
import { signCertificate, withCertificate } from "../../src/cert/certificate.ts";
import type { Signer } from "../../src/keys/types.ts";
import { SshError } from "../../src/ssh/error.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { settle } from "../support/fake_clock.ts";
import { waitUntil } from "../support/wait.ts";
import { keyringOf, MemoryNet, policyOf, readText, startTestGateway, testKey } from "./in_memory.ts";

const ann = await testKey("ann");
const bob = await testKey("bob");
const authority = await testKey("ca");

async function certified(
  principals: string[],
  options: { critical?: Record<string, string>; extensions?: string[]; lifetime?: number } = {},
): Promise<Signer> {
  const now = BigInt(Math.floor(Date.now() / 1000));
  const { critical = {}, extensions = ["permit-port-forwarding"], lifetime = 600 } = options;
  const certificate = await signCertificate({
    role: "user",
    publicKey: bob.key.publicKey,
    serial: 7n,
    keyId: "bob's certificate",
    principals,
    validAfter: now - 300n,
    validBefore: now + BigInt(lifetime),
    criticalOptions: new Map(Object.entries(critical)),
    extensions: new Map(extensions.map((name) => [name, ""])),
  }, authority.key);
  return withCertificate(bob.key, certificate);
}

const caLine = `cert-authority ${authority.line}`;

async function prohibited(promise: Promise<unknown>, reason = 1): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof ChannelOpenError && error.openReason === reason);
}

Deno.test("a key that is in no file is not let in", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  await assert.rejects(site.connect(bob.key), (error) => error instanceof SshError && error.code === "auth");
  const refused = await waitUntil(
    "the record",
    () => site.audit.find(({ event }) => event === "auth.refused"),
  );
  assert.equal(refused.claimed, bob.fingerprint);
});

Deno.test("who has a certificate may whoami, known-hosts and help, and nothing else", async () => {
  await using site = await startTestGateway({ keys: [ann.line, caLine] });
  await (await site.connect(ann.key)).serve("web", 22);
  const user = await site.connect(await certified(["bob@mycorp.com"]));
  const { out, code } = await user.run("whoami --json");
  assert.equal(code, 0);
  const { name, kind, owner, serial } = JSON.parse(out);
  assert.deepEqual([name, kind, owner, serial], ["bob@mycorp.com", "ssh-cert", false, "7"]);
  assert.match((await user.run("known-hosts")).out, /^\[localhost\]:15022 ssh-ed25519 AAAA/);
  assert.equal((await user.run("help")).code, 0);
  assert.equal((await user.run("ls")).code, 77);
  assert.equal((await user.run("status")).code, 77);
  await prohibited(user.open("web", 22));
  await prohibited(user.open("nothing", 22));
  await assert.rejects(user.serve("bob", 22));
});

Deno.test("a rule lets a certificate's holder connect, and only where it says", async () => {
  const policy = `
rules:
  - { who: { email: "*@mycorp.com" }, may: [connect], what: { node: "web*", port: 22 } }
`;
  await using site = await startTestGateway({ keys: [ann.line, caLine], policy });
  const node = await site.connect(ann.key);
  await node.serve("web-1", 22, "web");
  await node.serve("web-1", 23);
  await node.serve("db", 22);
  const user = await site.connect(await certified(["bob@mycorp.com"]));
  assert.equal(await user.ask("web-1", 22), "web");
  await prohibited(user.open("web-1", 23));
  await prohibited(user.open("db", 22));
  assert.match((await user.run("ls")).out, /^web-1\.localhost {2}22 /);
  const stranger = await site.connect(await certified(["eve@evil.com"]));
  await prohibited(stranger.open("web-1", 22));
});

Deno.test("what is refused says the same whether it exists or not", async () => {
  await using site = await startTestGateway({ keys: [ann.line, caLine] });
  await (await site.connect(ann.key)).serve("web", 22);
  const user = await site.connect(await certified(["bob@mycorp.com"]));
  const answers = await Promise.all(
    ["web", "nothing", "10.0.0.1", "127.0.0.1"].map((host) =>
      user.open(host, 22).catch((error) => error.message)
    ),
  );
  assert.equal(new Set(answers).size, 1, answers.join(" / "));
});

const badCertificates: [string, () => Promise<Signer>][] = [
  ["expired", () => certified(["bob@mycorp.com"], { lifetime: -1 })],
  [
    "used from elsewhere",
    () => certified(["bob@mycorp.com"], { critical: { "source-address": "10.0.0.0/8" } }),
  ],
  [
    "with an unknown critical option",
    () => certified(["bob@mycorp.com"], { critical: { "moon-phase": "full" } }),
  ],
  ["under the gateway's trust domain", () => certified(["bob@sub.localhost"])],
];
for (const [what, make] of badCertificates) {
  Deno.test(`a certificate ${what} lets nobody in`, async () => {
    await using site = await startTestGateway({ keys: [caLine] });
    await assert.rejects(make().then((signer) => site.connect(signer)), SshError);
  });
}

Deno.test("a certificate of an authority that is not trusted lets nobody in", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  await assert.rejects(site.connect(await certified(["bob@mycorp.com"])), SshError);
});

Deno.test("an authority's own key is no login key, and its line's principals are exact", async () => {
  await using site = await startTestGateway({
    keys: [`cert-authority,principals="deploy" ${authority.line}`],
  });
  await assert.rejects(site.connect(authority.key), SshError);
  await assert.rejects(site.connect(await certified(["deploys"])), SshError);
  await site.connect(await certified(["deploy"]));
});

Deno.test("a certificate without permit-port-forwarding opens nothing, whatever the rules", async () => {
  const policy = `rules: [{ who: anyone, may: [connect], what: { node: "*" } }]`;
  await using site = await startTestGateway({ keys: [ann.line, caLine], policy });
  await (await site.connect(ann.key)).serve("web", 22);
  const user = await site.connect(await certified(["bob@mycorp.com"], { extensions: ["permit-pty"] }));
  await prohibited(user.open("web", 22));
});

Deno.test("a forced command runs instead of what is asked for", async () => {
  await using site = await startTestGateway({ keys: [`command="known-hosts" ${ann.line}`] });
  assert.match((await (await site.connect(ann.key)).run("status")).out, /^\[localhost\]/);
});

Deno.test("from= and the source of a connection decide together", async () => {
  await using site = await startTestGateway({ keys: [`from="10.0.0.0/8" ${ann.line}`] });
  await assert.rejects(site.connect(ann.key), SshError);
  await site.connect(ann.key, { from: "10.1.2.3" });
});

// -- dialling ------------------------------------------------------------------------------------------------------

const owners = { dial: [parseDialRange("10.0.0.0/8:5432")], listen: [] };

async function withService(address: string, port: number): Promise<MemoryNet> {
  const net = new MemoryNet();
  const listener = await net.listen({ transport: "tcp", hostname: address, port });
  (async () => {
    for await (const connection of listener) {
      await connection.write(encodeText("dialled"));
      await connection.closeWrite();
    }
  })();
  return net;
}

Deno.test("nothing is dialled without a flag, and with it owners alone get there", async () => {
  const net = await withService("10.1.2.3", 5432);
  await using closed = await startTestGateway({ keys: [ann.line], net });
  await prohibited((await closed.connect(ann.key)).open("10.1.2.3", 5432));
  await using open = await startTestGateway({ keys: [ann.line, caLine], net, owners, port: 15023 });
  assert.equal(await (await open.connect(ann.key)).ask("10.1.2.3", 5432), "dialled");
  await prohibited((await open.connect(ann.key)).open("10.1.2.3", 22));
  await prohibited((await open.connect(ann.key)).open("127.0.0.1", 5432));
  await prohibited((await open.connect(await certified(["bob@mycorp.com"]))).open("10.1.2.3", 5432));
});

Deno.test("a name is judged by the addresses that it resolves to", async () => {
  const net = await withService("10.1.2.3", 5432);
  net.names.set("db.internal", ["10.1.2.3"]);
  net.names.set("rebound.internal", ["127.0.0.1"]);
  await using site = await startTestGateway({ keys: [ann.line], net, owners });
  const client = await site.connect(ann.key);
  assert.equal(await client.ask("db.internal", 5432), "dialled");
  await prohibited(client.open("rebound.internal", 5432));
  await prohibited(client.open("unknown.internal", 5432), 2);
});

Deno.test("metadata addresses and loopback stay closed to rules that mean everything", async () => {
  const policy = `rules: [{ who: authenticated, may: [dial], what: { dial: "0.0.0.0/0:1-65535" } }]`;
  const net = await withService("10.1.2.3", 80);
  await using site = await startTestGateway({ keys: [caLine], policy, net });
  const user = await site.connect(await certified(["bob@mycorp.com"]));
  assert.equal(await user.ask("10.1.2.3", 80), "dialled");
  for (
    const address of ["169.254.169.254", "127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", "168.63.129.16"]
  ) {
    await prohibited(user.open(address, 80));
  }
});

Deno.test("rules that mean whole networks do not open the gateway's own addresses in them", async () => {
  const policy =
    `rules: [{ who: authenticated, may: [dial], what: { dial: ["10.0.0.0/8:80", "*.internal:80"] } }]`;
  const net = await withService("10.1.2.3", 80);
  net.names.set("self.internal", ["10.9.9.9"]);
  const ownAddresses = ["10.1.2.3", "10.9.9.9"];
  await using site = await startTestGateway({ keys: [ann.line, caLine], policy, net, ownAddresses, owners });
  const user = await site.connect(await certified(["bob@mycorp.com"]));
  for (const host of ["10.1.2.3", "::ffff:10.1.2.3", "10.9.9.9", "self.internal"]) {
    await prohibited(user.open(host, 80));
  }
  assert.equal(site.audit.findLast(({ event }) => event === "access.refused")?.rule, "protected address");
});

Deno.test("names are looked up for nobody who might not dial at all", async () => {
  const policy = `
rules:
  - { who: { email: "*@mycorp.com" }, may: [dial], what: { dial: "10.0.0.0/8:80" } }
`;
  const net = new MemoryNet();
  await using site = await startTestGateway({ keys: [ann.line, caLine], policy, net });
  const stranger = await site.connect(await certified(["eve@elsewhere.com"]));
  const restricted = await site.connect(await certified(["bob@mycorp.com"], { extensions: [] }));
  const owner = await site.connect(ann.key);
  for (const client of [stranger, restricted, owner]) {
    await assert.rejects(client.open("secret.internal", 80), ChannelOpenError);
  }
  assert.deepEqual(net.looked, []);
});

Deno.test("who may connect to any name does not learn which ones resolve, nor which forbidden ones are served", async () => {
  const policy = `
rules:
  - { who: authenticated, may: [dial], what: { dial: "10.0.0.0/8:80" } }
  - { who: authenticated, may: [connect], what: { node: "*.internal" } }
`;
  const net = new MemoryNet();
  net.names.set("there.internal", ["192.168.0.1"]);
  await using site = await startTestGateway({ keys: [ann.line, caLine], policy, net });
  await (await site.connect(ann.key)).serve("secret.example", 5432);
  const user = await site.connect(await certified(["bob@mycorp.com"]));
  const answer = async (host: string) => {
    const looked = net.looked.length;
    const error = await user.open(host, 5432).then(() => "open", ({ message }) => message);
    return [error, net.looked.length - looked];
  };
  assert.deepEqual(await answer("there.internal"), ["nothing serves this name and port now", 1]);
  assert.deepEqual(await answer("there.internal"), await answer("nowhere.internal"));
  assert.deepEqual(await answer("secret.example"), await answer("nothing.example"));
});

Deno.test("the key's permitopen bounds what it may reach", async () => {
  await using site = await startTestGateway({ keys: [ann.line, `permitopen="web:22" ${bob.line}`] });
  const node = await site.connect(ann.key);
  await node.serve("web", 22, "web");
  await node.serve("db", 22);
  const user = await site.connect(bob.key);
  assert.equal(await user.ask("web", 22), "web");
  await prohibited(user.open("db", 22));
});

// -- what changes ----------------------------------------------------------------------------------------------------

Deno.test("a key that is removed ends its connection, flows and leases", async () => {
  await using site = await startTestGateway({ keys: [ann.line, bob.line] });
  const node = await site.connect(ann.key);
  await node.serve("web", 22, "hi");
  const user = await site.connect(bob.key);
  const channel = await user.open("web", 22);
  await site.gateway.apply({ trust: { keyring: keyringOf([ann.line]) } });
  await user.connection.closed;
  await waitUntil("the flow's record", () => site.flows.length === 1);
  assert.equal(await node.ask("web", 22), "hi", "others go on");
  channel.close();
});

Deno.test("a rule that is removed cuts its flows, with a record that says so, and its leases", async () => {
  const policy = `
rules:
  - { who: { email: "*@mycorp.com" }, may: [connect, register], what: { node: "*" } }
`;
  await using site = await startTestGateway({ keys: [ann.line, caLine], policy });
  await (await site.connect(ann.key)).serve("web", 22, "hi");
  const user = await site.connect(await certified(["bob@mycorp.com"]));
  await user.serve("bob", 22);
  const channel = await user.open("web", 22);
  assert.equal(await readSome(channel), "hi");
  await site.gateway.apply({ policy: policyOf("") });
  await waitUntil("the flow's record", () => site.flows.length === 1);
  assert.equal(site.flows[0].end, "revoked");
  const names = (await site.gateway.parts.registry.list()).map(({ name }) => name);
  assert.deepEqual(names, ["web.localhost"]);
  await prohibited(user.open("web", 22));
});

Deno.test("what a key's line permits no more ends: its flows and its forwards", async () => {
  await using site = await startTestGateway({ keys: [ann.line, bob.line] });
  await (await site.connect(ann.key)).serve("web", 22, "hi");
  const user = await site.connect(bob.key);
  await user.serve("bob", 22);
  await user.serve("bob", 8080);
  const channel = await user.open("web", 22);
  assert.equal(await readSome(channel), "hi");
  const narrower = `permitopen="db:22",permitlisten="bob:22" ${bob.line}`;
  await site.gateway.apply({ trust: { keyring: keyringOf([ann.line, narrower]) } });
  await waitUntil("the flow's record", () => site.flows.length === 1);
  assert.equal(site.flows[0].end, "revoked");
  const [lease] = await site.gateway.parts.registry.list("bob.localhost");
  assert.deepEqual(lease.endpoints.map(({ port }) => port), [22]);
});

Deno.test("a key that is still there after a change keeps what it has", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await client.serve("web", 22, "hi");
  const channel = await client.open("web", 22);
  await site.gateway.apply({ trust: { keyring: keyringOf([ann.line, bob.line]) }, policy: policyOf("") });
  await settle();
  assert.equal(await readSome(channel), "hi");
  channel.close();
});

async function readSome(
  channel: { read(into: Uint8Array<ArrayBuffer>): Promise<number | null> },
): Promise<string> {
  const buffer = new Uint8Array(64);
  return new TextDecoder().decode(buffer.subarray(0, await channel.read(buffer) ?? 0));
}

// -- flows and drain -------------------------------------------------------------------------------------------------

Deno.test("each connection leaves one record: who, what, by which rule, how many bytes", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await client.serve("web", 22, "123");
  await client.ask("web", 22, "hello");
  await client.open("web", 23).catch(() => {});
  await waitUntil("the record", () => site.flows.length > 0);
  await settle();
  assert.equal(site.flows.length, 1);
  const { who, target, action, rule, up, down, end, remote } = site.flows[0] as Record<string, unknown>;
  assert.deepEqual({ target, action, rule, up, down, end }, {
    target: "web:22",
    action: "connect",
    rule: "owner",
    up: 5,
    down: 8,
    end: "ended",
  });
  assert.equal((who as { subject: string }).subject, ann.fingerprint);
  assert.match(String(remote), /^192\.0\.2\.1:/);
});

Deno.test("a node that refuses leaves a record of that", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  const listener = await client.connection.request(
    "tcpip-forward",
    new Uint8Array([0, 0, 0, 3, 119, 101, 98, 0, 0, 0, 22]),
    true,
  );
  assert.notEqual(listener, false);
  await prohibited(client.open("web", 22), 2);
  assert.equal(site.flows[0].end, "open-failed");
});

Deno.test("a drain lets flows end, tells agents, and takes nobody new", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await client.connection.request("instance@ssh-mesh", new Uint8Array([0, 0, 0, 1, 97]), true);
  const told = new Promise<void>((resolve) =>
    client.router.onRequest("drain@ssh-mesh", () => {
      resolve();
      return true;
    })
  );
  await client.serve("web", 22);
  const channel = await client.open("web", 22);
  const drained = site.gateway.drain(60_000, new AbortController().signal);
  await told;
  assert.equal(site.gateway.ready, false);
  await assert.rejects(site.connect(ann.key));
  await channel.write(encodeText("still here"));
  await channel.closeWrite();
  assert.equal(await readText(channel), "still here");
  channel.close();
  assert.equal(await drained, 0);
  await client.connection.closed;
});

Deno.test("what does not end within the grace is cut, and says so", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  await client.serve("web", 22);
  await client.open("web", 22);
  assert.equal(await site.gateway.drain(1, new AbortController().signal), 1);
  assert.equal(site.flows[0].end, "drained");
});
