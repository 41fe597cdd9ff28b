/** Work that is asked for often and done together. */
import type { Clock } from "../platform/clock.ts";

/** Runs after it was asked for: at once when it has not run for a while, else after a pause; one at a time. */
export class Repeated {
  readonly #clock: Clock;
  readonly #pause: number;
  readonly #work: () => Promise<void>;
  #asked = false;
  #busy = false;
  #stopped = false;
  #cancel = () => {};

  /** @param pause milliseconds between two runs @param work must not reject */
  constructor(clock: Clock, pause: number, work: () => Promise<void>) {
    this.#clock = clock;
    this.#pause = pause;
    this.#work = work;
  }

  ask(): void {
    this.#asked = true;
    if (!this.#busy) void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#asked && !this.#stopped) {
      this.#asked = false;
      await this.#work();
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(this.#pause, resolve);
        this.#cancel = () => {
          cancel();
          resolve();
        };
      });
    }
    this.#busy = false;
  }
}
