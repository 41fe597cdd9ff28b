/** As whom somebody logs in: the one account that the agent itself runs as. */

/** An account with all that a session needs of it. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  /** Absolute path. */
  readonly shell: string;
  readonly groups: readonly string[];
}

/** Where accounts are looked up. */
export interface AccountSource {
  /** The account that this process runs as. Always there: what the system does not know is made up sensibly. */
  own(): Promise<Account>;
}

/** A login name that cannot be served, with a sentence for the person who typed it. */
export class LoginError extends Error {
  override readonly name = "LoginError";
}

/**
 * The account for a login name: the agent's own, or a refusal that says the right name.
 * @throws {LoginError}
 */
export function accountFor(login: string, own: Account): Account {
  if (login === own.name) return own;
  throw new LoginError(`this machine lets you in as ${own.name} only: log in as ${own.name}`);
}
