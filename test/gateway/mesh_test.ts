/** Gateways that join each other, over a network in memory. */
import assert from "node:assert/strict";
import { type Bytes, encodeText } from "../../src/bytes/bytes.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { serveArrival } from "../../src/gateway/mesh/arrivals.ts";
import { writeAssertion } from "../../src/gateway/mesh/assertion.ts";
import { JoinedGatewayTrust } from "../../src/gateway/mesh/gateway_trust.ts";
import { Join } from "../../src/gateway/mesh/join.ts";
import {
  encodeExport,
  encodeGateway,
  encodeMeshChannel,
  GatewayMessage,
  type MeshChannel,
  signedPart,
} from "../../src/gateway/mesh/messages.ts";
import { anonymous, keyIdentity } from "../../src/identity/principal.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { ChannelOpenError } from "../../src/ssh/error.ts";
import { waitUntil } from "../support/wait.ts";
import {
  keyringOf,
  MemoryNet,
  policyOf,
  startTestGateway,
  TestClient,
  type TestGateway,
  testKey,
} from "./in_memory.ts";

const ann = await testKey("ann");
const bob = await testKey("bob");

const id = (letter: string) => `SHA256:${letter.repeat(43)}`;

const fingerprint = (site: TestGateway) => site.hostKey.publicKey.fingerprint();

/** `from` joins `to`, which must know its host key. Resolves when `name` is there. */
async function join(
  from: TestGateway,
  to: TestGateway,
  names: string[] = [],
): Promise<AsyncDisposable & Join> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const state = {
    path: "/state",
    read: (name: string) => Promise.resolve(files.get(name)),
    write: (name: string, content: Uint8Array<ArrayBuffer>) => Promise.resolve(void files.set(name, content)),
  };
  const joined = new Join({
    address: to.address,
    parts: from.gateway.parts,
    crypto: nodeCrypto,
    trust: new JoinedGatewayTrust(undefined, state, systemClock),
    signers: [from.hostKey],
    instance: crypto.randomUUID(),
    random: () => 0.01,
  });
  for (const name of names) {
    await waitUntil(
      `${name} at the other gateway`,
      async () => (await to.gateway.parts.registry.list(name)).length > 0,
    );
  }
  return Object.assign(joined, { [Symbol.asyncDispose]: () => joined.stop() });
}

const gatewayLine = (site: TestGateway) => `user:${formatPublicKey(site.hostKey.publicKey, "gateway")}`;

/** Two gateways: A where ann is, and B, which has joined A and serves `web.b.example` for bob. */
async function twoGateways(policyAtB: (a: string) => string) {
  const net = new MemoryNet();
  const b = await startTestGateway({ keys: [bob.line], net, port: 15102, domain: "b.example" });
  const a = await startTestGateway({
    keys: [ann.line, gatewayLine(b)],
    net,
    port: 15101,
    domain: "a.example",
    policy: `rules: [{ who: { key: "${await fingerprint(
      b,
    )}" }, may: [register], what: { node: ["*.b.example", b.example] } }]`,
  });
  await b.gateway.apply({ policy: policyOf(policyAtB(await fingerprint(a))) });
  const node = await b.connect(bob.key);
  await node.serve("web", 22, "web: ");
  const joined = await join(b, a, ["web.b.example"]);
  return {
    a,
    b,
    node,
    joined,
    async [Symbol.asyncDispose]() {
      await joined.stop();
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a user reaches a node through two gateways, the first of which may connect", async () => {
  await using site = await twoGateways((a) =>
    `rules: [{ who: { key: "${a}" }, may: [connect], what: { node: "*" } }]`
  );
  const user = await site.a.connect(ann.key);
  assert.equal(await user.ask("web.b.example", 22, "hello"), "web: hello");
  await waitUntil("both records", () => site.a.flows.length === 1 && site.b.flows.length === 1);
  const who = (line: unknown) => (line as { who: { subject: string } }).who.subject;
  assert.equal(who(site.a.flows[0]), ann.fingerprint);
  assert.equal(who(site.b.flows[0]), await fingerprint(site.a), "its own identity was judged");
});

Deno.test("the user's identity counts at the second gateway with the right assert, and only then", async () => {
  const connect = `{ who: { key: "${ann.fingerprint}" }, may: [connect], what: { node: web.b.example } }`;
  const withAssert = (a: string) => `rules: [{ who: { key: "${a}" }, may: [assert] }, ${connect}]`;
  await using site = await twoGateways(withAssert);
  const user = await site.a.connect(ann.key);
  const channel = await user.open("web.b.example", 22);
  await channel.read(new Uint8Array(16));
  const [flow] = site.b.gateway.flows;
  assert.equal(flow.start.who.subject, ann.fingerprint);
  // Without the right the gateway itself is judged, and nothing lets that connect: what is open ends too.
  await site.b.gateway.apply({ policy: policyOf(`rules: [${connect}]`) });
  await waitUntil("the record", () => site.b.flows.length === 1);
  assert.equal(site.b.flows[0].end, "revoked");
  await assert.rejects(user.open("web.b.example", 22), ChannelOpenError);
});

Deno.test("an asserted user is held to the address that the first gateway saw", async () => {
  const rules = (a: string) =>
    `rules: [{ who: { key: "${a}" }, may: [assert] },
      { who: { key: "${ann.fingerprint}" }, may: [connect], what: { node: "*" }, from: [10.0.0.0/8] }]`;
  await using site = await twoGateways(rules);
  const near = await site.a.connect(ann.key, { from: "10.1.1.1" });
  assert.equal(await near.ask("web.b.example", 22), "web: ");
  const far = await site.a.connect(ann.key, { from: "192.0.2.1" });
  await assert.rejects(far.open("web.b.example", 22), ChannelOpenError);
});

Deno.test("a name goes from the first gateway when its node leaves the second", async () => {
  await using site = await twoGateways(() => "");
  site.node.close();
  const { registry } = site.a.gateway.parts;
  await waitUntil("the name to go", async () => (await registry.list("web.b.example")).length === 0);
});

Deno.test("the joining gateway itself is reached by its own name, as if dialled", async () => {
  await using site = await twoGateways((a) =>
    `rules: [{ who: { key: "${a}" }, may: [connect], what: { node: "*" } }]`
  );
  await waitUntil("its name", async () => (await site.a.gateway.parts.registry.list("b.example")).length > 0);
  const user = await site.a.connect(ann.key);
  const inside = await TestClient.over(await user.open("b.example", 22), bob.key);
  const { name, from } = JSON.parse((await inside.run("whoami --json")).out);
  assert.equal(name, bob.fingerprint);
  assert.match(from, /^127\.0\.0\.1:/, "where the first gateway is, whose word does not count here");
  inside.close();
});

/** A channel from a gateway with ann's key as its host key; resolves to the refusal. */
async function arrive(site: TestGateway, sessionId: Bytes, channel: MeshChannel): Promise<string> {
  let refusal = "";
  await serveArrival(
    {
      type: GatewayMessage.channel,
      data: encodeMeshChannel(channel),
      accept: () => assert.fail(),
      reject: (_, text) => refusal = text,
    },
    {
      connection: { sessionId } as never,
      hostKey: ann.key.publicKey,
      fingerprint: ann.fingerprint,
      address: site.address,
      ended: new AbortController().signal,
      name: "test",
    },
    site.gateway.parts,
  );
  return refusal;
}

Deno.test("a gateway that may assert leads its users to nodes: not to addresses, nor to names that are looked up", async () => {
  const net = new MemoryNet();
  net.names.set("db.internal", ["10.1.2.3"]);
  const policy = `
rules:
  - { who: { key: "${ann.fingerprint}" }, may: [assert] }
  - { who: { key: "${bob.fingerprint}" }, may: [dial], what: { dial: ["10.0.0.0/8:80", "db.internal:80"] } }
`;
  await using b = await startTestGateway({ keys: [], net, domain: "b.example", policy });
  const sessionId = encodeText("session");
  const user = keyIdentity({ fingerprint: bob.fingerprint, owner: true });
  const assertion = writeAssertion({ identity: user, source: "10.0.0.1" });
  const path = [id("a")];
  for (const host of ["10.1.2.3", "127.0.0.1", "db.internal"]) {
    const target = { host, port: 80 };
    const signature = await ann.key.sign("ssh-ed25519", signedPart(sessionId, { target, path, assertion }));
    const channel = { target, originator: target, path, assertion, signature };
    assert.equal(await arrive(b, sessionId, channel), "administratively prohibited");
    assert.equal(b.flows.length, 0);
  }
  assert.deepEqual(net.looked, []);
});

Deno.test("an assertion that the gateway did not sign opens nothing", async () => {
  await using b = await startTestGateway({ keys: [bob.line], domain: "b.example" });
  const assertion = writeAssertion({ identity: anonymous, source: undefined });
  const target = { host: "web", port: 22 };
  const sessionId = encodeText("session");
  const path = [id("a")];
  const right = await ann.key.sign("ssh-ed25519", signedPart(sessionId, { target, path, assertion }));
  const attempt = async (change: Partial<MeshChannel>) => {
    const refusal = await arrive(b, sessionId, {
      target,
      originator: target,
      path,
      assertion,
      signature: right,
      ...change,
    });
    return [refusal, b.audit.at(-1)!.reason];
  };
  assert.match(String((await attempt({}))[1]), /no rule lets/, "signed: judged by rules");
  const other = await bob.key.sign("ssh-ed25519", signedPart(sessionId, { target, path, assertion }));
  const forged = [
    { signature: other },
    { signature: new Uint8Array() },
    { target: { host: "db", port: 22 } },
    { path: [id("b")] },
    { assertion: assertion.replaceAll("anonymous", "ann") },
  ];
  for (const change of forged) assert.match(String((await attempt(change))[1]), /not signed|malformed/);
  assert.match(String((await attempt({ path: [] }))[1]), /nothing of its path/);
});

Deno.test("in a ring of three a name stands once everywhere, and goes with its node", async () => {
  const net = new MemoryNet();
  const everything = `rules: [{ who: authenticated, may: [register, connect], what: { node: "*" } }]`;
  const sites = await Promise.all(
    ["a", "b", "c"].map((name, index) =>
      startTestGateway({
        keys: [bob.line],
        net,
        port: 15201 + index,
        domain: `${name}.example`,
        policy: everything,
      })
    ),
  );
  const [a, b, c] = sites;
  const lines = sites.map(gatewayLine);
  for (const site of sites) await site.gateway.apply({ trust: { keyring: keyringOf([bob.line, ...lines]) } });
  const node = await a.connect(bob.key);
  await node.serve("web", 22, "web: ");
  const joins = [await join(a, b, ["web.a.example"]), await join(b, c, ["web.a.example"]), await join(c, a)];
  try {
    const user = await c.connect(bob.key);
    assert.equal(await user.ask("web.a.example", 22), "web: ");
    node.close();
    for (const site of sites) {
      const { registry } = site.gateway.parts;
      await waitUntil("the name to go", async () => (await registry.list("web.a.example")).length === 0);
    }
    // Its owner gets it back at once: nothing of it goes round.
    await (await a.connect(bob.key)).serve("web", 22, "again");
    assert.equal(await (await a.connect(bob.key)).ask("web", 22), "again");
  } finally {
    await Promise.all(joins.map((joined) => joined.stop()));
    await Promise.all(sites.map((site) => site[Symbol.asyncDispose]()));
  }
});

Deno.test("a gateway that joins itself is refused", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  const introduced = await client.connection.request(
    GatewayMessage.gateway,
    encodeGateway(await fingerprint(site)),
    true,
  );
  assert.equal(introduced, false);
});

Deno.test("an export of who is not known as a gateway, or under another's path, is refused", async () => {
  await using site = await startTestGateway({ keys: [ann.line] });
  const client = await site.connect(ann.key);
  const offer = (path: string[]) =>
    client.connection.request(
      GatewayMessage.export,
      encodeExport({ name: "web.x.example", port: 22, published: false, path }),
      true,
    );
  assert.equal(await offer([id("a")]), false);
  await client.connection.request(GatewayMessage.gateway, encodeGateway(id("a")), true);
  assert.equal(await offer([id("b")]), false);
  assert.equal(await offer([id("a"), await fingerprint(site)]), false);
  assert.equal(await offer([id("a"), id("b"), id("c"), id("d")]), false);
  assert.notEqual(await offer([id("a"), id("b")]), false);
});

Deno.test("a joined gateway with another host key than the pinned one is not believed", async () => {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const state = {
    path: "/state",
    read: (name: string) => Promise.resolve(files.get(name)),
    write: (name: string, content: Uint8Array<ArrayBuffer>) => Promise.resolve(void files.set(name, content)),
  };
  const address = { transport: "tcp", hostname: "gw.example", port: 15022 } as const;
  const shown = (key: typeof ann) => ({
    algorithm: "ssh-ed25519",
    blob: key.key.publicKey.blob,
    key: key.key.publicKey,
  });
  const trust = new JoinedGatewayTrust(undefined, state, systemClock);
  assert.equal(await trust.verify(address, shown(ann)), true);
  assert.equal(await trust.verify(address, shown(ann)), true);
  assert.match(String(await trust.verify(address, shown(bob))), /another host key/);
  const strict = new JoinedGatewayTrust("", state, systemClock);
  assert.match(String(await strict.verify(address, shown(ann))), /not in the known_hosts file/);
});
