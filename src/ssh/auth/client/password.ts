/** `password` (RFC 4252 §8). A server that wants a new password gets none. */
import { printable } from "../../../bytes/printable.ts";
import { PasswordChangeRequest, PasswordFields } from "../messages.ts";
import { Method } from "../types.ts";
import type { Candidate, ClientExchange, Trial } from "./exchange.ts";
import { PASSWORD_TRIES, type PasswordCredential } from "./types.ts";

/** One candidate for each time that the password may be asked for. */
export function passwordCandidates({ password }: PasswordCredential): Candidate[] {
  if (typeof password === "string") return [candidate(() => password)];
  let asked = 0;
  let givenUp = false;
  const next = async () => {
    if (givenUp) return undefined;
    const answer = await password(++asked);
    givenUp = answer === undefined;
    return answer;
  };
  return Array.from({ length: PASSWORD_TRIES }, () => candidate(next));
}

function candidate(ask: () => string | undefined | Promise<string | undefined>): Candidate {
  return {
    method: Method.password,
    label: () => "password",
    attempt: async (exchange) => {
      const password = await exchange.wait(ask());
      return password === undefined
        ? { result: "skipped", why: "no password given" }
        : await attempt(exchange, password);
    },
  };
}

async function attempt(exchange: ClientExchange, password: string): Promise<Trial> {
  exchange.request(Method.password, PasswordFields.encode({ change: false, password }));
  const reply = await exchange.reply("round");
  if (reply.result !== "continue") return reply;
  const { prompt } = PasswordChangeRequest.decode(reply.payload);
  const said = prompt ? ` ("${printable(prompt)}")` : "";
  return { result: "skipped", why: `the server wants a new password${said}, which must be set elsewhere` };
}
