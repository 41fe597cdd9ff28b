/** Who may log in at all: Allow and Deny Users and Groups, PermitRootLogin. */
import { matchesPattern } from "../../keys/patterns.ts";
import { matchesUser } from "./patterns.ts";
import type { LoginContext } from "./match.ts";
import type { Settings } from "./settings.ts";

/**
 * Why this login is refused, naming the keyword for the log; undefined when it is not.
 * In OpenSSH's order: DenyUsers, AllowUsers, DenyGroups, AllowGroups.
 */
export function refusal(
  settings: Pick<Settings, "allowUsers" | "denyUsers" | "allowGroups" | "denyGroups">,
  login: LoginContext,
): string | undefined {
  const { allowUsers, denyUsers, allowGroups, denyGroups } = settings;
  const groups = login.groups ?? [];
  const isUser = (entry: string) => matchesUser(login, entry);
  const isMember = (entry: string) => groups.some((group) => matchesPattern(group, entry));
  if (denyUsers.some(isUser)) return "DenyUsers names the user";
  if (allowUsers.length > 0 && !allowUsers.some(isUser)) return "AllowUsers does not name the user";
  if (denyGroups.some(isMember)) return "DenyGroups names one of the user's groups";
  if (allowGroups.length > 0 && !allowGroups.some(isMember)) {
    return "AllowGroups names none of the user's groups";
  }
}

/**
 * Why root may not log in this way; undefined when it may.
 * @param method the authentication method, as `publickey`
 * @param forcedCommand whether the key or certificate brings a command of its own
 */
export function rootRefusal(
  { permitRootLogin }: Pick<Settings, "permitRootLogin">,
  method: string,
  forcedCommand: boolean,
): string | undefined {
  const byKey = method === "publickey";
  const allowed = {
    "yes": true,
    "prohibit-password": byKey,
    "forced-commands-only": byKey && forcedCommand,
    "no": false,
  }[permitRootLogin];
  return allowed ? undefined : `PermitRootLogin ${permitRootLogin}`;
}
