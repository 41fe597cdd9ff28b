/** Terrapin (CVE-2023-48795): messages injected before NEWKEYS, sequence numbers under strict key exchange. */
import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY } from "../../../src/bytes/bytes.ts";
import { clearSealer } from "../../../src/ssh/algorithms/clear.ts";
import { defaultAlgorithms } from "../../../src/ssh/algorithms/lists.ts";
import { PacketWriter } from "../../../src/ssh/transport/packet_writer.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";
import { type PlainDuplex, PlainDuplexBase } from "../../../src/streams/duplex.ts";
import { deadline } from "../../support/wait.ts";
import { againstClient, againstServer, type HandPeer } from "../hand_peer.ts";
import { connectPair } from "../handshake.ts";

/** What the attacker slips in: all are ignored everywhere but in a strict key exchange. */
const noise: Record<string, Bytes> = {
  IGNORE: new Uint8Array([Msg.IGNORE, 0, 0, 0, 0]),
  DEBUG: new Uint8Array([Msg.DEBUG, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  UNIMPLEMENTED: new Uint8Array([Msg.UNIMPLEMENTED, 0, 0, 0, 0]),
};

function clearPacket(payload: Bytes): Bytes {
  const writer = new PacketWriter(clearSealer);
  writer.append(payload);
  return writer.take().slice();
}

/** A man in the middle who inserts a packet before the clear packet with the number `before`. */
class Injecting extends PlainDuplexBase {
  readonly #inner: PlainDuplex;
  readonly #message: Bytes;
  readonly #before: number;
  #pending: Bytes = EMPTY;
  #ready: Bytes = EMPTY;
  #identified = false;
  #done = false;

  constructor(inner: PlainDuplex, message: Bytes, before: number) {
    super();
    this.#inner = inner;
    this.#message = clearPacket(message);
    this.#before = before;
  }

  async read(into: Bytes): Promise<number | null> {
    while (this.#ready.length === 0) {
      if (this.#done && this.#pending.length === 0) return await this.#inner.read(into);
      const buffer = new Uint8Array(4096);
      const count = this.#done ? 0 : await this.#inner.read(buffer);
      if (count === null) return null;
      this.#pending = concat(this.#pending, buffer.subarray(0, count));
      this.#takeApart();
    }
    const count = Math.min(into.length, this.#ready.length);
    into.set(this.#ready.subarray(0, count));
    this.#ready = this.#ready.slice(count);
    return count;
  }

  /** Moves whole pieces from pending to ready; everything once the packet is in. */
  #takeApart(): void {
    const move = (count: number) => {
      this.#ready = concat(this.#ready, this.#pending.subarray(0, count));
      this.#pending = this.#pending.slice(count);
    };
    if (!this.#identified) {
      const lf = this.#pending.indexOf(10);
      if (lf < 0) return;
      move(lf + 1);
      this.#identified = true;
    }
    while (!this.#done && this.#pending.length >= 6) {
      const total = 4 + new DataView(this.#pending.buffer).getUint32(0);
      if (this.#pending.length < total) return;
      if (this.#pending[5] === this.#before) {
        this.#ready = concat(this.#ready, this.#message);
        this.#done = true;
      } else move(total);
    }
    if (this.#done) move(this.#pending.length);
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

for (const [name, message] of Object.entries(noise)) {
  for (const victim of ["server", "client"] as const) {
    const method = victim === "server" ? Msg.KEX_ECDH_INIT : Msg.KEX_ECDH_REPLY;
    for (
      const [place, before] of [["KEXINIT", Msg.KEXINIT], ["the method", method], ["NEWKEYS", 21]] as const
    ) {
      Deno.test(`${name} slipped in before ${place} of the ${victim}'s peer ends the handshake`, async () => {
        const around = (duplex: PlainDuplex) => new Injecting(duplex, message, before);
        await assert.rejects(
          deadline(
            connectPair(victim === "server" ? { aroundServer: around } : { aroundClient: around }),
            "the end",
          ),
          (error: Error) => {
            // One side finds it and says so, the other is told.
            assert.match(error.message, /is not allowed here|before KEXINIT under strict/);
            return true;
          },
        );
      });
    }
  }
}

Deno.test("peers without strict key exchange are served, noise before NEWKEYS included", async () => {
  for (
    const make of [() => againstServer({}, { strict: false }), () => againstClient({}, { strict: false })]
  ) {
    await using pair = make();
    const peer: HandPeer = pair.peer;
    await peer.identify();
    peer.send(noise.IGNORE);
    peer.sendKexInit();
    peer.send(noise.DEBUG);
    await peer.receiveKexInit();
    assert.equal(peer.strict, false);
    if (peer.role === "client") await peer.sendMethod();
    await peer.receiveMethod();
    peer.send(noise.IGNORE);
    peer.sendNewKeys();
    await peer.receiveNewKeys();
    if (peer.role === "client") {
      // The sequence numbers run on: both sides still understand each other.
      peer.send(
        new Uint8Array([Msg.SERVICE_REQUEST, 0, 0, 0, 12, ...new TextEncoder().encode("ssh-userauth")]),
      );
      await peer.receiveNumber(Msg.SERVICE_ACCEPT);
    } else {
      await peer.receiveNumber(Msg.SERVICE_REQUEST);
    }
  }
});

Deno.test("under strict key exchange sequence numbers begin anew at every NEWKEYS, the first and later ones", async () => {
  // The nonce of this cipher is the sequence number: what either side sends, only the right one opens.
  const algorithms = { ...defaultAlgorithms, cipher: ["chacha20-poly1305@openssh.com"] };
  for (const strict of [true, false]) {
    await using pair = againstServer({}, { strict, algorithms });
    const { peer } = pair;
    await peer.connect();
    const sequenceOf = async () => {
      peer.send(new Uint8Array([200]));
      return new DataView((await peer.receiveNumber(Msg.UNIMPLEMENTED)).buffer).getUint32(1);
    };
    const before = await sequenceOf();
    for (let i = 0; i < 3; i++) {
      peer.sendKexInit();
      await peer.receiveKexInit();
      await peer.sendMethod();
      await peer.receiveMethod();
      peer.sendNewKeys();
      await peer.receiveNewKeys();
      // KEXINIT, INIT and NEWKEYS count where nothing is reset.
      assert.equal(await sequenceOf(), strict ? 0 : before + 4 * (i + 1));
    }
  }
});

Deno.test("in a later key exchange noise is ignored: strictness is about the first", async () => {
  await using pair = againstServer();
  const { peer } = pair;
  await peer.connect();
  peer.sendKexInit();
  peer.send(noise.IGNORE);
  await peer.receiveKexInit();
  await peer.sendMethod();
  peer.send(noise.DEBUG);
  await peer.receiveMethod();
  peer.sendNewKeys();
  await peer.receiveNewKeys();
  peer.send(new Uint8Array([Msg.PING, 0, 0, 0, 0]));
  await peer.receiveNumber(Msg.PONG);
});
