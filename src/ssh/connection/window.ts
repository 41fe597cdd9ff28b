/** Flow control of one direction of a channel (RFC 4254 §5.2). */
import { SshError } from "../error.ts";
import { MAX_UINT32, MAX_WINDOW } from "./limits.ts";

/** Memory that all receive windows of a connection share. */
export class WindowBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Up to `wanted` bytes, at least `least` even when nothing is left. */
  take(wanted: number, least = 0): number {
    const taken = Math.max(Math.min(wanted, this.#left), least);
    this.#left -= taken;
    return taken;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

/**
 * What the peer may still send. Credit is returned as data is read, in halves of the window; the window doubles while
 * half of it is read within two round trips, so it settles at some four times the bandwidth-delay product.
 */
export class ReceiveWindow {
  readonly #budget: WindowBudget;
  #size: number;
  /** Bytes that the peer may send now. */
  #granted: number;
  /** Bytes read and not yet granted anew. */
  #read = 0;
  #lastGrantAt = 0;

  constructor(budget: WindowBudget, size: number) {
    this.#budget = budget;
    this.#size = this.#granted = size;
  }

  get size(): number {
    return this.#size;
  }

  /** Accounts for data that arrived. @throws {SshError} when the peer sent more than it may */
  receive(bytes: number): void {
    if (bytes > this.#granted) throw new SshError("protocol", "data beyond the channel's window");
    this.#granted -= bytes;
  }

  /**
   * Accounts for data that was read.
   * @param now milliseconds, monotonic
   * @param roundTrip milliseconds, when known
   * @returns bytes to grant with WINDOW_ADJUST, or 0
   */
  release(bytes: number, now: number, roundTrip: number | undefined): number {
    this.#read += bytes;
    if (this.#read < this.#size / 2) return 0;
    let grant = this.#read;
    if (roundTrip !== undefined && now - this.#lastGrantAt < 2 * roundTrip) {
      const growth = this.#budget.take(Math.min(this.#size, MAX_WINDOW - this.#size));
      this.#size += growth;
      grant += growth;
    }
    this.#lastGrantAt = now;
    this.#read = 0;
    this.#granted += grant;
    return grant;
  }

  /** Returns the memory to the budget; the window must not be used again. */
  free(): void {
    this.#budget.give(this.#size);
    this.#size = 0;
  }
}

/** What this side may still send. */
export class SendWindow {
  #credit: number;
  readonly #waiting: (() => void)[] = [];

  constructor(credit: number) {
    this.#credit = credit;
  }

  get credit(): number {
    return this.#credit;
  }

  /** @throws {SshError} when the window would overflow */
  adjust(bytes: number): void {
    if (this.#credit + bytes > MAX_UINT32) throw new SshError("protocol", "the channel's window overflows");
    this.#credit += bytes;
    this.wake();
  }

  spend(bytes: number): void {
    this.#credit -= bytes;
  }

  /** Resolves at the next {@link adjust} or {@link wake}. */
  more(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets everybody look again: the channel has closed. */
  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
