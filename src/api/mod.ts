/** The HTTP API. */
export { apiHandler } from "./handler.ts";
export {
  type ApiOptions,
  type JoinActor,
  JoinError,
  type JoinErrorCode,
  type Joining,
  type JoinToken,
  type JoinTokens,
} from "./options.ts";
