/** `password` (RFC 4252 §8). Changing passwords is not offered; a request to is refused. */
import { PasswordChangeFields, PasswordFields, startsWithTrue } from "../messages.ts";
import { Method } from "../types.ts";
import { refuse, type ServerMethod } from "./exchange.ts";

export const password: ServerMethod = {
  name: Method.password,
  offered: (config) => config.password !== undefined,
  async attempt(exchange, fields) {
    if (startsWithTrue(fields)) {
      PasswordChangeFields.decode(fields);
      return refuse("password changes are not offered");
    }
    const { password } = PasswordFields.decode(fields);
    return await exchange.ask(exchange.config.password!, { ...exchange.request, password });
  },
};
