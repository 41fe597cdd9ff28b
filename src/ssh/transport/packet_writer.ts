/** Builds protected packets in a buffer, one after the other. Pure: bytes in, bytes out. */
import { type Bytes, EMPTY, randomBytes } from "../../bytes/bytes.ts";
import { BufferPool } from "../../bytes/pool.ts";
import type { Sealer } from "../algorithms/protection.ts";
import { SEND_HIGH_WATER } from "./limits.ts";

/** For a few small packets: a keystroke, a key exchange. */
const smallBuffers = new BufferPool(4 * 1024, 64);
/** Room for the high-water mark and the packet that crosses it. */
const busyBuffers = new BufferPool(SEND_HIGH_WATER + 64 * 1024, 8);

/** Random padding for some hundred packets at a time; a system call for each would cost more than its cipher. */
class PaddingSource {
  #bytes = EMPTY;
  #used = 0;

  fill(into: Bytes, start: number, length: number): void {
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = randomBytes(4096);
      this.#used = 0;
    }
    for (let i = 0; i < length; i++) into[start + i] = this.#bytes[this.#used + i];
    this.#used += length;
  }
}

const padding = new PaddingSource();

const EMPTY_VIEW = new DataView(EMPTY.buffer);

/** Bytes to be sent and one direction's keys. */
export class PacketWriter {
  #sealer: Sealer;
  #sequence = 0;
  /** Borrowed while there is something to send: an idle connection holds none. */
  #buffer: Bytes = EMPTY;
  #view = EMPTY_VIEW;
  #length = 0;
  /** Packets are padded to multiples of this, a multiple itself of every block size, so that they tell less by their length. */
  granularity = 1;
  /** Bytes and packets sealed since the keys were last changed. */
  sealedBytes = 0;
  sealedPackets = 0;

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  /** Bytes ready to be taken. */
  get length(): number {
    return this.#length;
  }

  /** Seals later packets with `sealer`; frees the one before. @param resetSequence strict key exchange */
  changeKeys(sealer: Sealer, resetSequence: boolean): void {
    this.#sealer.free();
    this.#sealer = sealer;
    if (resetSequence) this.#sequence = 0;
    this.sealedBytes = 0;
    this.sealedPackets = 0;
  }

  /** Appends bytes that are not a packet: the identification line. */
  appendRaw(bytes: Bytes): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Appends one packet whose payload is `head` followed by `body`; both are copied. */
  append(head: Bytes, body: Bytes = EMPTY): void {
    const { blockSize, lengthCounts, tagLength } = this.#sealer;
    const payloadLength = head.length + body.length;
    const unpadded = (lengthCounts ? 5 : 1) + payloadLength;
    const unit = Math.max(blockSize, this.granularity);
    // RFC 4253 §6: at least four bytes of padding.
    let paddingLength = unit - unpadded % unit;
    if (paddingLength < 4) paddingLength += unit;
    const packetLength = 1 + payloadLength + paddingLength;
    const total = 4 + packetLength + tagLength;

    this.#reserve(total);
    const at = this.#length;
    this.#view.setUint32(at, packetLength);
    this.#buffer[at + 4] = paddingLength;
    this.#buffer.set(head, at + 5);
    if (body.length > 0) this.#buffer.set(body, at + 5 + head.length);
    padding.fill(this.#buffer, at + 5 + payloadLength, paddingLength);
    this.#sealer.seal(this.#sequence, this.#buffer.subarray(at, at + total));

    this.#length = at + total;
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.sealedBytes += total;
    this.sealedPackets++;
  }

  /** Takes everything appended so far. Give the buffer back with {@link recycle} once it is sent. */
  take(): Bytes {
    const taken = this.#buffer.subarray(0, this.#length);
    this.#buffer = EMPTY;
    this.#view = EMPTY_VIEW;
    this.#length = 0;
    return taken;
  }

  /** @param taken what {@link take} returned; not to be touched again */
  recycle(taken: Bytes): void {
    giveBack(new Uint8Array(taken.buffer));
  }

  /** Frees the sealer. The writer must not be used again. */
  free(): void {
    this.#sealer.free();
  }

  #reserve(length: number): void {
    const needed = this.#length + length;
    if (needed <= this.#buffer.length) return;
    const larger = needed <= smallBuffers.size
      ? smallBuffers.take()
      : needed <= busyBuffers.size
      ? busyBuffers.take()
      : new Uint8Array(needed * 2);
    larger.set(this.#buffer.subarray(0, this.#length));
    giveBack(this.#buffer);
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** Each pool takes only its own size. */
function giveBack(buffer: Bytes): void {
  smallBuffers.give(buffer);
  busyBuffers.give(buffer);
}
