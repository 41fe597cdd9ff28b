/** Where in a credential a claim stands, as policies and configurations write it. */

/**
 * The claim that `path` names: `groups`, `realm_access.roles`, `kubernetes.io.namespace`. Names of claims may have dots of
 * their own: what is there as it is written comes first.
 * @returns undefined when there is none
 */
export function claimAt(claims: unknown, path: string): unknown {
  if (typeof claims !== "object" || claims === null || Array.isArray(claims)) return undefined;
  const members = claims as Readonly<Record<string, unknown>>;
  if (Object.hasOwn(members, path)) return members[path];
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const head = path.slice(0, dot);
    const found = Object.hasOwn(members, head) ? claimAt(members[head], path.slice(dot + 1)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}
