import { type Ending, EndingError, ExitCode } from "../platform/exit_codes.ts";

/** How the gateway ends, for scripts and service managers. Listed by `--help`. */
export const exitCodes = {
  ended: {
    code: ExitCode.done,
    meaning: "ended as asked: drained after SIGTERM or SIGINT, --check found nothing wrong",
  },
  failed: { code: ExitCode.failed, meaning: "something unexpected went wrong" },
  usage: { code: ExitCode.usage, meaning: "a flag, an SSHM_ variable or the configuration file is wrong" },
  files: { code: ExitCode.files, meaning: "a file it was told to use is missing, unreadable or wrong" },
  state: { code: ExitCode.state, meaning: "the state folder is open to others, in use or not writable" },
  address: {
    code: ExitCode.address,
    meaning: "an address to listen on is taken, not permitted or not this machine's",
  },
  cut: { code: ExitCode.cut, meaning: "ended at once by a second SIGTERM or SIGINT: connections were cut" },
} as const satisfies Record<string, Ending>;

/** Names the row. */
export type ExitReason = keyof typeof exitCodes;

/** Why the gateway does not start, in one sentence for the person who started it. */
export class StartError extends EndingError<ExitReason> {
  override readonly name = "StartError";
}
