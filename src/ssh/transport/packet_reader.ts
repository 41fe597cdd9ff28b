/** Takes received bytes apart into packets. Pure: bytes in, payloads out. */
import type { Bytes } from "../../bytes/bytes.ts";
import { BufferPool } from "../../bytes/pool.ts";
import type { Opener } from "../algorithms/protection.ts";
import { DisconnectReason, SshError } from "../error.ts";
import {
  BUSY_BUFFER_SIZE,
  IDLE_BUFFER_SIZE,
  MAX_PACKET_LENGTH_BEFORE_AUTH,
  MEDIUM_BUFFER_SIZE,
} from "./limits.ts";

const mediumBuffers = new BufferPool(MEDIUM_BUFFER_SIZE, 16);
const busyBuffers = new BufferPool(BUSY_BUFFER_SIZE, 8);

/** Small reads in a row after which a large buffer is given back. */
const QUIET_READS = 16;

/** Received bytes and one direction's keys. The buffer grows with what comes and shrinks when it is quiet. */
export class PacketReader {
  #opener: Opener;
  #sequence = 0;
  #buffer: Bytes = new Uint8Array(IDLE_BUFFER_SIZE);
  /** Unread bytes lie between these two. */
  #start = 0;
  #end = 0;
  /** packet_length of the packet at #start, once it is known. */
  #packetLength?: number;
  #quietReads = 0;
  /** Cap of packet_length; raised after authentication. */
  maxPacketLength = MAX_PACKET_LENGTH_BEFORE_AUTH;
  /** Bytes and packets opened since the keys were last changed. */
  openedBytes = 0;
  openedPackets = 0;

  constructor(opener: Opener) {
    this.#opener = opener;
  }

  /** Sequence number of the packet that {@link next} returned last. */
  get lastSequence(): number {
    return (this.#sequence - 1) >>> 0;
  }

  /** Opens later packets with `opener`; frees the one before. @param resetSequence strict key exchange */
  changeKeys(opener: Opener, resetSequence: boolean): void {
    this.#opener.free();
    this.#opener = opener;
    if (resetSequence) this.#sequence = 0;
    this.openedBytes = 0;
    this.openedPackets = 0;
  }

  /** Where the next received bytes go; then call {@link commit}. Earlier payloads become invalid. */
  space(): Bytes {
    const unread = this.#end - this.#start;
    const missing = this.#packetLength === undefined
      ? 0
      : 4 + this.#packetLength + this.#opener.tagLength - unread;
    if (unread === 0) {
      this.#start = this.#end = 0;
      if (this.#quietReads >= QUIET_READS && this.#buffer.length > IDLE_BUFFER_SIZE) {
        this.#replace(new Uint8Array(IDLE_BUFFER_SIZE));
      }
    }
    if (this.#start > 0 && (this.#buffer.length - this.#end < Math.max(missing, this.#buffer.length / 2))) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = unread;
    }
    if (this.#buffer.length - this.#end < Math.max(missing, 1)) this.#grow(unread + missing);
    return this.#buffer.subarray(this.#end);
  }

  /** Takes in the `count` bytes that were put at the start of {@link space}. */
  commit(count: number): void {
    const filled = count === this.#buffer.length - this.#end;
    this.#end += count;
    this.#quietReads = count <= IDLE_BUFFER_SIZE / 2 ? this.#quietReads + 1 : 0;
    // A stranger gets no more than its packets need.
    const most = this.maxPacketLength > MAX_PACKET_LENGTH_BEFORE_AUTH ? BUSY_BUFFER_SIZE : MEDIUM_BUFFER_SIZE;
    if (filled && this.#buffer.length < most) this.#grow(this.#buffer.length + 1);
  }

  /**
   * The next whole packet's payload: a view, valid until {@link space}. Undefined when more bytes are needed.
   * @throws {SshError} for a length out of bounds, a wrong tag, impossible padding
   */
  next(): Bytes | undefined {
    const opener = this.#opener;
    const available = this.#end - this.#start;
    if (this.#packetLength === undefined) {
      if (available < opener.headLength) return undefined;
      const length = opener.length(this.#sequence, this.#buffer.subarray(this.#start, this.#end));
      this.#checkLength(length);
      this.#packetLength = length;
    }
    const total = 4 + this.#packetLength + opener.tagLength;
    if (available < total) return undefined;

    const at = this.#start;
    if (!opener.open(this.#sequence, this.#buffer.subarray(at, at + total))) {
      throw new SshError("integrity", "a packet failed its integrity check", {
        reason: DisconnectReason.macError,
      });
    }
    const paddingLength = this.#buffer[at + 4];
    const payloadEnd = at + 4 + this.#packetLength - paddingLength;
    if (paddingLength < 4 || payloadEnd < at + 6) {
      throw new SshError("protocol", "a packet's padding is malformed");
    }

    this.#start = at + total;
    this.#packetLength = undefined;
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.openedBytes += total;
    this.openedPackets++;
    return this.#buffer.subarray(at + 5, payloadEnd);
  }

  /**
   * Takes a line that ends in LF, without its line ending; undefined when it is not there yet.
   * @throws {SshError} when more than `limit` bytes hold no LF
   */
  line(limit: number): Bytes | undefined {
    const unread = this.#buffer.subarray(this.#start, this.#end);
    const lf = unread.indexOf(0x0a);
    if (lf < 0 ? unread.length >= limit : lf >= limit) {
      throw new SshError(
        "protocol",
        `a line longer than ${limit} bytes where an SSH identification was expected`,
      );
    }
    if (lf < 0) return undefined;
    this.#start += lf + 1;
    return unread.slice(0, lf > 0 && unread[lf - 1] === 0x0d ? lf - 1 : lf);
  }

  /** Frees the opener. The reader must not be used again. (Its buffer may still be lent to a read.) */
  free(): void {
    this.#opener.free();
  }

  #checkLength(length: number): void {
    const { blockSize, lengthCounts } = this.#opener;
    // The smallest packet: padding length, one byte of payload, four of padding.
    if (length < 6 || length > this.maxPacketLength || ((lengthCounts ? 4 : 0) + length) % blockSize !== 0) {
      throw new SshError("protocol", `a packet with an impossible length (${length})`);
    }
  }

  #grow(needed: number): void {
    const pool = [mediumBuffers, busyBuffers].find((pool) => pool.size >= needed);
    this.#replace(pool?.take() ?? new Uint8Array(needed));
  }

  #replace(buffer: Bytes): void {
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    mediumBuffers.give(this.#buffer);
    busyBuffers.give(this.#buffer);
    this.#buffer = buffer;
    this.#end -= this.#start;
    this.#start = 0;
    this.#quietReads = 0;
  }
}
