/** The whole state machine, server and client: valid handshakes, then anything. */
import { type Bytes, concat, EMPTY, encodeText } from "../../src/bytes/bytes.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { Router } from "../../src/ssh/connection/router.ts";
import type { Connection, IncomingChannel } from "../../src/ssh/connection/types.ts";
import { defaultAlgorithms } from "../../src/ssh/algorithms/lists.ts";
import { connectSsh } from "../../src/ssh/client.ts";
import { SshError } from "../../src/ssh/error.ts";
import { ForwardRefusal, serveForwarding } from "../../src/ssh/forward/incoming.ts";
import { encodeHostPort, encodePath, encodeTcpChannel } from "../../src/ssh/forward/messages.ts";
import { RemoteForwards } from "../../src/ssh/forward/outgoing.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import * as wire from "../../src/ssh/wire/channel_messages.ts";
import { Msg } from "../../src/ssh/wire/numbers.ts";
import type { PlainDuplex } from "../../src/streams/duplex.ts";
import { duplexPair } from "../../src/streams/pair.ts";
import { relay } from "../../src/streams/relay.ts";
import { ChaosDuplex } from "../support/chaos.ts";
import { deadline } from "../support/wait.ts";
import { HandPeer } from "../ssh/hand_peer.ts";
import { clientOptions, serverOptions } from "../ssh/handshake.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

/** Fast methods: the search is for states, not for numbers. */
const algorithms = { ...defaultAlgorithms, kex: ["curve25519-sha256"], cipher: ["aes128-gcm@openssh.com"] };

/** How long a peer that has been left may take to notice, in milliseconds. */
const PATIENCE_MS = 10_000;

const tcp = encodeTcpChannel({ target: { host: "web", port: 22 }, originator: { host: "h", port: 1 } });
const parameters = { sender: 1, window: 100_000, maxPacket: 1000 };

/** Valid messages; the channel numbers are those that the first channels get. */
const valid: readonly Bytes[] = [
  wire.globalRequest("tcpip-forward", true, encodeHostPort({ host: "web", port: 0 })),
  wire.globalRequest("cancel-tcpip-forward", true, encodeHostPort({ host: "web", port: 4000 })),
  wire.globalRequest("streamlocal-forward@openssh.com", true, encodePath("/run/x")),
  wire.globalRequest("keepalive@openssh.com", true),
  wire.globalRequest("hostkeys-00@openssh.com", false, new Uint8Array(40)),
  wire.requestSuccess(new Uint8Array(4)),
  wire.REQUEST_FAILURE,
  wire.channelOpen("direct-tcpip", parameters, tcp),
  wire.channelOpen("forwarded-tcpip", parameters, tcp),
  wire.channelOpen("echo", parameters, EMPTY),
  wire.channelOpen("undecided", parameters, EMPTY),
  wire.channelOpenConfirmation(1, parameters),
  wire.channelOpenFailure(1, 1, "no"),
  ...[1, 2, 3].flatMap((id) => [
    wire.channelWindowAdjust(id, 50_000),
    concat(new Uint8Array([Msg.CHANNEL_DATA, 0, 0, 0, id, 0, 0, 0, 5]), encodeText("hello")),
    concat(
      new Uint8Array([Msg.CHANNEL_EXTENDED_DATA, 0, 0, 0, id, 0, 0, 0, 1, 0, 0, 0, 2]),
      encodeText("no"),
    ),
    wire.channelSignal(Msg.CHANNEL_EOF, id),
    wire.channelSignal(Msg.CHANNEL_CLOSE, id),
    wire.channelSignal(Msg.CHANNEL_SUCCESS, id),
    wire.channelRequest(id, "env", true, encodeText("\0\0\0\x01A\0\0\0\x01B")),
  ]),
  new Uint8Array([Msg.PING, 0, 0, 0, 3, 1, 2, 3]),
  new Uint8Array([Msg.PONG, 0, 0, 0, 0]),
  new Uint8Array([Msg.IGNORE, 0, 0, 0, 0]),
  new Uint8Array([Msg.DEBUG, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  new Uint8Array([Msg.UNIMPLEMENTED, 0, 0, 0, 0]),
  new Uint8Array([Msg.SERVICE_REQUEST, 0, 0, 0, 12, ...encodeText("ssh-userauth")]),
  new Uint8Array([Msg.NEWKEYS]),
  new Uint8Array([Msg.KEX_ECDH_INIT, 0, 0, 0, 32, ...new Uint8Array(32).fill(9)]),
  new Uint8Array([Msg.DISCONNECT, 0, 0, 0, 11, 0, 0, 0, 3, 98, 121, 101, 0, 0, 0, 0]),
].map((message) => message.slice());

/** One life of one connection. @throws when the library does what it must not */
export async function liveOnce(random: Random): Promise<void> {
  const role = random.chance(70) ? "client" : "server";
  const [near, far] = duplexPair();
  const chunk = random.chance(30) ? 1 + random.below(40) : undefined;
  const peer = new HandPeer(near, { role, strict: random.chance(80), algorithms });
  const library = role === "client" ? server(far, chunk) : client(far, chunk);
  const outcome = library.then((connection) => connection.closed, (error: unknown) => error);
  try {
    await misbehave(peer, random);
  } catch {
    // The library has hung up on what came: its right.
  }
  peer.close();
  checkOutcome(await deadline(outcome, "the end of a connection whose peer has gone", PATIENCE_MS));
  peer.free();
}

function server(duplex: PlainDuplex, chunk?: number) {
  return acceptSsh(
    new ChaosDuplex(duplex, { chunk }),
    serverOptions({
      crypto: nodeCrypto,
      algorithms,
      auth: { ...serverOptions().auth, failureQuantum: 0 },
      prepare: (connection) => serve(connection),
    }),
  );
}

function client(duplex: PlainDuplex, chunk?: number) {
  return connectSsh(
    new ChaosDuplex(duplex, { chunk }),
    clientOptions({
      crypto: nodeCrypto,
      algorithms,
      verifyHostKey: () => true,
      prepare: (connection) => {
        const forwards = new RemoteForwards(connection, serve(connection));
        forwards.listenTcp({ host: "web", port: 0 }, ({ accept }) => echo(accept())).catch(() => {});
        connection.open("echo", EMPTY).then(echo, () => {});
      },
    }),
  );
}

function serve(connection: Connection): Router {
  const router = new Router(connection);
  router.onChannel("echo", (incoming) => echo(incoming.accept()));
  router.onChannel("undecided", (_incoming: IncomingChannel) => new Promise<void>(() => {}));
  let port = 4000;
  serveForwarding(connection, router, {
    dialTcp: ({ target }) => {
      if (target.port % 2) throw new ForwardRefusal(1, "odd");
      const [here, there] = duplexPair();
      echo(there);
      return Promise.resolve(here);
    },
    listenTcp: (asked, deliver) => {
      deliver({ host: "h", port: 1 }).then(echo, () => {});
      return Promise.resolve({ port: asked.port || port++, close() {} });
    },
    listenStreamLocal: () => Promise.resolve({ port: 0, close() {} }),
  });
  return router;
}

/** Sends back what comes, until the end. */
function echo(channel: PlainDuplex): void {
  const [here, there] = duplexPair();
  relay(channel, here);
  relay(there, {
    readable: new ReadableStream<Bytes>({ start: (controller) => controller.close() }),
    writable: new WritableStream<Bytes>(),
  });
}

/** A handshake up to some step, then whatever comes to mind. */
async function misbehave(peer: HandPeer, random: Random): Promise<void> {
  const depth = random.pick([0, 1, 2, 3, 3, 4, 4, 4, 4]);
  if (depth >= 1) await peer.identify();
  if (depth === 2) {
    peer.sendKexInit(random.chance(50));
    if (random.chance(50)) await peer.receiveKexInit();
  }
  if (depth === 3) await peer.exchangeKeys();
  if (depth === 4) {
    await peer.exchangeKeys();
    await peer.authenticate();
  }
  const reading = random.chance(70) ? peer.receiveAll() : undefined;
  const count = random.below(60);
  for (let i = 0; i < count; i++) {
    const message = another(random);
    if (message.raw) peer.sendRaw(message.bytes);
    else if (reading) await peer.sendAndWait(message.bytes);
    else peer.send(message.bytes);
    if (random.chance(20)) await undefined;
  }
  if (!reading && depth === 4 && random.chance(30)) await peer.exchangeKeys();
  // Let it work on what it got.
  await new Promise((resolve) => setTimeout(resolve, 0));
}

function another(random: Random): { bytes: Bytes; raw?: boolean } {
  const kind = random.below(100);
  if (kind < 50) return { bytes: random.pick(valid) };
  if (kind < 85) {
    const bytes = mutate(random.pick(valid), random, valid);
    return { bytes: bytes.length > 0 ? bytes : new Uint8Array([random.below(256)]) };
  }
  if (kind < 97) {
    return { bytes: concat(new Uint8Array([random.below(256)]), random.bytes(random.below(100))) };
  }
  return { bytes: random.bytes(1 + random.below(300)), raw: true };
}

/** Connections end cleanly or with an SshError that no slip of ours is behind. */
function checkOutcome(outcome: unknown): void {
  if (outcome === undefined) return;
  if (!(outcome instanceof SshError)) throw new Error("not an SshError", { cause: outcome });
  for (let cause: unknown = outcome; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError) {
      throw new Error(`a slip of ours: ${cause.message}`, { cause: outcome });
    }
  }
}
