/** How the outcome of an operation travels: SSH_FXP_STATUS codes and a sentence for people. */
import { MalformedError } from "../../bytes/reader.ts";
import { FilesError, type FilesErrorCode } from "../../platform/files.ts";
import { SshError } from "../error.ts";
import { Status } from "./protocol.ts";

/** The server refused or failed a request. `code` is `request-refused`. */
export class SftpError extends SshError {
  override readonly name = "SftpError";

  /** @param status one of {@link Status} */
  constructor(readonly status: number, message: string, options?: ErrorOptions) {
    super("request-refused", message, options);
  }
}

interface Outcome {
  readonly status: number;
  readonly message: string;
}

/**
 * Version 3 has few codes; the sentence says the rest. The sentences hold no paths and nothing of the system: a peer
 * knows what it asked for.
 */
const OUTCOMES: Readonly<Record<FilesErrorCode, Outcome>> = {
  "not-found": { status: Status.noSuchFile, message: "No such file or directory" },
  "not-directory": { status: Status.noSuchFile, message: "Not a directory" },
  "loop": { status: Status.noSuchFile, message: "Too many levels of symbolic links" },
  "permission": { status: Status.permissionDenied, message: "Permission denied" },
  "read-only": { status: Status.permissionDenied, message: "Read-only file system" },
  "exists": { status: Status.failure, message: "File exists" },
  "is-directory": { status: Status.failure, message: "Is a directory" },
  "not-empty": { status: Status.failure, message: "Directory not empty" },
  "no-space": { status: Status.failure, message: "No space left on device" },
  "quota": { status: Status.failure, message: "Disk quota exceeded" },
  "too-large": { status: Status.failure, message: "File too large" },
  "too-many-open": { status: Status.failure, message: "Too many open files" },
  "too-many-links": { status: Status.failure, message: "Too many links" },
  "cross-device": { status: Status.failure, message: "Target is on another file system" },
  "busy": { status: Status.failure, message: "File is busy" },
  "bad-handle": { status: Status.failure, message: "Handle is not open for this" },
  "name-too-long": { status: Status.badMessage, message: "File name too long" },
  "invalid": { status: Status.badMessage, message: "Invalid argument" },
  "unsupported": { status: Status.unsupported, message: "Operation not supported" },
  "failed": { status: Status.failure, message: "Failure" },
};

/** What ends the session for `error`: bytes that are no SFTP are the peer's breach of the protocol. */
export function asProtocolError(error: unknown): unknown {
  if (!(error instanceof MalformedError)) return error;
  return new SshError("protocol", `malformed SFTP packet: ${error.message}`, { cause: error });
}

/** Whether `error` says how an operation went, and is not a fault of the program. */
export function isOutcome(error: unknown): error is SftpError | FilesError {
  return error instanceof SftpError || error instanceof FilesError;
}

/** What to tell the peer about `error`. */
export function outcomeOf(error: unknown): Outcome {
  if (error instanceof SftpError) return { status: error.status, message: error.message };
  return OUTCOMES[error instanceof FilesError ? error.code : "failed"];
}
