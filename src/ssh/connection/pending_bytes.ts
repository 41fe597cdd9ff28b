/** What unanswered requests of one connection hold in memory. */
import { SshError } from "../error.ts";
import { MAX_PENDING_REQUEST_BYTES } from "./limits.ts";

/** Counts the data of requests, those of all channels and global ones together. */
export class PendingBytes {
  #waiting = 0;

  /** @throws {SshError} `limit` */
  add(bytes: number): void {
    this.#waiting += bytes;
    if (this.#waiting > MAX_PENDING_REQUEST_BYTES) {
      throw new SshError("limit", "too much data in unanswered requests");
    }
  }

  remove(bytes: number): void {
    this.#waiting -= bytes;
  }
}
