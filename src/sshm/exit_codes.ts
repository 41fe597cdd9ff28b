import { type Ending, EndingError, ExitCode } from "../platform/exit_codes.ts";

/** How `sshm` ends, for scripts. Listed by `--help`. */
export const exitCodes = {
  done: { code: ExitCode.done, meaning: "done; 'policy test': allowed" },
  failed: { code: ExitCode.failed, meaning: "something unexpected went wrong" },
  usage: { code: ExitCode.usage, meaning: "a command, an argument or an SSHM_ variable is wrong" },
  files: {
    code: ExitCode.files,
    meaning: "a key, a token, a policy or another file is missing, unreadable, wrong or open to others",
  },
  address: {
    code: ExitCode.address,
    meaning: "the address to listen on is taken, not permitted or not this machine's",
  },
  unknownGateway: {
    code: ExitCode.unknownGateway,
    meaning: "the gateway's name or its host key is not known",
  },
  hostKey: {
    code: ExitCode.hostKey,
    meaning: "the gateway showed another host key than the one it is known by",
  },
  credential: { code: ExitCode.credential, meaning: "the gateway accepted neither key nor token" },
  refused: {
    code: ExitCode.refused,
    meaning: "the gateway refused what was asked for; 'policy test': denied",
  },
  unreachable: {
    code: ExitCode.unreachable,
    meaning: "the gateway does not answer, or the connection to it was lost",
  },
} as const satisfies Record<string, Ending>;

/** Names the row. */
export type ExitReason = keyof typeof exitCodes;

/** Why a command ends without doing what it was asked for, in a sentence for whoever typed it. */
export class SshmError extends EndingError<ExitReason> {
  override readonly name = "SshmError";
}
