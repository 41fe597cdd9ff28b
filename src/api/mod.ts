/** The HTTP API. */
export { enrolledIdentity, type EnrolledKeys, joiningOf } from "./enrolled_clients.ts";
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
export { describeIdentity } from "./whoami.ts";
