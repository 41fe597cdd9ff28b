/** Length games: caps before anything is allocated, every cut and every flipped bit of a handshake. */
import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { clearOpener } from "../../../src/ssh/algorithms/clear.ts";
import { defaultAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import { negotiate, propose } from "../../../src/ssh/algorithms/negotiation.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { encodeKexInit } from "../../../src/ssh/transport/kexinit.ts";
import { MAX_PACKET_LENGTH, MAX_PACKET_LENGTH_BEFORE_AUTH } from "../../../src/ssh/transport/limits.ts";
import { PacketReader } from "../../../src/ssh/transport/packet_reader.ts";
import { globalRequest } from "../../../src/ssh/wire/channel_messages.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { type PlainDuplex, PlainDuplexBase } from "../../../src/streams/duplex.ts";
import { ChaosDuplex } from "../../support/chaos.ts";
import { LOGIN_GRACE_MS } from "../../../src/ssh/establish.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { deadline } from "../../support/wait.ts";
import { againstServer } from "../hand_peer.ts";
import { connectPair, serverOptions } from "../handshake.ts";

const algorithms = { ...defaultAlgorithms, kex: ["curve25519-sha256"], cipher: ["aes128-gcm@openssh.com"] };
const quick = { algorithms, auth: { ...serverOptions().auth, failureQuantum: 0 } };

function readerWith(bytes: Bytes, cap?: number): PacketReader {
  const reader = new PacketReader(clearOpener);
  if (cap !== undefined) reader.maxPacketLength = cap;
  reader.space().set(bytes);
  reader.commit(bytes.length);
  return reader;
}

function head(length: number): Bytes {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

Deno.test("a length that cannot be is refused with its first four bytes, before anything is allocated", () => {
  const refused = [
    0,
    1,
    5,
    12 + 1,
    MAX_PACKET_LENGTH_BEFORE_AUTH + 4,
    0x7fff_fffc,
    0x8000_0004,
    0xffff_fffc,
    0xffff_ffff,
  ];
  for (const length of refused) {
    assert.throws(() => readerWith(head(length)).next(), { code: "protocol" }, `${length}`);
  }
  for (const length of [12, 20, MAX_PACKET_LENGTH_BEFORE_AUTH - 4]) {
    const reader = readerWith(head(length).subarray(0, 4));
    assert.equal(reader.next(), undefined);
    // Room for the packet that was announced and the usual read, no more.
    assert.ok(reader.space().length <= 512 * 1024);
  }
  const later = readerWith(head(MAX_PACKET_LENGTH - 4), MAX_PACKET_LENGTH);
  assert.equal(later.next(), undefined);
  assert.throws(() => readerWith(head(MAX_PACKET_LENGTH + 4), MAX_PACKET_LENGTH).next(), {
    code: "protocol",
  });
});

Deno.test("padding that eats the payload, or is too short, is refused", () => {
  for (const padding of [0, 1, 3, 11, 12, 255]) {
    const packet = head(12);
    packet[4] = padding;
    assert.throws(() => readerWith(packet).next(), /padding/, `${padding}`);
  }
  const packet = head(12);
  packet[4] = 10;
  packet[5] = 99;
  assert.deepEqual(readerWith(packet).next(), new Uint8Array([99]));
});

Deno.test("before authentication a packet may have 64 KiB, after it 256 KiB", async () => {
  const message = (length: number) => concat(new Uint8Array([Msg.IGNORE]), new Uint8Array(length));
  await using stranger = againstServer(quick, { algorithms });
  await stranger.peer.identify();
  await stranger.peer.exchangeKeys();
  stranger.peer.send(message(MAX_PACKET_LENGTH_BEFORE_AUTH - 100));
  stranger.peer.send(message(MAX_PACKET_LENGTH_BEFORE_AUTH));
  assert.match((await stranger.peer.goodbye())!, /impossible length/);

  await using friend = againstServer(quick, { algorithms });
  const { peer } = friend;
  await peer.connect();
  const server = await friend.library;
  peer.send(message(MAX_PACKET_LENGTH - 100));
  peer.send(globalRequest("x", true));
  await peer.receiveNumber(Msg.REQUEST_FAILURE);
  peer.send(message(MAX_PACKET_LENGTH));
  assert.match((await peer.goodbye())!, /impossible length/);
  assert.equal((await server.closed as SshError).code, "protocol");
});

Deno.test("a string that is longer than its message ends the connection", async () => {
  const messages = [
    new Uint8Array([Msg.GLOBAL_REQUEST, 0xff, 0xff, 0xff, 0xff]),
    new Uint8Array([Msg.CHANNEL_OPEN, 0, 0, 0, 5, 1]),
    new Uint8Array([Msg.CHANNEL_OPEN]),
    new Uint8Array([Msg.CHANNEL_DATA, 0, 0]),
    new Uint8Array([Msg.CHANNEL_OPEN_FAILURE, 0]),
    new Uint8Array([Msg.KEXINIT, 1, 2, 3]),
    new Uint8Array([Msg.DISCONNECT, 0]),
  ];
  for (const message of messages) {
    await using pair = againstServer(quick, { algorithms });
    await pair.peer.connect();
    const server = await pair.library;
    pair.peer.send(message);
    pair.peer.receiveAll();
    assert.match((await deadline(server.closed, `${message}`))!.message, /malformed/);
  }
});

Deno.test("a KEXINIT of sixty thousand names is answered, or refused, in no time", () => {
  const names = Array.from({ length: 12_000 }, (_, i) => `a${i}`);
  const lists = propose({ kex: names, hostKey: names, cipher: names, mac: names, compression: names });
  const begun = performance.now();
  assert.throws(() => negotiate(lists, propose(defaultAlgorithms)), { code: "negotiation" });
  assert.throws(
    () => negotiate(propose(defaultAlgorithms), lists),
    (error: SshError) => error.message.length < 2000,
  );
  assert.ok(performance.now() - begun < 1000);
  assert.ok(encodeKexInit(propose(defaultAlgorithms)).length < 4000);
});

Deno.test("compression is not offered, and a peer that insists on it gets no connection", async () => {
  assert.deepEqual(defaultAlgorithms.compression, ["none"]);
  for (const compression of [["zlib"], ["zlib@openssh.com"]]) {
    await using pair = againstServer(quick, { algorithms: { ...algorithms, compression } });
    await pair.peer.identify();
    pair.peer.sendKexInit();
    assert.match((await pair.peer.goodbye())!, /no common compression/);
    await assert.rejects(pair.library, { code: "negotiation" });
  }
  // One that merely would like to is served without.
  await using pair = againstServer(quick, {
    algorithms: { ...algorithms, compression: ["zlib", "zlib@openssh.com", "none"] },
  });
  await pair.peer.connect();
  assert.equal((await pair.library).negotiated.clientToServer.compression, "none");
});

/** Ends what comes in after so many bytes. */
class Cut extends PlainDuplexBase {
  readonly #inner: PlainDuplex;
  #left: number;

  constructor(inner: PlainDuplex, after: number) {
    super();
    this.#inner = inner;
    this.#left = after;
  }

  async read(into: Bytes): Promise<number | null> {
    if (this.#left === 0) return null;
    const count = await this.#inner.read(into.subarray(0, Math.min(into.length, this.#left)));
    this.#left -= count ?? 0;
    return count;
  }

  write(from: Bytes): Promise<void> {
    return this.#inner.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(reason?: unknown): void {
    this.#inner.close(reason);
  }
}

/** Longer than any step of a handshake in memory takes: who is still waiting then waits for bytes that never come. */
const STALL_MS = 100;

/** Whether a handshake through `around` succeeds. It must settle, at the latest when the login grace is over. */
async function attempt(
  side: "client" | "server",
  around: (duplex: PlainDuplex) => PlainDuplex,
  label: string,
) {
  const clock = new FakeClock();
  const trying = connectPair({
    client: { algorithms, clock },
    server: { ...quick, clock },
    [side === "client" ? "aroundClient" : "aroundServer"]: around,
  });
  const graceIsOver = setTimeout(() => clock.advance(LOGIN_GRACE_MS), STALL_MS);
  try {
    await using _pair = await deadline(trying, label);
    return true;
  } catch (error) {
    assert.ok(error instanceof SshError, `${label}: ${error}`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      assert.ok(!(cause instanceof TypeError || cause instanceof RangeError), `${label}: ${cause.stack}`);
    }
    return false;
  } finally {
    clearTimeout(graceIsOver);
  }
}

/** Bytes between two cuts or flips: prime, so that over the whole handshake every kind of place is met. */
const STRIDE = 7;

for (const side of ["client", "server"] as const) {
  Deno.test(`a handshake that the ${side} receives cut short fails, wherever the cut is`, async () => {
    let cut = 0;
    while (!await attempt(side, (duplex) => new Cut(duplex, cut), `cut at ${cut}`)) cut += STRIDE;
    assert.ok(cut > 800, `${cut}`);
  });

  Deno.test(`a handshake that the ${side} receives with one bit flipped fails, wherever it is`, async () => {
    let at = 0;
    // Padding of packets in the clear is nobody's; behind the handshake there is nothing to flip.
    for (let harmless = 0; harmless <= 12; at += STRIDE) {
      const flip = (duplex: PlainDuplex) => new ChaosDuplex(duplex, { flipBit: 8 * at + at % 8 });
      if (await attempt(side, flip, `bit of byte ${at}`)) harmless++;
    }
    assert.ok(at > 1000, `${at} bytes`);
  });
}

Deno.test("an empty identification, and none, are connections lost and nothing worse", async () => {
  for (const text of ["", "\n", "\r\n\r\n", "SSH-"]) {
    await using pair = againstServer();
    pair.peer.sendRaw(encodeText(text).length > 0 ? encodeText(text) : EMPTY);
    pair.peer.close();
    await assert.rejects(deadline(pair.library, JSON.stringify(text)), SshError);
  }
});
