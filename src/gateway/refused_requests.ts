/** Guesses over HTTP: what one connection may send of credentials that are not accepted. */
import type { TcpAddress } from "../platform/net.ts";
import type { WebExchange } from "../platform/web.ts";

/** As an SSH connection has. Each one is a signature to verify and a record. */
export const MAX_REFUSED = 6;

type Handler = (exchange: WebExchange) => Promise<Response>;

/**
 * Answers requests, those of one connection in turn: how many of them are refused is known before the next one is looked
 * at. The {@link MAX_REFUSED}th refusal is the connection's last answer; what came behind it is not looked at.
 * @param onRefused a credential was not accepted, or there was none where one is needed
 */
export function boundedRefusals(answer: Handler, onRefused: (remote: TcpAddress) => void): Handler {
  /** By the address object of the connection. */
  const connections = new WeakMap<TcpAddress, { refused: number; turn: Promise<unknown> }>();
  return (exchange) => {
    const { remote } = exchange;
    const connection = connections.get(remote) ?? { refused: 0, turn: Promise.resolve() };
    connections.set(remote, connection);
    const answered = connection.turn.then(async () => {
      if (connection.refused >= MAX_REFUSED) return last(new Response(null, { status: 401 }));
      const response = await answer(exchange);
      if (response.status !== 401) return response;
      onRefused(remote);
      return ++connection.refused < MAX_REFUSED ? response : last(response);
    });
    connection.turn = answered.catch(() => {});
    return answered;
  };
}

/** The server ends the connection behind it (RFC 9112 §9.6). */
function last(response: Response): Response {
  response.headers.set("connection", "close");
  return response;
}
