/** `none` (RFC 4252 §5.2): asks the server what it would take. */
import { NoneFields } from "../messages.ts";
import { Method } from "../types.ts";
import type { Candidate } from "./exchange.ts";

export const none: Candidate = {
  method: Method.none,
  label: () => "none",
  attempt(exchange) {
    exchange.request(Method.none, NoneFields.encode({}));
    return exchange.verdict();
  },
};
