import { type Ending, EndingError, ExitCode } from "../platform/exit_codes.ts";

/** How the agent ends, for scripts and service managers. Listed by `--help`. With a child, its status wins. */
export const exitCodes = {
  ended: {
    code: ExitCode.done,
    meaning: "ended as asked: after SIGTERM or SIGINT, or --check found nothing wrong",
  },
  failed: { code: ExitCode.failed, meaning: "something unexpected went wrong" },
  usage: { code: ExitCode.usage, meaning: "a flag or an SSHM_ variable is wrong" },
  files: {
    code: ExitCode.files,
    meaning:
      "a key, a token or another file it was told to use is missing, unreadable, wrong or open to others",
  },
  state: { code: ExitCode.state, meaning: "the state folder is open to others, in use or not writable" },
  address: {
    code: ExitCode.address,
    meaning: "an address to listen on is taken, not permitted or not this machine's",
  },
  cut: { code: ExitCode.cut, meaning: "ended at once by a second SIGTERM or SIGINT: connections were cut" },
  unknownGateway: {
    code: ExitCode.unknownGateway,
    meaning: "no gateway is known by that name, or its host key is not known (well enough for a token)",
  },
  hostKey: {
    code: ExitCode.hostKey,
    meaning: "a gateway showed another host key than the one it is known by",
  },
  credential: {
    code: ExitCode.credential,
    meaning: "a gateway did not accept the credential, or there was no token to show",
  },
  refusedName: { code: ExitCode.refused, meaning: "a gateway refused to register a name or a port" },
  child: { code: ExitCode.commandNotStarted, meaning: "the command after -- could not be started" },
} as const satisfies Record<string, Ending>;

/** Names the row. */
export type ExitReason = keyof typeof exitCodes;

/** Why the agent ends, in one sentence for the person who started it. */
export class AgentError extends EndingError<ExitReason> {
  override readonly name = "AgentError";
}
