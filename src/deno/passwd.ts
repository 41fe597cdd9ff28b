/** The files in which a system of the usual kind keeps its accounts: passwd(5), group(5). */

/** An account as the system knows it. */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** The entries of a passwd file; lines that are none are passed over. */
export function parsePasswd(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(":");
    if (fields.length < 7 || line.startsWith("#") || fields[0] === "") continue;
    const [name, , uid, gid, , home, shell] = fields;
    if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) continue;
    // An empty shell is /bin/sh: passwd(5).
    entries.push({ name, uid: Number(uid), gid: Number(gid), home, shell: shell.trim() || "/bin/sh" });
  }
  return entries;
}

/** Names of the groups that `user` is in: the primary one by its number, the others by their list of members. */
export function groupsOf(user: Pick<PasswdEntry, "name" | "gid">, groupFile: string): string[] {
  const names: string[] = [];
  for (const line of groupFile.split("\n")) {
    const [name, , gid, members] = line.split(":");
    if (members === undefined || name === "") continue;
    if (gid === `${user.gid}` || members.split(",").some((member) => member.trim() === user.name)) {
      names.push(name);
    }
  }
  return names;
}
