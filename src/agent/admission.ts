/** What comes of a login. */
import type { Restrictions } from "../keys/restrictions.ts";

/** Somebody who may log in. */
export interface Admission {
  readonly restrictions: Restrictions;
  /** For the log: fingerprint, or key id and serial. */
  readonly credential: string;
}

export interface LoginRefusal {
  /** For the log alone. */
  readonly refused: string;
}
