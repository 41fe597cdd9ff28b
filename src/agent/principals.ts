/** Whose certificates open which account: the `--allow-principal` flag. */

/** Certificates with this principal log in, as `user` or else as the agent's own. */
export interface PrincipalGrant {
  readonly principal: string;
  readonly user?: string;
}

/**
 * Reads `PRINCIPAL` or `USER=PRINCIPAL`. What stands before the first `=` counts as a user only if it can be an account's
 * name.
 * @throws {TypeError} with a sentence
 */
export function parsePrincipalGrant(text: string): PrincipalGrant {
  const match = /^([a-z_][a-z0-9_.-]{0,30}\$?)=(.*)$/s.exec(text);
  const principal = match ? match[2] : text;
  // A certificate has a list of them: an entry that could be two is a slip, or an attack.
  if (principal === "" || /[\s,*?]/.test(principal)) {
    throw new TypeError(
      `'${text}' is no principal: write it exactly as certificates have it, or USER=PRINCIPAL`,
    );
  }
  return match ? { user: match[1], principal } : { principal };
}

/** Principals that may log in as `user`. */
export function principalsFor(user: string, ownUser: string, grants: readonly PrincipalGrant[]): string[] {
  return grants.filter((grant) => (grant.user ?? ownUser) === user).map(({ principal }) => principal);
}
