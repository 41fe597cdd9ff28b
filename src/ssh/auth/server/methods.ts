/** The methods of the server. Adding one is one row. */
import { Method } from "../types.ts";
import type { ServerMethod } from "./exchange.ts";
import { keyboardInteractive } from "./keyboard_interactive.ts";
import { none } from "./none.ts";
import { password } from "./password.ts";
import { publicKey } from "./public_key.ts";

/** By the name in USERAUTH_REQUEST; in the order in which USERAUTH_FAILURE lists them. */
export const SERVER_METHODS: ReadonlyMap<string, ServerMethod> = new Map([
  [Method.none, none],
  [Method.publicKey, publicKey],
  [Method.publicKeyHostbound, publicKey],
  [Method.keyboardInteractive, keyboardInteractive],
  [Method.password, password],
]);
