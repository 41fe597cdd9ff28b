import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { EMPTY } from "../../../src/bytes/bytes.ts";
import { defaultAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import type { Channel } from "../../../src/ssh/connection/types.ts";
import type { SshConnection } from "../../../src/ssh/establish.ts";
import { ChaosDuplex } from "../../support/chaos.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { deadline } from "../../support/wait.ts";
import { connectPair, hostKey, type PairOptions } from "../handshake.ts";

const algorithms = { ...defaultAlgorithms, cipher: ["aes128-gcm@openssh.com"], kex: ["curve25519-sha256"] };

/** Sends `total` bytes in pieces of odd sizes; resolves to their hash. */
async function send(channel: Channel, total: number, seed: number): Promise<string> {
  const hash = createHash("sha256");
  const chunk = new Uint8Array(70_001).map((_, i) => (i * seed) >> 3);
  for (let sent = 0, i = 0; sent < total; i++) {
    const part = chunk.subarray(0, Math.min(1 + (i * 7919) % chunk.length, total - sent));
    hash.update(part);
    await channel.write(part);
    sent += part.length;
  }
  await channel.closeWrite();
  return hash.digest("hex");
}

/** The hash of all that comes. */
async function receive(channel: Channel): Promise<string> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(65_536);
  for (let count; (count = await channel.read(buffer)) !== null;) hash.update(buffer.subarray(0, count));
  return hash.digest("hex");
}

/** Data both ways over several channels, compared by hash, while `during` does what it likes. */
async function exchange(
  options: PairOptions,
  perChannel: number,
  during: (
    client: SshConnection<unknown>,
    server: SshConnection<unknown>,
    done: () => boolean,
  ) => Promise<void>,
): Promise<void> {
  const arrived: Channel[] = [];
  await using pair = await connectPair({
    client: { ...options.client, algorithms },
    server: {
      ...options.server,
      algorithms,
      prepare: (connection) => connection.onChannel = (incoming) => void arrived.push(incoming.accept()),
    },
    aroundClient: options.aroundClient,
  });
  const near: Channel[] = [];
  for (let i = 0; i < 3; i++) near.push(await pair.client.open("bulk", EMPTY));
  let done = false;
  const moving = Promise.all(near.map(async (channel, i) => {
    const [up, down, gotUp, gotDown] = await Promise.all([
      send(channel, perChannel, 2 * i + 1),
      send(arrived[i], perChannel, 2 * i + 2),
      receive(arrived[i]),
      receive(channel),
    ]);
    assert.deepEqual([gotUp, gotDown], [up, down], `channel ${i}`);
  })).finally(() => done = true);
  await deadline(Promise.all([moving, during(pair.client, pair.server, () => done)]), "the data", 60_000);
  assert.deepEqual(pair.client.sessionId, pair.server.sessionId);
}

Deno.test("keys renewed every megabyte, by either side's count, while 20 MB flow both ways", async () => {
  for (const side of ["client", "server"] as const) {
    const rekey = { bytes: 1_000_000 };
    let asked = 0;
    const hostKeys = () => {
      asked++;
      return [hostKey];
    };
    await exchange(
      side === "client" ? { client: { rekey }, server: { hostKeys } } : { server: { rekey, hostKeys } },
      7_000_000,
      () => Promise.resolve(),
    );
    // Asked when proposing and when signing: twice for each exchange.
    assert.ok(asked / 2 >= 15, `${side}: ${asked / 2} exchanges`);
  }
});

Deno.test("keys renewed whenever either peer wishes, also both at once, while data flows", async () => {
  await exchange({}, 5_000_000, async (client, server, done) => {
    for (let i = 0; !done(); i++) {
      if (i % 3 !== 1) client.rekey();
      if (i % 3 !== 0) server.rekey();
      await settle();
    }
  });
});

Deno.test("keys renewed by time, on the side whose hour has come", async () => {
  for (const side of ["client", "server"] as const) {
    const clock = new FakeClock();
    const hour = { rekey: { ms: 3_600_000 }, clock };
    await using pair = await connectPair({
      client: side === "client" ? hour : { clock: new FakeClock() },
      server: side === "server" ? hour : { clock: new FakeClock() },
    });
    pair.server.onGlobalRequest = () => true;
    const renewals: number[] = [];
    const before = () => pair.client.negotiated;
    let last = before();
    for (let minute = 0; minute < 180; minute += 30) {
      await clock.advance(30 * 60_000);
      await pair.client.request("barrier", EMPTY, true);
      await pair.server.request("barrier", EMPTY, true);
      if (before() !== last) renewals.push(minute + 30);
      last = before();
    }
    assert.deepEqual(renewals, [60, 120, 180], side);
  }
});

Deno.test("data in reads of one byte, with key renewals in between", async () => {
  await exchange(
    { aroundClient: (duplex) => new ChaosDuplex(duplex, { chunk: 1 }) },
    30_000,
    async (client, server, done) => {
      while (!done()) {
        client.rekey();
        server.rekey();
        await settle();
      }
    },
  );
});

Deno.test("a key renewal asked for after the end does nothing", async () => {
  await using pair = await connectPair();
  pair.client.close();
  await pair.client.closed;
  pair.client.rekey();
  await pair.server.closed;
  pair.server.rekey();
});
