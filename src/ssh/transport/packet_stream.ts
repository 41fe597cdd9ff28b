/**
 * Packets over a connection: reads in batches, writes in batches, waits where the connection waits.
 * Knows nothing of the protocol above.
 */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import type { Clock } from "../../platform/clock.ts";
import type { PlainDuplex } from "../../streams/duplex.ts";
import { farewell } from "../../streams/farewell.ts";
import type { Opener, Sealer } from "../algorithms/protection.ts";
import { SshError } from "../error.ts";
import { SEND_HIGH_WATER, SEND_LIMIT } from "./limits.ts";
import { PacketReader } from "./packet_reader.ts";
import { PacketWriter } from "./packet_writer.ts";

/** Handles one payload, a view that is gone when the handler returns or its promise settles. Reading waits for that. */
export type PayloadHandler = (payload: Bytes) => void | Promise<void>;

/** A connection as packets. Owns the duplex. */
export class PacketStream {
  readonly reader: PacketReader;
  readonly writer: PacketWriter;
  readonly #duplex: PlainDuplex;
  /** Those who wait for room, first come first served: fairness between channels. */
  readonly #waiting: (() => void)[] = [];
  #flushing?: Promise<void>;
  #held = false;
  #failed?: { reason: unknown };
  /** What comes from the peer is of no interest any more. */
  #leaving = false;
  #reading?: Promise<number | null>;
  #freed = false;

  constructor(duplex: PlainDuplex, opener: Opener, sealer: Sealer) {
    this.#duplex = duplex;
    this.reader = new PacketReader(opener);
    this.writer = new PacketWriter(sealer);
  }

  /** Seals one packet and sends it soon, together with what else is sent in this turn. Nothing happens once broken. */
  send(head: Bytes, body: Bytes = EMPTY): void {
    if (this.#failed) return;
    this.writer.append(head, body);
    this.#startFlush();
  }

  /** Sends bytes that are not a packet. */
  sendRaw(bytes: Bytes): void {
    if (this.#failed) return;
    this.writer.appendRaw(bytes);
    this.#startFlush();
  }

  /** While true, {@link room} stays closed: channel data waits for a key exchange. */
  set hold(held: boolean) {
    this.#held = held;
    this.#admit();
  }

  /**
   * Undefined when bulk data may be sent now; else a promise to wait for, in turn, before asking again.
   * It also settles when the stream breaks; sending is then a no-op.
   */
  room(): Promise<void> | undefined {
    if (this.#failed || (this.#waiting.length === 0 && this.#open())) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #open(): boolean {
    return !this.#held && this.writer.length < SEND_HIGH_WATER;
  }

  /** For somebody who waited and then had nothing to send: lets others in. */
  passTurn(): void {
    this.#admit();
  }

  /** Lets in as many as the room is for; each may send one packet of the usual 32 KiB. */
  #admit(): void {
    if (this.#failed) {
      for (const resolve of this.#waiting.splice(0)) resolve();
      return;
    }
    if (!this.#open()) return;
    const places = Math.ceil((SEND_HIGH_WATER - this.writer.length) / (32 * 1024));
    for (const resolve of this.#waiting.splice(0, places)) resolve();
  }

  /** Reads packets until the peer ends the stream, or this side leaves. @throws what the handler, the packets or the connection throw */
  async run(handle: PayloadHandler): Promise<void> {
    while (!this.#failed) {
      for (let payload; (payload = this.reader.next()) !== undefined;) {
        const pause = handle(payload);
        if (pause) await pause;
        if (this.#failed || this.#leaving) break;
      }
      // A peer that asks and never reads what we answer is not heard further until it does.
      while (this.writer.length > SEND_LIMIT && this.#flushing) await this.#flushing;
      if (this.#failed) break;
      if (this.#leaving) return;
      this.#reading = this.#duplex.read(this.reader.space());
      const count = await this.#reading;
      if (count === null || this.#leaving) return;
      this.reader.commit(count);
    }
    throw this.#failed!.reason;
  }

  /** The next line. @param ended what is said when the peer ends before @throws {SshError} also when it is too long */
  async line(limit: number, ended: string): Promise<Bytes> {
    for (;;) {
      const line = this.reader.line(limit);
      if (line) return line;
      const count = await this.#duplex.read(this.reader.space());
      if (count === null) throw new SshError("connection-lost", ended);
      this.reader.commit(count);
    }
  }

  /** Resolves when everything sent so far has been handed to the connection. */
  async flushed(): Promise<void> {
    while (this.#flushing) await this.#flushing;
  }

  /**
   * Sends what waits and hears no more. Resolves when the peer has had its chance to read it; then comes {@link break}.
   * @param after as `Clock.after`
   */
  leave(after: Clock["after"]): Promise<void> {
    this.#leaving = true;
    return farewell(this.#duplex, after, { sent: this.flushed(), reading: this.#reading });
  }

  /** Ends everything at once. Pending reads and writes reject with `reason`. Idempotent. */
  break(reason: unknown): void {
    if (this.#failed) return;
    this.#failed = { reason };
    this.#admit();
    this.#duplex.close(reason);
    if (!this.#flushing) this.#free();
  }

  #free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.writer.free();
    this.reader.free();
  }

  #startFlush(): void {
    this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    // One turn later everything that this turn sends goes out in one write.
    await undefined;
    try {
      while (this.writer.length > 0 && !this.#failed) {
        const batch = this.writer.take();
        this.#admit();
        await this.#duplex.write(batch);
        this.writer.recycle(batch);
      }
    } catch (cause) {
      this.break(new SshError("connection-lost", "the connection broke while sending", { cause }));
    } finally {
      this.#flushing = undefined;
      if (this.#failed) this.#free();
    }
    this.#admit();
  }

  changeSendKeys(sealer: Sealer, resetSequence: boolean): void {
    if (this.#freed) return sealer.free();
    this.writer.changeKeys(sealer, resetSequence);
  }

  changeReceiveKeys(opener: Opener, resetSequence: boolean): void {
    if (this.#freed) return opener.free();
    this.reader.changeKeys(opener, resetSequence);
  }
}
