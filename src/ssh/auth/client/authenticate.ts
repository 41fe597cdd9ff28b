/** The client's side of authentication: from SERVICE_REQUEST to USERAUTH_SUCCESS (RFC 4252). */
import { printable } from "../../../bytes/printable.ts";
import type { PublicKey } from "../../../keys/types.ts";
import { SshError } from "../../error.ts";
import { ServiceAccept, ServiceRequest } from "../messages.ts";
import { AuthenticationError, type MessageStream, Method, USERAUTH_SERVICE } from "../types.ts";
import { type Candidate, ClientExchange, type Trial } from "./exchange.ts";
import { candidatesOf } from "./methods.ts";
import { none } from "./none.ts";
import type { ClientAuth, ClientAuthenticated } from "./types.ts";

/**
 * Authenticates to the server at the other end of `stream`: `none` first, to learn what it takes, then every credential
 * whose method it takes, in the order given. Resolves at USERAUTH_SUCCESS.
 *
 * @throws {AuthenticationError} when nothing is left to try; its message lists what was tried and what is wanted
 * @throws {SshError} `protocol` for a server that breaks the rules; whatever the stream throws; the signal's reason
 */
export async function authenticateClient(
  stream: MessageStream,
  config: ClientAuth,
): Promise<ClientAuthenticated> {
  const untried = new Set(config.credentials.flatMap(candidatesOf));
  const exchange = new ClientExchange(stream, config);
  await requestService(exchange);

  const passed: Candidate[] = [];
  const refused: Refused[] = [];
  let methods: readonly string[] = [];
  let candidate: Candidate | undefined = none;
  while (candidate) {
    untried.delete(candidate);
    const trial = await candidate.attempt(exchange);
    if (trial.result === "success") return summary(config.user, [...passed, candidate]);
    if (trial.result === "failure") methods = trial.methods;
    if (trial.result === "failure" && trial.partial) {
      passed.push(candidate);
      // A key that was no first factor may be a second one.
      const again = refused.splice(0).map((one) => one.candidate).filter((one) => one.key);
      for (const one of again) untried.add(one);
    } else if (candidate !== none) {
      refused.push({ candidate, trial });
    }
    candidate = [...untried].find((one) => methods.includes(one.method));
  }
  throw new AuthenticationError(await explain(config.user, refused, methods), methods);
}

async function requestService(exchange: ClientExchange): Promise<void> {
  exchange.stream.send(ServiceRequest.encode({ service: USERAUTH_SERVICE }));
  const { service } = ServiceAccept.decode(await exchange.receive("service"));
  if (service !== USERAUTH_SERVICE) {
    throw new SshError("protocol", "the server accepts a service that was not asked for");
  }
}

function summary(user: string, passed: readonly Candidate[]): ClientAuthenticated {
  return {
    user,
    methods: passed.map(({ method }) => method),
    keys: passed.map(({ key }) => key).filter((key): key is PublicKey => key !== undefined),
  };
}

interface Refused {
  readonly candidate: Candidate;
  readonly trial: Trial;
}

async function explain(
  user: string,
  refused: readonly Refused[],
  methods: readonly string[],
): Promise<string> {
  const tried = await Promise.all(
    refused.map(async ({ candidate, trial }) =>
      await candidate.label() + (trial.result === "skipped" ? ` (${trial.why})` : "")
    ),
  );
  const wanted = methods.filter((name) => name !== Method.none).map((name) => printable(name)).join(", ");
  return `the server does not let "${printable(user)}" in; ` +
    `tried: ${tried.join("; ") || "nothing that it takes"}; it accepts: ${wanted || "nothing"}`;
}
