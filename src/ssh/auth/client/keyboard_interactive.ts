/** `keyboard-interactive` (RFC 4256): the server asks, the callback answers. */
import type { Bytes } from "../../../bytes/bytes.ts";
import { printable, printableLines } from "../../../bytes/printable.ts";
import { SshError } from "../../error.ts";
import { InfoRequest, InfoResponse, KeyboardInteractiveFields } from "../messages.ts";
import { type Challenge, MAX_ROUNDS, Method } from "../types.ts";
import type { Candidate, ClientExchange, Trial } from "./exchange.ts";
import type { KeyboardInteractiveCredential } from "./types.ts";

export function keyboardInteractiveCandidates(credential: KeyboardInteractiveCredential): Candidate[] {
  const one: Candidate = {
    method: Method.keyboardInteractive,
    label: () => Method.keyboardInteractive,
    attempt: (exchange) => attempt(exchange, credential),
  };
  return Array.from({ length: credential.tries ?? 1 }, () => ({ ...one }));
}

async function attempt(exchange: ClientExchange, credential: KeyboardInteractiveCredential): Promise<Trial> {
  exchange.request(
    Method.keyboardInteractive,
    KeyboardInteractiveFields.encode({ language: "", submethods: "" }),
  );
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const reply = await exchange.reply("round");
    if (reply.result !== "continue") return reply;
    const challenge = readChallenge(reply.payload);
    const answers = await exchange.wait(credential.answer(challenge, exchange.config.signal));
    if (answers === undefined) return { result: "skipped", why: "no answer given" };
    if (answers.length !== challenge.prompts.length) {
      throw new TypeError(`${answers.length} answers to ${challenge.prompts.length} prompts`);
    }
    exchange.stream.send(InfoResponse.encode({ answers }));
  }
  throw new SshError("limit", `the server asks more than ${MAX_ROUNDS} rounds of questions`);
}

function readChallenge(payload: Bytes): Challenge {
  const { name, instruction, prompts } = InfoRequest.decode(payload);
  return {
    name: printable(name),
    instruction: printableLines(instruction),
    prompts: prompts.map(({ text, echo }) => ({ text: printableLines(text), echo })),
  };
}
