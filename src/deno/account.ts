/** The account that this process runs as, from the system's files, its name service, or what is left. */
import type { Account, AccountSource } from "../agent/login.ts";
import { groupsOf, parsePasswd, type PasswdEntry } from "./passwd.ts";
import { isExecutable } from "./executable.ts";

/** Shells to fall back on, best first, where no account names one. */
const SHELLS = ["/bin/bash", "/usr/bin/bash", "/bin/sh"];

export const accountSource: AccountSource = {
  async own(): Promise<Account> {
    const uid = Deno.uid() ?? 0;
    const entry = find(await readText("/etc/passwd"), uid) ?? find(await getent("passwd", `${uid}`), uid) ??
      await madeUp(uid);
    const groups = groupsOf(entry, await readText("/etc/group"));
    return { ...entry, groups };
  },
};

/** The account called `name`, if there is one. */
export async function findAccount(name: string): Promise<Account | undefined> {
  const named = (passwd: string) => parsePasswd(passwd).find((entry) => entry.name === name);
  const entry = named(await readText("/etc/passwd")) ?? named(await getent("passwd", name));
  return entry && { ...entry, groups: groupsOf(entry, await readText("/etc/group")) };
}

function find(passwd: string, uid: number): PasswdEntry | undefined {
  const entries = parsePasswd(passwd).filter((entry) => entry.uid === uid);
  // Of several names for one number the environment knows which.
  return entries.find(({ name }) => name === Deno.env.get("USER")) ?? entries[0];
}

/** A container may run with a number that no file names. */
async function madeUp(uid: number): Promise<PasswdEntry> {
  const named = Deno.env.get("USER") ?? Deno.env.get("LOGNAME");
  const home = Deno.env.get("HOME");
  return {
    name: named || (uid === 0 ? "root" : `uid${uid}`),
    uid,
    gid: Deno.gid() ?? uid,
    home: home?.startsWith("/") ? home : "/",
    shell: Deno.env.get("SHELL") || await firstShell(),
  };
}

async function firstShell(): Promise<string> {
  for (const shell of SHELLS) if (await isExecutable(shell)) return shell;
  return SHELLS.at(-1)!;
}

async function readText(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch(() => "");
}

/** Accounts of a directory service; nothing where there is no such program. */
async function getent(database: string, key: string): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("getent", { args: [database, key], stderr: "null" }).output();
    return new TextDecoder().decode(stdout);
  } catch {
    return "";
  }
}
