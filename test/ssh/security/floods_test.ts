/** Floods of an authenticated peer: channels, requests, replies. Memory and state stay bounded. */
import assert from "node:assert/strict";
import { type Bytes, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import {
  MAX_CHANNELS,
  MAX_PENDING_REQUEST_BYTES,
  MAX_PENDING_REQUESTS,
} from "../../../src/ssh/connection/limits.ts";
import { ChannelOpenReason } from "../../../src/ssh/error.ts";
import { SEND_LIMIT } from "../../../src/ssh/transport/limits.ts";
import {
  channelOpen,
  channelOpenConfirmation,
  channelOpenFailure,
  channelRequest,
  channelSignal,
  globalRequest,
  REQUEST_FAILURE,
  requestSuccess,
} from "../../../src/ssh/wire/channel_messages.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { settle } from "../../support/fake_clock.ts";
import { againstServer } from "../hand_peer.ts";
import { barrier, connected, data, endsWith, open, own } from "./flooded.ts";

Deno.test("more channels than are allowed are refused, and closed ones make room", async () => {
  await using flooded = await connected();
  const { peer } = flooded;
  for (let i = 0; i < MAX_CHANNELS + 5; i++) peer.send(channelOpen("test", { ...own, sender: i }, EMPTY));
  const answers = await barrier(peer);
  assert.equal(answers.filter(([number]) => number === Msg.CHANNEL_OPEN_CONFIRMATION).length, MAX_CHANNELS);
  const refused = answers.filter(([number]) => number === Msg.CHANNEL_OPEN_FAILURE);
  assert.equal(refused.length, 5);
  assert.equal(new Reader(refused[0], 5).uint32(), ChannelOpenReason.resourceShortage);
  flooded.accepted[0].close();
  peer.send(channelSignal(Msg.CHANNEL_CLOSE, new Reader(answers[0], 5).uint32()));
  await barrier(peer);
  await open(peer);
  assert.equal(flooded.server.channelCount, MAX_CHANNELS);
});

Deno.test("channels that the peer fills and closes count until what they hold is read", async () => {
  await using flooded = await connected();
  const { peer, accepted, server } = flooded;
  for (let i = 0; i < MAX_CHANNELS; i++) {
    const { id } = await open(peer);
    peer.send(data(id, encodeText("unread")));
    peer.send(channelSignal(Msg.CHANNEL_CLOSE, id));
  }
  await barrier(peer);
  assert.equal(server.channelCount, 0);
  const refuses = async () => {
    peer.send(channelOpen("test", own, EMPTY));
    return (await barrier(peer))[0][0] === Msg.CHANNEL_OPEN_FAILURE;
  };
  assert.equal(await refuses(), true);
  // Reading, or closing, frees them.
  assert.equal(await accepted[0].read(new Uint8Array(99)), 6);
  assert.equal(await accepted[0].read(new Uint8Array(99)), null);
  assert.equal(await refuses(), false);
  assert.equal(await refuses(), true);
  accepted[1].close();
  assert.equal(await accepted[1].read(new Uint8Array(99)), null);
  assert.equal(await refuses(), false);
});

Deno.test("opens that are never decided are capped too", async () => {
  const pair = againstServer({ prepare: (c) => c.onChannel = () => new Promise(() => {}) });
  await using _ = pair;
  await pair.peer.connect();
  for (let i = 0; i < MAX_CHANNELS + 3; i++) {
    pair.peer.send(channelOpen("test", { ...own, sender: i }, EMPTY));
  }
  const answers = await barrier(pair.peer);
  assert.deepEqual(answers.map(([number]) => number), Array(3).fill(Msg.CHANNEL_OPEN_FAILURE));
});

Deno.test("a flood of refused channels leaves nothing behind", async () => {
  const pair = againstServer();
  await using _ = pair;
  await pair.peer.connect();
  const server = await pair.library;
  for (let i = 0; i < 20_000; i++) {
    pair.peer.send(channelOpen("nobody takes this", { ...own, sender: i }, EMPTY));
    if (i % 500 === 499) await barrier(pair.peer);
  }
  assert.equal(server.channelCount, 0);
});

// -- replies that nobody asked for ------------------------------------------------------------------------------

Deno.test("a flood of unsolicited replies is dropped and leaves nothing behind", async () => {
  await using flooded = await connected();
  const { peer, server } = flooded;
  const { id } = await open(peer);
  for (let i = 0; i < 2000; i++) {
    peer.send(requestSuccess(encodeText("what you did not ask")));
    peer.send(REQUEST_FAILURE);
    peer.send(channelOpenConfirmation(i, { ...own, sender: i }));
    peer.send(channelOpenFailure(i, 1, "no"));
    peer.send(channelSignal(Msg.CHANNEL_SUCCESS, id));
    peer.send(channelSignal(Msg.CHANNEL_FAILURE, 99_999));
    peer.send(new Uint8Array([Msg.PONG, 0, 0, 0, 0]));
    peer.send(new Uint8Array([Msg.UNIMPLEMENTED, 0, 0, 0, 1]));
    if (i % 100 === 99) assert.deepEqual(await barrier(peer), []);
  }
  assert.equal(server.channelCount, 1);
  // A real question still gets its own answer.
  const asked = server.request("real", EMPTY, true);
  await peer.receiveNumber(Msg.GLOBAL_REQUEST);
  peer.send(requestSuccess(encodeText("yes")));
  assert.deepEqual(await asked, encodeText("yes"));
});

// -- requests ---------------------------------------------------------------------------------------------------

Deno.test("global requests that wait are capped in number", async () => {
  await using flooded = await connected();
  flooded.server.onGlobalRequest = () => new Promise(() => {});
  for (let i = 0; i <= MAX_PENDING_REQUESTS; i++) flooded.peer.send(globalRequest("x", true));
  await endsWith(flooded, /too many unanswered global requests/);
});

Deno.test("data of waiting requests is capped over all channels of a connection", async () => {
  await using flooded = await connected();
  const { peer, accepted } = flooded;
  const large = new Uint8Array(200_000);
  const fits = Math.floor(MAX_PENDING_REQUEST_BYTES / large.length);
  for (let i = 0; i < fits; i++) {
    const { id } = await open(peer);
    accepted[i].onRequest = () => new Promise(() => {});
    peer.send(channelRequest(id, "env", false, large));
  }
  assert.deepEqual(await barrier(peer), []);
  flooded.server.onGlobalRequest = () => new Promise(() => {});
  peer.send(globalRequest("x", false, large));
  await endsWith(flooded, /too much data in unanswered requests/);
});

Deno.test("answered requests cost nothing: any number of any size in a row", async () => {
  await using flooded = await connected();
  const { id } = await open(flooded.peer);
  flooded.accepted[0].onRequest = async () => {
    await settle();
    return true;
  };
  for (let i = 0; i < 30; i++) {
    flooded.peer.send(channelRequest(id, "env", true, new Uint8Array(100_000)));
    flooded.peer.send(globalRequest("x", true, new Uint8Array(100_000)));
    await flooded.peer.receiveNumber(Msg.REQUEST_FAILURE);
    await flooded.peer.receiveNumber(Msg.CHANNEL_SUCCESS);
  }
});

// -- a peer that asks and never reads ---------------------------------------------------------------------------

Deno.test("a peer that never reads is not heard without end: PINGs, refused opens, unknown messages", async () => {
  const floods: Record<string, Bytes> = {
    ping: new Writer().byte(Msg.PING).string(new Uint8Array(30_000)).finish(),
    unknown: new Uint8Array(200).fill(200),
    open: channelOpen("nobody takes this", own, EMPTY),
    request: globalRequest("nobody answers this", true, new Uint8Array(1000)),
  };
  for (const [name, message] of Object.entries(floods)) {
    const pair = againstServer();
    await using _ = pair;
    await pair.peer.connect();
    const server = await pair.library;
    const batch = Array<Bytes>(Math.ceil(100_000 / message.length)).fill(message);
    let taken = 0;
    let ended = false;
    for (;;) {
      let done = false;
      pair.peer.sendAndWait(...batch).then(() => done = true, () => ended = true);
      for (let i = 0; i < 5 && !done && !ended; i++) await settle();
      if (!done) break;
      taken += batch.length * message.length;
      // What it may hold of answers is the same for all: a long question with a short answer may come more often.
      assert.ok(taken < 32 * SEND_LIMIT, `${name}: ${taken} bytes were taken`);
    }
    // Either it stopped listening, or it gave the flood up.
    if (!ended) assert.equal(await Promise.race([server.closed.then(() => "closed"), settle()]), undefined);
  }
});
