/** `keyboard-interactive` (RFC 4256): the callback asks, the peer answers, as many rounds as it takes. */
import type { Bytes } from "../../../bytes/bytes.ts";
import { Msg } from "../../wire/numbers.ts";
import { InfoRequest, InfoResponse, KeyboardInteractiveFields } from "../messages.ts";
import { type Challenge, MAX_ROUNDS, Method } from "../types.ts";
import { type Outcome, refuse, type ServerExchange, type ServerMethod } from "./exchange.ts";

export const keyboardInteractive: ServerMethod = {
  name: Method.keyboardInteractive,
  offered: (config) => config.keyboardInteractive !== undefined,
  async attempt<I>(exchange: ServerExchange<I>, fields: Bytes): Promise<Outcome<I>> {
    const { submethods } = KeyboardInteractiveFields.decode(fields);
    const rounds = new Rounds(exchange);
    const verdict = await exchange.ask(exchange.config.keyboardInteractive!, {
      ...exchange.request,
      submethods: submethods.split(",").filter((name) => name !== ""),
      prompt: (challenge) => rounds.prompt(challenge),
    });
    return rounds.finish() ?? verdict;
  },
};

/** The rounds of one attempt. Once one has gone wrong the attempt is lost, whatever the callback makes of it. */
class Rounds<I> {
  readonly #exchange: ServerExchange<I>;
  #count = 0;
  #waiting = false;
  #finished = false;
  /** How the peer spoilt the attempt. */
  #spoilt?: Outcome<I>;
  /** What broke the connection. */
  #broken?: { error: unknown };

  constructor(exchange: ServerExchange<I>) {
    this.#exchange = exchange;
  }

  async prompt(challenge: Partial<Challenge>): Promise<readonly string[]> {
    if (this.#waiting) throw new TypeError("one round of prompts at a time");
    if (this.#finished || this.#spoilt || this.#broken) throw new TypeError("the attempt is over");
    if (++this.#count > MAX_ROUNDS) return this.#spoil(refuse(`more than ${MAX_ROUNDS} rounds of prompts`));
    const { name = "", instruction = "", prompts = [] } = challenge;
    this.#exchange.stream.send(InfoRequest.encode({ name, instruction, language: "", prompts }));
    const payload = await this.#receive();
    if (payload[0] === Msg.USERAUTH_REQUEST) {
      return this.#spoil({ result: "abandoned", next: payload });
    }
    const { answers } = this.#decode(payload);
    // RFC 4256 §3.4: the wrong number of answers is a failure of the method.
    if (answers.length !== prompts.length) {
      return this.#spoil(refuse(`${answers.length} answers to ${prompts.length} prompts`));
    }
    return answers;
  }

  /** Ends the attempt: how the peer spoilt it, or undefined when the verdict counts. */
  finish(): Outcome<I> | undefined {
    this.#finished = true;
    if (this.#broken) throw this.#broken.error;
    if (this.#waiting) throw new TypeError("the callback settled while its prompt was open");
    return this.#spoilt;
  }

  #spoil(outcome: Outcome<I>): never {
    this.#spoilt = outcome;
    throw new Error(outcome.result === "abandoned" ? "the peer abandoned the attempt" : "the attempt failed");
  }

  async #receive(): Promise<Bytes> {
    this.#waiting = true;
    try {
      return await this.#exchange.receive("answers");
    } catch (error) {
      this.#broken = { error };
      throw error;
    } finally {
      this.#waiting = false;
    }
  }

  #decode(payload: Bytes) {
    try {
      return InfoResponse.decode(payload);
    } catch (error) {
      this.#broken = { error };
      throw error;
    }
  }
}
