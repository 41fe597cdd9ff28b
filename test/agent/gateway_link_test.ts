import assert from "node:assert/strict";
import { byKeys } from "../../src/agent/credentials.ts";
import type { AgentEvent } from "../../src/agent/events.ts";
import { GatewayLink } from "../../src/agent/gateway_link.ts";
import type { LinkContext } from "../../src/agent/link_context.ts";
import { GatewayTrust } from "../../src/agent/gateway_trust.ts";
import { forwardPolicy } from "../../src/agent/forwarding.ts";
import { encodeText, equal } from "../../src/bytes/bytes.ts";
import { Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { parseDialRange } from "../../src/identity/ranges.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { type Address, type Net, type NetConnection, NetError } from "../../src/platform/net.ts";
import type { StateFolder } from "../../src/platform/state.ts";
import { announceHostKeys } from "../../src/ssh/connection/host_key_rotation.ts";
import { Router } from "../../src/ssh/connection/router.ts";
import type { Deliver } from "../../src/ssh/forward/incoming.ts";
import { serveForwarding } from "../../src/ssh/forward/incoming.ts";
import { openTcp } from "../../src/ssh/forward/outgoing.ts";
import { acceptSsh, type ServerConnection } from "../../src/ssh/server.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { deadline, waitUntil } from "../support/wait.ts";

const hostKey = await generatePrivateKey("ssh-ed25519");
const nextHostKey = await generatePrivateKey("ssh-ed25519");
const agentKey = await generatePrivateKey("ssh-ed25519");
const strangerKey = await generatePrivateKey("ssh-ed25519");
const gateway = { hostname: "gw", port: 15022 };

interface GatewayOptions {
  /** Answers instance@ssh-mesh and its like; without, a stock server. */
  readonly ours?: boolean;
  readonly refuse?: number;
  readonly announce?: boolean;
}

/** A gateway made of the library, in memory: what it was asked, and its end of the connection. */
class FakeGateway {
  readonly requests: { name: string; data: string }[] = [];
  readonly delivers = new Map<string, Deliver>();
  connection?: ServerConnection<string>;
  accepted: Promise<void> = Promise.resolve();

  constructor(readonly options: GatewayOptions = {}) {}

  /** A network on which only this gateway is. */
  get net(): Net {
    return {
      dial: (address) => this.#dial(address),
      listen: () => Promise.reject(new NetError("denied", "nobody listens here")),
      resolve: (name) => Promise.resolve([name]),
    };
  }

  #dial(address: Address): Promise<NetConnection> {
    if (address.transport === "tcp" && address.hostname === "10.0.0.7") {
      const [near, far] = duplexPair();
      far.write(encodeText("the database")).then(() => far.closeWrite());
      return Promise.resolve(Object.assign(near, { local: address, remote: address }));
    }
    const [near, far] = duplexPair();
    this.accepted = this.#accept(far);
    return Promise.resolve(Object.assign(near, { local: address, remote: address }));
  }

  async #accept(duplex: ReturnType<typeof duplexPair>[1]): Promise<void> {
    try {
      this.connection = await acceptSsh<string>(duplex, {
        crypto: nodeCrypto,
        hostKeys: [hostKey],
        auth: {
          failureQuantum: 0,
          publicKey: ({ key }) =>
            equal(key.blob, agentKey.publicKey.blob)
              ? { result: "accepted", identity: "agent" }
              : { result: "refused" },
        },
        prepare: (connection) => this.#serve(connection),
      });
      await this.connection.closed;
    } catch {
      // The agent did not like what it saw, or was not let in.
    }
  }

  #serve(connection: ServerConnection<string>): void {
    const router = new Router(connection);
    const { ours, refuse, announce } = this.options;
    if (ours) {
      for (const name of ["instance@ssh-mesh", "private@ssh-mesh", "allow-dial@ssh-mesh"]) {
        router.onRequest(name, ({ data }) => {
          this.requests.push({ name, data: data.length > 0 ? new Reader(data).text() : "" });
          return true;
        });
      }
      router.onRequest("user-ca@ssh-mesh", () => new Writer().string(hostKey.publicKey.blob).finish());
    }
    if (announce) {
      announceHostKeys(connection, router, {
        hostKeys: () => [hostKey, nextHostKey],
        algorithm: "ssh-ed25519",
      });
    }
    serveForwarding(connection, router, {
      listenTcp: async ({ host, port }, deliver) => {
        this.requests.push({ name: "tcpip-forward", data: `${host}:${port}` });
        if (port === refuse) {
          const why = new Writer().string(host).uint32(port).string("ask somebody else\n").finish();
          await connection.request("refused@ssh-mesh", why, false);
          return undefined;
        }
        this.delivers.set(`${host}:${port}`, deliver);
        return { port: port === 0 ? 15022 : port, close() {} };
      },
    });
  }
}

function memoryState(): StateFolder {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    path: "/state",
    read: (name) => Promise.resolve(files.get(name)),
    write: (name, content) => Promise.resolve(void files.set(name, content)),
    openJournal: () => Promise.reject(new Error("no journals here")),
    close() {},
  };
}

function contextFor(fake: FakeGateway, changes: Partial<LinkContext> = {}) {
  const events: AgentEvent[] = [];
  const log = (event: AgentEvent) => void events.push(event);
  const trust = new GatewayTrust({ fingerprints: [] }, memoryState(), () => Date.now(), log);
  const allowDial = parseDialRange("10.0.0.0/8:5432");
  const context: LinkContext = {
    net: fake.net,
    clock: systemClock,
    crypto: nodeCrypto,
    trust,
    log,
    credentials: () => Promise.resolve(byKeys([agentKey])),
    user: "app",
    instance: "instance-1",
    name: "web",
    exposures: [{ port: 22, target: "ssh" }],
    private: false,
    allowDial: [],
    onConnection: (_, connection) => connection.accept().close(),
    dialPolicy: forwardPolicy(
      {
        dial: { reach: { itself: false, beyond: [allowDial] }, permits: () => true },
        dialUnix: false,
        listenUnix: false,
      },
      { net: fake.net, ownAddresses: () => [] },
    ),
    ...changes,
  };
  return { context, events, trust };
}

async function withLink(
  options: GatewayOptions,
  changes: Partial<LinkContext>,
  use: (link: GatewayLink, fake: FakeGateway, scene: ReturnType<typeof contextFor>) => Promise<void>,
): Promise<void> {
  const fake = new FakeGateway(options);
  const scene = contextFor(fake, changes);
  const link = await GatewayLink.open(gateway, scene.context, new AbortController().signal);
  try {
    await use(link, fake, scene);
  } finally {
    link.close();
    await link.closed;
    await fake.accepted;
  }
}

async function refusedLink(
  options: GatewayOptions,
  changes: Partial<LinkContext>,
): Promise<Error & { reason?: string }> {
  const fake = new FakeGateway(options);
  const { context } = contextFor(fake, changes);
  const error = await GatewayLink.open(gateway, context, new AbortController().signal).then(
    () => assert.fail("the link was opened"),
    (error) => error,
  );
  await fake.accepted;
  return error;
}

Deno.test("an agent tells which instance it is before it registers anything", async () => {
  await withLink(
    { ours: true },
    { exposures: [{ port: 22, target: "ssh" }, { port: 80, target: "ssh" }] },
    (link, fake) => {
      assert.deepEqual(fake.requests, [
        { name: "instance@ssh-mesh", data: "instance-1" },
        { name: "tcpip-forward", data: "web:22" },
        { name: "tcpip-forward", data: "web:80" },
      ]);
      assert.deepEqual(link.registrations, [{ name: "web", port: 22 }, { name: "web", port: 80 }]);
      return Promise.resolve();
    },
  );
});

Deno.test("a stock server that knows none of it is a gateway too", async () => {
  await withLink({}, { name: undefined, exposures: [{ port: 0, target: "ssh" }] }, (link, fake) => {
    assert.deepEqual(fake.requests, [{ name: "tcpip-forward", data: "localhost:0" }]);
    assert.deepEqual(link.registrations, [{ port: 15022 }]);
    return Promise.resolve();
  });
});

Deno.test("what is private and what it dials is said before the first registration", async () => {
  await withLink({ ours: true }, { private: true, allowDial: ["10.0.0.0/8:5432"] }, (_, fake) => {
    assert.deepEqual(fake.requests.map(({ name }) => name), [
      "instance@ssh-mesh",
      "private@ssh-mesh",
      "allow-dial@ssh-mesh",
      "tcpip-forward",
    ]);
    return Promise.resolve();
  });
});

Deno.test("a server that cannot keep a web port private does not get it", async () => {
  const error = await refusedLink({}, { private: true, exposures: [{ port: 80, target: "ssh" }] });
  assert.equal(error.reason, "refusedName");
  assert.match(error.message, /private/);
});

Deno.test("a refused name says why, in the gateway's words made printable", async () => {
  const error = await refusedLink({ ours: true, refuse: 22 }, {});
  assert.equal(error.reason, "refusedName");
  assert.match(error.message, /^gw:15022 refuses to register web:22: ask somebody else/);
  assert.ok(!error.message.includes("\n"));
});

Deno.test("a key that is not accepted is called by its fingerprint", async () => {
  const error = await refusedLink({}, {
    credentials: () => Promise.resolve(byKeys([strangerKey])),
  });
  assert.equal(error.reason, "credential");
  assert.ok(error.message.includes(await strangerKey.publicKey.fingerprint()));
});

Deno.test("a gateway with another key than the pinned one gets no credential", async () => {
  const fake = new FakeGateway();
  const { context, trust } = contextFor(fake);
  await trust.verify(gateway, {
    algorithm: "ssh-ed25519",
    blob: nextHostKey.publicKey.blob,
    key: nextHostKey.publicKey,
  });
  await assert.rejects(GatewayLink.open(gateway, context, new AbortController().signal), {
    reason: "hostKey",
  });
  await fake.accepted;
  assert.equal(fake.connection, undefined);
});

Deno.test("connections that come in go to what was exposed, with who they are from", async () => {
  const seen: string[] = [];
  const exposures = [{ port: 22, target: "ssh" }, { port: 80, target: "ssh" }] as const;
  await withLink({ ours: true }, {
    exposures,
    onConnection: async (exposure, connection) => {
      seen.push(`${exposure.port} from ${connection.originator!.host}`);
      const channel = connection.accept();
      await channel.write(encodeText("welcome"));
      await channel.closeWrite();
      channel.close();
    },
  }, async (_, fake) => {
    const channel = await fake.delivers.get("web:80")!({ host: "192.0.2.1", port: 5 });
    const buffer = new Uint8Array(16);
    assert.equal(await channel.read(buffer), 7);
    channel.close();
    assert.deepEqual(seen, ["80 from 192.0.2.1"]);
  });
});

Deno.test("the gateway dials through an agent what it allows, and nothing else", async () => {
  await withLink({ ours: true }, {}, async (_, fake) => {
    const channel = await openTcp(fake.connection!, { host: "10.0.0.7", port: 5432 });
    const buffer = new Uint8Array(64);
    const count = await channel.read(buffer);
    assert.equal(new TextDecoder().decode(buffer.subarray(0, count!)), "the database");
    channel.close();
    for (const [host, port] of [["10.0.0.7", 22], ["127.0.0.1", 5432], ["192.0.2.1", 5432]] as const) {
      await assert.rejects(openTcp(fake.connection!, { host, port }), { openReason: 1 }, `${host}:${port}`);
    }
  });
});

Deno.test("drain is heard, answered, and ends nothing", async () => {
  await withLink({ ours: true }, {
    onConnection: (_, connection) => void connection.accept(),
  }, async (link, fake) => {
    const channel = await fake.delivers.get("web:22")!({ host: "192.0.2.1", port: 5 });
    assert.notEqual(await fake.connection!.request("drain@ssh-mesh", new Uint8Array(), true), false);
    await deadline(link.drained, "drained");
    const retired = link.retire(new AbortController().signal);
    assert.equal(link.channelCount, 1);
    channel.close();
    await deadline(retired, "the end of the link");
  });
});

Deno.test("a gateway's next host key is pinned once it is proven", async () => {
  await withLink({ ours: true, announce: true }, {}, async (_link, _fake, { trust }) => {
    await waitUntil("two pins", async () => (await trust.known(gateway)).length === 2);
    const known = await trust.known(gateway);
    assert.ok(known.some(({ blob }) => equal(blob, nextHostKey.publicKey.blob)));
  });
});

Deno.test("the gateway's authorities are asked for; a stock server has none", async () => {
  await withLink({ ours: true }, {}, async (link) => {
    assert.equal(link.ours, true);
    const userCas = await link.askUserCas();
    assert.deepEqual(userCas?.map(({ blob }) => equal(blob, hostKey.publicKey.blob)), [true]);
  });
  await withLink({}, {}, async (link) => {
    assert.equal(link.ours, false);
    assert.equal(await link.askUserCas(), undefined);
  });
});

Deno.test("a name that nobody knows is a mistake, not a wait", async () => {
  const fake = new FakeGateway();
  const unknown = () => Promise.reject(new NetError("not-found", "no such host"));
  const { context } = contextFor(fake, { net: { ...fake.net, dial: unknown } });
  await assert.rejects(GatewayLink.open(gateway, context, new AbortController().signal), {
    reason: "unknownGateway",
  });
});
