/** The environment of a session's program. */
import type { Account } from "./login.ts";
import { matchesPattern } from "../keys/patterns.ts";

/** The two ends of the connection that a session is on. */
export interface SessionEndpoints {
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly serverAddress: string;
  readonly serverPort: number;
}

/** Where programs are looked for unless the agent's own environment says otherwise; root has the system's too. */
const USER_PATH = "/usr/local/bin:/usr/bin:/bin";
const ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Joins what makes up the environment. Later ones win: the agent's own, what the client sent, the account, the key's
 * line, SetEnv, what the session itself says. So no client can change who it is, where it came from, or which programs
 * its commands are.
 */
export function sessionEnvironment(parts: {
  readonly account: Account;
  /** What the agent passes on of its own environment. */
  readonly inherited?: Readonly<Record<string, string>>;
  /** Accepted from the client. */
  readonly client: ReadonlyMap<string, string>;
  /** Of the line that let the key in. */
  readonly keyLine?: ReadonlyMap<string, string>;
  readonly setEnv?: ReadonlyMap<string, string>;
  /** Undefined when there is no TCP underneath. */
  readonly endpoints?: SessionEndpoints;
  /** What the client asked for, where something else runs. */
  readonly originalCommand?: string;
  readonly agentSocket?: string;
}): Record<string, string> {
  const { account, inherited, client, keyLine, setEnv, endpoints, originalCommand, agentSocket } = parts;
  const env: Record<string, string> = {
    ...inherited,
    ...Object.fromEntries(client),
    PATH: inherited?.PATH ?? (account.uid === 0 ? ROOT_PATH : USER_PATH),
    USER: account.name,
    LOGNAME: account.name,
    HOME: account.home,
    SHELL: account.shell,
    ...Object.fromEntries(keyLine ?? []),
    ...Object.fromEntries(setEnv ?? []),
  };
  // What these say is the session's alone to say: a client's or an outer session's word must not show through.
  const own: Record<string, string | undefined> = {
    SSH_CLIENT: endpoints && `${endpoints.clientAddress} ${endpoints.clientPort} ${endpoints.serverPort}`,
    SSH_CONNECTION: endpoints &&
      `${endpoints.clientAddress} ${endpoints.clientPort} ${endpoints.serverAddress} ${endpoints.serverPort}`,
    SSH_ORIGINAL_COMMAND: originalCommand,
    SSH_AUTH_SOCK: agentSocket,
    // The terminal's own, where there is one.
    SSH_TTY: undefined,
  };
  for (const [name, value] of Object.entries(own)) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return env;
}

/** Whether a client may set `name`, by the patterns of AcceptEnv. */
export function acceptsVariable(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matchesPattern(name, pattern));
}
