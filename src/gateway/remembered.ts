/** An answer that is asked for often and looked up seldom. */
import type { Clock } from "../platform/clock.ts";

export class Remembered<T> {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #lifetime: number;
  readonly #ask: () => Promise<T>;
  #answer?: Promise<T>;
  #until = 0;

  /** @param lifetime milliseconds for which an answer is good */
  constructor(clock: Pick<Clock, "monotonic">, lifetime: number, ask: () => Promise<T>) {
    this.#clock = clock;
    this.#lifetime = lifetime;
    this.#ask = ask;
  }

  /** The answer as it was within the lifetime. Failures are not remembered. */
  value(): Promise<T> {
    const now = this.#clock.monotonic();
    if (this.#answer && now < this.#until) return this.#answer;
    const answer = this.#ask();
    this.#answer = answer;
    this.#until = now + this.#lifetime;
    answer.catch(() => {
      if (this.#answer === answer) this.forget();
    });
    return answer;
  }

  /** It may be another one now. */
  forget(): void {
    this.#answer = undefined;
  }
}
