/** How commands end, for scripts and service managers: one number for one meaning, whichever command it is. */

/** The numbers. The sentences beside them are each command's own. */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  files: 3,
  state: 4,
  address: 5,
  cut: 6,
  unknownGateway: 7,
  hostKey: 8,
  credential: 9,
  refused: 10,
  unreachable: 11,
  /** As shells have it. */
  commandNotStarted: 127,
} as const;

/** One way in which a command ends. */
export interface Ending {
  readonly code: typeof ExitCode[keyof typeof ExitCode];
  readonly meaning: string;
}

/** Why a command does not do what it was asked for, in one sentence for whoever started it. */
export class EndingError<Reason extends string> extends Error {
  /** @param reason names the row of the command's exit codes */
  constructor(readonly reason: Reason, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** What a command's `--help` says of its endings. */
export function formatEndings(endings: Readonly<Record<string, Ending>>): string {
  const rows = Object.values(endings).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
  return ["Exit codes:", ...rows].join("\n");
}
