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
 * Joins what makes up the environment. Later ones win: the agent's own, what the client sent, SetEnv, what the session
 * itself says. So no client can change who it is or where it came from.
 */
export function sessionEnvironment(parts: {
  readonly account: Account;
  /** What the agent passes on of its own environment. */
  readonly inherited?: Readonly<Record<string, string>>;
  /** Accepted from the client. */
  readonly client: ReadonlyMap<string, string>;
  readonly setEnv?: ReadonlyMap<string, string>;
  /** Undefined when there is no TCP underneath. */
  readonly endpoints?: SessionEndpoints;
  /** What the client asked for, where something else runs. */
  readonly originalCommand?: string;
  readonly agentSocket?: string;
}): Record<string, string> {
  const { account, inherited, client, setEnv, endpoints, originalCommand, agentSocket } = parts;
  const env: Record<string, string> = {
    PATH: account.uid === 0 ? ROOT_PATH : USER_PATH,
    ...inherited,
    ...Object.fromEntries(client),
    ...Object.fromEntries(setEnv ?? []),
    USER: account.name,
    LOGNAME: account.name,
    HOME: account.home,
    SHELL: account.shell,
  };
  if (endpoints) {
    const { clientAddress, clientPort, serverAddress, serverPort } = endpoints;
    env.SSH_CLIENT = `${clientAddress} ${clientPort} ${serverPort}`;
    env.SSH_CONNECTION = `${clientAddress} ${clientPort} ${serverAddress} ${serverPort}`;
  }
  // What they would say is this session's alone to say: a client's or an outer session's word must not show through.
  const own = { SSH_ORIGINAL_COMMAND: originalCommand, SSH_AUTH_SOCK: agentSocket };
  for (const [name, value] of Object.entries(own)) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  delete env.SSH_TTY;
  return env;
}

/** Whether a client may set `name`, by the patterns of AcceptEnv. */
export function acceptsVariable(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matchesPattern(name, pattern));
}
