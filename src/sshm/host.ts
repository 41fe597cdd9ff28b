/** What the commands need of the machine they run on: `cmd/sshm.ts` gives the real one. */
import type { Clock } from "../platform/clock.ts";
import type { CryptoProvider } from "../platform/crypto.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { Net } from "../platform/net.ts";
import type { PipeWriter } from "../platform/process.ts";
import type { PlainDuplex } from "../streams/duplex.ts";

export interface SshmHost {
  readonly net: Net;
  readonly files: ReadableFiles;
  readonly clock: Clock;
  /** Chosen when the first connection needs it. */
  crypto(): Promise<CryptoProvider>;
  environment(name: string): string | undefined;
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
