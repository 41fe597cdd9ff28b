/** `none` (RFC 4252 §5.2): how clients ask for the list of methods, and a way in where a callback says so. */
import { NoneFields } from "../messages.ts";
import { Method } from "../types.ts";
import { refuse, type ServerMethod } from "./exchange.ts";

export const none: ServerMethod = {
  name: Method.none,
  offered: (config) => config.none !== undefined,
  async attempt(exchange, fields) {
    NoneFields.decode(fields);
    const { config, request } = exchange;
    // Never a second factor.
    if (!config.none || request.passed.length > 0) return refuse("none is not offered");
    return await exchange.ask(config.none, request);
  },
};
