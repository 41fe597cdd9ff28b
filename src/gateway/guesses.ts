/** Guesses over HTTP: what one connection may send of credentials that are not accepted. */

/** As an SSH connection has. Each one is a signature to verify and a record. */
export const MAX_REFUSED = 6;

/**
 * Answers the requests of one connection in turn: how many of them are refused is known before the next one is looked at.
 * The {@link MAX_REFUSED}th refusal is the connection's last answer; what came behind it is not looked at.
 */
export class Guesses {
  readonly #onRefused: () => void;
  #refused = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param onRefused a credential was not accepted, or there was none where one is needed */
  constructor(onRefused: () => void) {
    this.#onRefused = onRefused;
  }

  /** What `answer` says, when it is this request's turn; 401 without asking it where too many were refused. */
  answer(answer: () => Promise<Response>): Promise<Response> {
    const answered = this.#turn.then(async () => {
      if (this.#refused >= MAX_REFUSED) return last(new Response(null, { status: 401 }));
      const response = await answer();
      if (response.status !== 401) return response;
      this.#onRefused();
      return ++this.#refused < MAX_REFUSED ? response : last(response);
    });
    this.#turn = answered.catch(() => {});
    return answered;
  }
}

/** The server ends the connection behind it (RFC 9112 §9.6). */
function last(response: Response): Response {
  response.headers.set("connection", "close");
  return response;
}
