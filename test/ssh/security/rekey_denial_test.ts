/** Rekey denial (CVE-2025-22869): a key exchange that stalls, or never ends beginning. */
import assert from "node:assert/strict";
import { EMPTY } from "../../../src/bytes/bytes.ts";
import type { Channel } from "../../../src/ssh/connection/types.ts";
import {
  KEX_DEADLINE_MS,
  MAX_HELD_DURING_KEX,
  MAX_RENEWALS_BEFORE_AUTH,
  SEND_HIGH_WATER,
} from "../../../src/ssh/transport/limits.ts";
import { ServiceRequest, UserauthRequest } from "../../../src/ssh/auth/messages.ts";
import { channelOpen, globalRequest } from "../../../src/ssh/wire/channel_messages.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { deferred } from "../../../src/streams/deferred.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { deadline } from "../../support/wait.ts";
import { againstServer } from "../hand_peer.ts";
import { serverOptions } from "../handshake.ts";

function auth() {
  return { ...serverOptions().auth, failureQuantum: 0 };
}

Deno.test("what waits for a stalled key exchange is bounded: then the connection ends", async () => {
  await using pair = againstServer();
  const { peer } = pair;
  await peer.connect();
  const server = await pair.library;
  peer.sendKexInit();
  await peer.receiveKexInit();
  const chunk = new Uint8Array(64 * 1024);
  let held = 0;
  let ended = false;
  server.closed.then(() => ended = true);
  for (; !ended && held < 4 * MAX_HELD_DURING_KEX; held += chunk.length) {
    server.request("filler", chunk, false).catch(() => {});
    await settle();
  }
  assert.ok(held <= MAX_HELD_DURING_KEX + 2 * chunk.length, `${held} bytes were held`);
  assert.match((await server.closed)!.message, /stalls/);
});

/** A server that sends without end on the first channel that is opened, and counts what was taken of it. */
function endlessServer(options: Parameters<typeof againstServer>[0] = {}) {
  const counted = { taken: 0 };
  async function write(channel: Channel) {
    const chunk = new Uint8Array(32_768);
    for (;;) {
      await channel.write(chunk);
      counted.taken += chunk.length;
    }
  }
  const writing = Promise.withResolvers<Promise<void>>();
  const pair = againstServer({
    ...options,
    prepare: (connection) =>
      connection.onChannel = (incoming) => writing.resolve(write(incoming.accept()).catch(() => {})),
  });
  return { pair, counted, stopped: writing.promise };
}

const openBulk = channelOpen("bulk", { sender: 1, window: 2 ** 32 - 1, maxPacket: 32_768 }, EMPTY);

Deno.test("channel data waits for a stalled key exchange at its writer, not in memory", async () => {
  const { pair, counted, stopped } = endlessServer();
  await using _ = pair;
  const { peer } = pair;
  await peer.connect();
  const server = await pair.library;
  peer.send(openBulk);
  peer.sendKexInit();
  // Data that left before the server's own KEXINIT, then the exchange: the peer stalls here.
  await peer.receiveKexInit();
  await settle();
  const before = counted.taken;
  for (let i = 0; i < 20; i++) await settle();
  assert.equal(counted.taken, before);
  assert.ok(before <= 2 * SEND_HIGH_WATER, `${before}`);
  // It goes on when the exchange does.
  await peer.sendMethod();
  await peer.receiveMethod();
  peer.sendNewKeys();
  await peer.receiveNewKeys();
  for (let i = 0; i < 100; i++) await peer.receiveNumber(Msg.CHANNEL_DATA);
  peer.close();
  await server.closed;
  await stopped;
});

Deno.test("new keys carry no more than the limit, however late the peer is with its own", async () => {
  const bytes = 1_000_000;
  const { pair, counted, stopped } = endlessServer({ rekey: { bytes } });
  await using _ = pair;
  const { peer } = pair;
  await peer.connect();
  const server = await pair.library;
  peer.send(openBulk);
  // The server asks by itself, and is through with its part; the peer keeps its NEWKEYS back.
  await peer.receiveKexInit();
  const first = counted.taken;
  peer.sendKexInit();
  await peer.sendMethod();
  await peer.receiveMethod();
  await peer.receiveNewKeys();
  const share = Math.floor(bytes / 32_768);
  for (let i = 0; i < share; i++) await peer.receiveNumber(Msg.CHANNEL_DATA);
  for (let i = 0; i < 20; i++) await settle();
  assert.ok(counted.taken - first <= bytes + 2 * SEND_HIGH_WATER, `${counted.taken - first}`);
  // Then the next keys are asked for at once.
  peer.sendNewKeys();
  await peer.receiveKexInit();
  peer.close();
  await server.closed;
  await stopped;
});

Deno.test("a key exchange that does not get on ends after its deadline, first or later, at any step", async () => {
  for (const step of ["after KEXINIT", "before NEWKEYS", "asked by us"]) {
    const clock = new FakeClock();
    await using pair = againstServer({ clock, auth: auth(), loginGraceMs: 10 * KEX_DEADLINE_MS });
    const { peer } = pair;
    await peer.connect();
    const server = await pair.library;
    if (step === "asked by us") {
      server.rekey();
    } else {
      peer.sendKexInit();
      await peer.receiveKexInit();
      if (step === "before NEWKEYS") {
        await peer.sendMethod();
        await peer.receiveMethod();
      }
    }
    await clock.advance(KEX_DEADLINE_MS - 1);
    assert.equal(await Promise.race([server.closed, settle().then(() => "open")]), "open", step);
    const ending = clock.advance(1);
    peer.receiveAll();
    assert.match((await deadline(server.closed, step))!.message, /key exchange took too long/);
    await ending;
    peer.close();
    await settle();
    assert.equal(clock.pending, 0, step);
  }
});

Deno.test("a second KEXINIT inside a key exchange ends the connection", async () => {
  await using pair = againstServer();
  const { peer } = pair;
  await peer.connect();
  const server = await pair.library;
  peer.sendKexInit();
  peer.sendKexInit();
  peer.receiveAll();
  assert.match((await server.closed)!.message, /message 20 is not allowed/);
});

Deno.test("key exchanges one after the other leave nothing behind, and requests among them get through", async () => {
  const clock = new FakeClock();
  await using pair = againstServer({ clock, auth: auth() });
  const { peer } = pair;
  await peer.connect();
  const server = await pair.library;
  for (let i = 0; i < 50; i++) {
    peer.sendKexInit();
    await peer.receiveKexInit();
    server.request(`held ${i}`, new Uint8Array(0), false);
    await peer.sendMethod();
    await peer.receiveMethod();
    peer.sendNewKeys();
    await peer.receiveNewKeys();
    await peer.receiveNumber(Msg.GLOBAL_REQUEST);
    peer.send(globalRequest("x", true));
    await peer.receiveNumber(Msg.REQUEST_FAILURE);
  }
  // The next renewal, and nothing of the past ones.
  assert.equal(clock.pending, 1);
});

Deno.test("a later key exchange that shares nothing ends the connection", async () => {
  await using pair = againstServer();
  const { peer } = pair;
  await peer.connect();
  const server = await pair.library;
  const empty = new Uint8Array(1 + 16 + 40 + 5);
  empty[0] = Msg.KEXINIT;
  peer.send(empty);
  peer.receiveAll();
  assert.match((await server.closed)!.message, /no common key exchange method/);
});

Deno.test("a key exchange that the client begins while it is being authenticated delays its success, and no more", async () => {
  const asked = deferred();
  const decided = deferred();
  const pair = againstServer({
    auth: {
      none: async () => {
        asked.resolve();
        await decided.promise;
        return { result: "accepted", identity: "ann" };
      },
    },
    prepare: (connection) => connection.onGlobalRequest = () => true,
  });
  await using _ = pair;
  const { peer } = pair;
  await peer.identify();
  await peer.exchangeKeys();
  peer.send(ServiceRequest.encode({ service: "ssh-userauth" }));
  peer.send(
    UserauthRequest.encode({ user: "ann", service: "ssh-connection", method: "none", fields: EMPTY }),
  );
  await asked.promise;
  peer.sendKexInit();
  await peer.receiveKexInit();
  decided.resolve();
  const server = await pair.library;
  await peer.sendMethod();
  await peer.receiveMethod();
  peer.sendNewKeys();
  await peer.receiveNewKeys();
  await peer.receiveNumber(Msg.USERAUTH_SUCCESS);
  // Connected in every respect: packets may be large, messages of the connection protocol come through.
  peer.send(globalRequest("x", true, new Uint8Array(200_000)));
  await deadline(peer.receiveNumber(Msg.REQUEST_SUCCESS), "the answer");
  assert.equal(server.channelCount, 0);
});

Deno.test("before authentication a client gets a few key exchanges and no more", async () => {
  await using pair = againstServer();
  const { peer } = pair;
  await peer.identify();
  for (let i = 0; i <= MAX_RENEWALS_BEFORE_AUTH; i++) await peer.exchangeKeys();
  peer.sendKexInit();
  assert.match((await deadline(peer.goodbye(), "the end"))!, /too many key exchanges/);
  await assert.rejects(pair.library, { code: "limit" });
});
