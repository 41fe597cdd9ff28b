/** Floods of an authenticated peer: channels, requests, replies, windows. Memory and state stay bounded. */
import assert from "node:assert/strict";
import { type Bytes, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import {
  INITIAL_WINDOW,
  MAX_CHANNELS,
  MAX_PENDING_REQUEST_BYTES,
  MAX_PENDING_REQUESTS,
  MIN_WINDOW,
  WINDOW_BUDGET,
} from "../../../src/ssh/connection/limits.ts";
import type { Channel } from "../../../src/ssh/connection/types.ts";
import { ChannelOpenReason } from "../../../src/ssh/error.ts";
import type { ServerConnection } from "../../../src/ssh/server.ts";
import { SEND_HIGH_WATER, SEND_LIMIT } from "../../../src/ssh/transport/limits.ts";
import {
  channelOpen,
  channelOpenConfirmation,
  channelOpenFailure,
  channelRequest,
  channelSignal,
  channelWindowAdjust,
  globalRequest,
  REQUEST_FAILURE,
  requestSuccess,
} from "../../../src/ssh/wire/channel_messages.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { settle } from "../../support/fake_clock.ts";
import { deadline } from "../../support/wait.ts";
import { againstServer, type HandPair, type HandPeer } from "../hand_peer.ts";
import { connectPair } from "../handshake.ts";

interface Flooded extends HandPair<ServerConnection<string>> {
  readonly server: ServerConnection<string>;
  /** Channels that the server has accepted. */
  readonly accepted: Channel[];
}

/** An authenticated hand-driven client; the server accepts every channel and reads nothing. */
async function connected(): Promise<Flooded> {
  const accepted: Channel[] = [];
  const pair = againstServer({
    prepare: (connection) => connection.onChannel = (incoming) => void accepted.push(incoming.accept()),
  });
  await pair.peer.connect();
  return { ...pair, accepted, server: await pair.library, [Symbol.asyncDispose]: pair[Symbol.asyncDispose] };
}

const own = { sender: 7, window: INITIAL_WINDOW, maxPacket: 32_768 };

/** Opens a channel; the server's number and window. */
async function open(peer: HandPeer, parameters = own): Promise<{ id: number; window: number }> {
  peer.send(channelOpen("test", parameters, EMPTY));
  const reader = new Reader(await peer.receiveNumber(Msg.CHANNEL_OPEN_CONFIRMATION), 1);
  assert.equal(reader.uint32(), parameters.sender);
  return { id: reader.uint32(), window: reader.uint32() };
}

function data(id: number, bytes: Bytes): Bytes {
  return new Writer(bytes.length + 16).byte(Msg.CHANNEL_DATA).uint32(id).string(bytes).finish();
}

/** Everything the server had to say to what was sent before. */
async function barrier(peer: HandPeer): Promise<Bytes[]> {
  peer.send(new Uint8Array([Msg.PING, 0, 0, 0, 0]));
  const before: Bytes[] = [];
  for (;;) {
    const payload = await deadline(peer.receive(), "an answer");
    if (payload[0] === Msg.PONG) return before;
    before.push(payload);
  }
}

async function endsWith({ peer, server }: Flooded, message: RegExp): Promise<void> {
  assert.match((await deadline(peer.goodbye(), "the end"))!, message);
  assert.match((await server.closed)!.message, message);
  assert.equal(server.channelCount, 0);
}

// -- windows ----------------------------------------------------------------------------------------------------

Deno.test("a window that overflows 2^32 ends the connection, at once or in steps", async () => {
  for (const steps of [[2 ** 32 - 1], [2 ** 31, 2 ** 31], [2 ** 32 - 1 - own.window, 1]]) {
    await using flooded = await connected();
    const { id } = await open(flooded.peer);
    for (const step of steps) flooded.peer.send(channelWindowAdjust(id, step));
    await endsWith(flooded, /window overflows/);
  }
});

Deno.test("a window may be filled to the last of its 2^32 - 1 bytes", async () => {
  await using flooded = await connected();
  const { id } = await open(flooded.peer);
  flooded.peer.send(channelWindowAdjust(id, 2 ** 32 - 1 - own.window));
  assert.deepEqual(await barrier(flooded.peer), []);
});

Deno.test("data beyond the window ends the connection, standard error and unknown kinds included", async () => {
  const extended = (id: number, type: number, length: number) =>
    new Writer().byte(Msg.CHANNEL_EXTENDED_DATA).uint32(id).uint32(type).string(new Uint8Array(length))
      .finish();
  for (const kind of ["data", "stderr"] as const) {
    await using flooded = await connected();
    const { id, window } = await open(flooded.peer);
    const full = (length: number) =>
      kind === "data" ? data(id, new Uint8Array(length)) : extended(id, 1, length);
    for (let sent = 0; sent < window; sent += 32_768) flooded.peer.send(full(32_768));
    assert.deepEqual(await barrier(flooded.peer), []);
    flooded.peer.send(full(1));
    await endsWith(flooded, /beyond the channel's window/);
  }
  // What nobody can read is granted anew, or the channel would starve.
  await using flooded = await connected();
  const { id, window } = await open(flooded.peer);
  for (let sent = 0; sent < 2 * window; sent += 32_768) {
    flooded.peer.send(extended(id, 99, 32_768));
    await barrier(flooded.peer);
  }
});

Deno.test("empty data is no end of stream and costs no window", async () => {
  await using flooded = await connected();
  const { id } = await open(flooded.peer);
  const reading = flooded.accepted[0].read(new Uint8Array(9));
  for (let i = 0; i < 10; i++) flooded.peer.send(data(id, EMPTY));
  await barrier(flooded.peer);
  flooded.peer.send(data(id, encodeText("x")));
  assert.equal(await reading, 1);
});

Deno.test("a channel that takes no data at all ends the connection; one that takes a byte at a time works", async () => {
  await using flooded = await connected();
  flooded.peer.send(channelOpen("test", { ...own, maxPacket: 0 }, EMPTY));
  await endsWith(flooded, /takes no data/);

  await using patient = await connected();
  await open(patient.peer, { ...own, maxPacket: 1 });
  const writing = patient.accepted[0].write(encodeText("hello"));
  for (const letter of encodeText("hello")) {
    const payload = await patient.peer.receiveNumber(Msg.CHANNEL_DATA);
    assert.deepEqual(payload.subarray(5), new Uint8Array([0, 0, 0, 1, letter]));
  }
  await writing;
});

Deno.test("data after the end of stream, on a channel that is not open or not yet: the end", async () => {
  const attempts: ((peer: HandPeer, id: number) => void)[] = [
    (peer, id) => {
      peer.send(channelSignal(Msg.CHANNEL_EOF, id));
      peer.send(data(id, encodeText("x")));
    },
    (peer) => peer.send(data(12_345, encodeText("x"))),
    (peer, id) => {
      peer.send(channelSignal(Msg.CHANNEL_CLOSE, id));
      peer.send(data(id, encodeText("x")));
    },
    (peer, id) => {
      peer.send(channelSignal(Msg.CHANNEL_CLOSE, id));
      peer.send(channelSignal(Msg.CHANNEL_CLOSE, id));
    },
    (peer) => peer.send(channelWindowAdjust(4_294_967_295, 1)),
  ];
  for (const attempt of attempts) {
    await using flooded = await connected();
    const { id } = await open(flooded.peer);
    attempt(flooded.peer, id);
    await endsWith(flooded, /after the channel's end|not open/);
  }
});

// -- channels ---------------------------------------------------------------------------------------------------

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

Deno.test("channel writes wait for a peer that grants windows and never reads", async () => {
  await using flooded = await connected();
  const { peer, accepted } = flooded;
  let written = 0;
  const writers: Promise<void>[] = [];
  for (let i = 0; i < 20; i++) await open(peer, { ...own, sender: i, window: 2 ** 32 - 1 });
  for (const channel of accepted) {
    writers.push(
      (async () => {
        const chunk = new Uint8Array(32_768);
        for (;;) {
          await channel.write(chunk);
          written += chunk.length;
        }
      })().catch(() => {}),
    );
  }
  for (let i = 0; i < 20; i++) await settle();
  // One batch on its way, one filling up to the mark, one packet for each writer.
  const bound = 2 * SEND_HIGH_WATER + 21 * 32_768 + 64 * 1024;
  assert.ok(written <= bound, `${written} bytes were taken`);
  peer.close();
  await Promise.all(writers);
});

Deno.test("many channels that nobody reads hold no more than the connection's budget", async () => {
  const accepted: Channel[] = [];
  await using pair = await connectPair({
    server: { prepare: (c) => c.onChannel = (incoming) => void accepted.push(incoming.accept()) },
  });
  let sent = 0;
  const writers: Promise<void>[] = [];
  for (let i = 0; i < 40; i++) {
    const channel = await pair.client.open("x", EMPTY);
    writers.push(
      (async () => {
        const chunk = new Uint8Array(16_384);
        for (;;) {
          await channel.write(chunk);
          sent += chunk.length;
        }
      })().catch(() => {}),
    );
  }
  for (let i = 0; i < 3; i++) await pair.client.request("barrier", EMPTY, true);
  for (let i = 0; i < 20; i++) await settle();
  assert.ok(sent <= 40 * INITIAL_WINDOW, `${sent}`);
  assert.ok(sent >= 40 * INITIAL_WINDOW - 40 * 16_384, `${sent}`);
  pair.client.close();
  await Promise.all(writers);
});

Deno.test("windows of one connection add up to its budget, and beyond that to the least for each", async () => {
  await using flooded = await connected();
  let granted = 0;
  let last = 0;
  for (let i = 0; i < MAX_CHANNELS; i++) granted += last = (await open(flooded.peer)).window;
  assert.equal(last, MIN_WINDOW);
  assert.ok(granted <= WINDOW_BUDGET + MAX_CHANNELS * MIN_WINDOW, `${granted}`);
});

Deno.test("channels that the peer refuses cost nothing of the budget", async () => {
  await using flooded = await connected();
  const { peer, server } = flooded;
  for (let i = 0; i < 2 * WINDOW_BUDGET / INITIAL_WINDOW; i++) {
    const opening = server.open("refused", EMPTY);
    const reader = new Reader(await peer.receiveNumber(Msg.CHANNEL_OPEN), 1);
    reader.string();
    peer.send(channelOpenFailure(reader.uint32(), ChannelOpenReason.connectFailed, "no"));
    await assert.rejects(opening, { code: "channel-refused" });
  }
  assert.equal((await open(peer)).window, INITIAL_WINDOW);
});
