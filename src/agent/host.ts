/** The system around an agent: everything that it does to the world goes through here. */
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { Net } from "../platform/net.ts";
import type { EventLog } from "./events.ts";
import type { BuiltinPrograms, SessionHost } from "./exec.ts";
import type { Account } from "./login.ts";

export interface AgentHost {
  readonly net: Net;
  readonly clock: Clock;
  readonly crypto: CryptoProvider;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  readonly files: ReadableFiles;
  readonly sessions: SessionHost;
  readonly builtins: BuiltinPrograms;
  /** The account that the agent runs as. */
  readonly account: Account;
  /** Looks up another account by its name. */
  findAccount(name: string): Promise<Account | undefined>;
  /** What sessions inherit of the environment. */
  readonly inherited: Readonly<Record<string, string>>;
  /** The whole environment, for a command that gets tokens. */
  environment(): Readonly<Record<string, string>>;
  /** This machine's addresses beside loopback. */
  ownAddresses(): readonly string[];
  readonly log: EventLog;
}
