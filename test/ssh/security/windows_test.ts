/** Windows of an authenticated peer that means no good: what is beyond them, and what they add up to. */
import assert from "node:assert/strict";
import { EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import {
  INITIAL_WINDOW,
  MAX_CHANNELS,
  MIN_WINDOW,
  WINDOW_BUDGET,
} from "../../../src/ssh/connection/limits.ts";
import type { Channel } from "../../../src/ssh/connection/types.ts";
import { ChannelOpenReason } from "../../../src/ssh/error.ts";
import { SEND_HIGH_WATER } from "../../../src/ssh/transport/limits.ts";
import {
  channelOpen,
  channelOpenFailure,
  channelSignal,
  channelWindowAdjust,
} from "../../../src/ssh/wire/channel_messages.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { settle } from "../../support/fake_clock.ts";
import type { HandPeer } from "../hand_peer.ts";
import { connectPair } from "../handshake.ts";
import { barrier, connected, data, endsWith, open, own } from "./flooded.ts";

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
