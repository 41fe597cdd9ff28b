/** The home folder of whoever runs this. */
import { parsePasswd } from "./passwd.ts";

/** HOME, else what the accounts of this machine say, as service managers and containers set none; undefined: nowhere. */
export function homeFolder(): string | undefined {
  return Deno.env.get("HOME") || accountHome(Deno.uid());
}

/** A variable of the environment, of which HOME is there even where nobody has set it. */
export function environmentWithHome(name: string): string | undefined {
  return name === "HOME" ? homeFolder() : Deno.env.get(name);
}

function accountHome(uid: number | null): string | undefined {
  try {
    const entries = parsePasswd(Deno.readTextFileSync("/etc/passwd"));
    return entries.find((entry) => entry.uid === uid)?.home || undefined;
  } catch {
    return undefined;
  }
}
