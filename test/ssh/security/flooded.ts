/** An authenticated client that does what no client should, driven by hand, before a server that reads nothing. */
import assert from "node:assert/strict";
import { type Bytes, EMPTY } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import { INITIAL_WINDOW } from "../../../src/ssh/connection/limits.ts";
import type { Channel } from "../../../src/ssh/connection/types.ts";
import type { ServerConnection } from "../../../src/ssh/server.ts";
import { channelOpen } from "../../../src/ssh/wire/channel_messages.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { deadline } from "../../support/wait.ts";
import { againstServer, type HandPair, type HandPeer } from "../hand_peer.ts";

export interface Flooded extends HandPair<ServerConnection<string>> {
  readonly server: ServerConnection<string>;
  /** Channels that the server has accepted. */
  readonly accepted: Channel[];
}

/** An authenticated hand-driven client; the server accepts every channel and reads nothing. */
export async function connected(): Promise<Flooded> {
  const accepted: Channel[] = [];
  const pair = againstServer({
    prepare: (connection) => connection.onChannel = (incoming) => void accepted.push(incoming.accept()),
  });
  await pair.peer.connect();
  return { ...pair, accepted, server: await pair.library, [Symbol.asyncDispose]: pair[Symbol.asyncDispose] };
}

export const own = { sender: 7, window: INITIAL_WINDOW, maxPacket: 32_768 };

/** Opens a channel; the server's number and window. */
export async function open(peer: HandPeer, parameters = own): Promise<{ id: number; window: number }> {
  peer.send(channelOpen("test", parameters, EMPTY));
  const reader = new Reader(await peer.receiveNumber(Msg.CHANNEL_OPEN_CONFIRMATION), 1);
  assert.equal(reader.uint32(), parameters.sender);
  return { id: reader.uint32(), window: reader.uint32() };
}

export function data(id: number, bytes: Bytes): Bytes {
  return new Writer(bytes.length + 16).byte(Msg.CHANNEL_DATA).uint32(id).string(bytes).finish();
}

/** Everything the server had to say to what was sent before. */
export async function barrier(peer: HandPeer): Promise<Bytes[]> {
  peer.send(new Uint8Array([Msg.PING, 0, 0, 0, 0]));
  const before: Bytes[] = [];
  for (;;) {
    const payload = await deadline(peer.receive(), "an answer");
    if (payload[0] === Msg.PONG) return before;
    before.push(payload);
  }
}

export async function endsWith({ peer, server }: Flooded, message: RegExp): Promise<void> {
  assert.match((await deadline(peer.goodbye(), "the end"))!, message);
  assert.match((await server.closed)!.message, message);
  assert.equal(server.channelCount, 0);
}

// -- windows ----------------------------------------------------------------------------------------------------
