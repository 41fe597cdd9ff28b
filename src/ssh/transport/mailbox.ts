/** One message at a time from the reading side to somebody who asks for it. */
import type { Bytes } from "../../bytes/bytes.ts";

/** Holds at most one message: who puts the next one waits until it is taken, and so does the peer. */
export class Mailbox {
  #waiting?: { message: Bytes; taken: () => void };
  #receiver?: { resolve(message: Bytes): void; reject(reason: unknown): void };
  #closed?: { reason: unknown };

  /** Resolves, or returns at once, when the message has found its receiver. */
  put(message: Bytes): void | Promise<void> {
    if (this.#closed) return;
    if (this.#receiver) {
      const { resolve } = this.#receiver;
      this.#receiver = undefined;
      return resolve(message);
    }
    return new Promise((taken) => this.#waiting = { message, taken });
  }

  /** The next message. Rejects with the reason of {@link close}. */
  take(): Promise<Bytes> {
    if (this.#waiting) {
      const { message, taken } = this.#waiting;
      this.#waiting = undefined;
      taken();
      return Promise.resolve(message);
    }
    if (this.#closed) return Promise.reject(this.#closed.reason);
    return new Promise((resolve, reject) => this.#receiver = { resolve, reject });
  }

  /** Nothing more comes. A message that waits can still be taken. */
  close(reason: unknown): void {
    this.#closed ??= { reason };
    this.#receiver?.reject(reason);
    this.#receiver = undefined;
    this.#waiting?.taken();
  }
}
