/** What the commands need of the machine they run on: `cmd/sshm.ts` gives the real one. */
import type { Bytes } from "../bytes/bytes.ts";
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { Net } from "../platform/net.ts";
import type { PipeWriter, Processes } from "../platform/process.ts";
import type { PlainDuplex } from "../streams/duplex.ts";

/** Files that the command writes for the user. Every method rejects with a `FilesError`. */
export interface OwnFiles {
  /** Writes a file as a whole or not at all: beside it, synced, renamed. @param mode its permission bits */
  replace(path: string, content: Bytes, mode: number): Promise<void>;
  /** Makes a folder (0700), and those above it, where there is none. `permission` when it is there and open to others. */
  makePrivateFolder(path: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** The process that started this one. */
export interface ParentProcess {
  readonly pid: number;
  /** Tells it from another one that gets its number later; empty where the system does not say. */
  readonly started: string;
}

export interface SshmHost {
  readonly net: Net;
  readonly files: ReadableFiles;
  readonly ownFiles: OwnFiles;
  readonly processes: Pick<Processes, "spawn">;
  readonly clock: Clock;
  /** Chosen when the first connection needs it. */
  crypto(): Promise<CryptoProvider>;
  environment(name: string): string | undefined;
  /** The whole environment, for what is started. */
  variables(): Readonly<Record<string, string>>;
  parent(): Promise<ParentProcess>;
  /** Name of the account that this runs as. */
  readonly user: string;
  /** Standard input and output. */
  readonly stdio: PlainDuplex;
  /** Whether standard input is a terminal. */
  readonly interactive: boolean;
  readonly stderr: Pick<PipeWriter, "write">;
  /** Asks whoever sits at the terminal, without showing what they type; undefined where nobody does. */
  readonly askSecret?: (question: string) => string | undefined;
  /** Aborts when the user or the system asks to end. */
  readonly ending: AbortSignal;
}
