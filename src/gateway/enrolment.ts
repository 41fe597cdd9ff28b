/** Machines that have no identity at all: one-time tokens, and the keys that came with them. */
import type { JoinTokens } from "../api/options.ts";
import type { Identity } from "../identity/principal.ts";
import type { PublicKey } from "../keys/types.ts";
import type { EnrolledKeys } from "./trust.ts";

/** What this gateway knows of join tokens. */
export interface Enrolment extends EnrolledKeys {
  readonly tokens: JoinTokens;
  /**
   * Uses up the token of `holder` and enrols `key`: from now on it logs in under the token's name.
   * @param holder of kind `join`
   * @throws {JoinError}
   */
  enrol(holder: Identity, key: PublicKey, remote: string): Promise<Identity>;
}
