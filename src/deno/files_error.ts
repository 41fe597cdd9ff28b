/** What file operations of this system throw, in the words of the platform. */
import { FilesError, type FilesErrorCode } from "../platform/files.ts";

const CODES: Readonly<Record<string, FilesErrorCode>> = {
  ENOENT: "not-found",
  EACCES: "permission",
  EPERM: "permission",
  EEXIST: "exists",
  ENOTDIR: "not-directory",
  EISDIR: "is-directory",
  ENOTEMPTY: "not-empty",
  ENOSPC: "no-space",
  EDQUOT: "quota",
  EFBIG: "too-large",
  EMFILE: "too-many-open",
  ENFILE: "too-many-open",
  EMLINK: "too-many-links",
  ELOOP: "loop",
  ENAMETOOLONG: "name-too-long",
  EROFS: "read-only",
  EXDEV: "cross-device",
  EBUSY: "busy",
  ETXTBSY: "busy",
  EBADF: "bad-handle",
  EINVAL: "invalid",
  ERR_OUT_OF_RANGE: "invalid",
  ERR_INVALID_ARG_VALUE: "invalid",
  ENOSYS: "unsupported",
  ENOTSUP: "unsupported",
  EOPNOTSUPP: "unsupported",
};

/** `cause`, thrown by Deno or by `node:fs`, as the platform has it. */
export function asFilesError(cause: unknown): FilesError {
  if (cause instanceof FilesError) return cause;
  const { code, message } = cause as { code?: unknown; message?: unknown };
  const withheld = cause instanceof Deno.errors.NotCapable;
  // Deno's own errors carry an errno's name as `code` too, except a permission that Deno itself withholds.
  const kind = withheld ? "permission" : CODES[String(code)] ?? "failed";
  return new FilesError(kind, withheld ? "Deno was not given the permission" : plain(String(message)), {
    cause,
  });
}

/**
 * `ENOENT: no such file or directory, open 'owners'` and `No such file or directory (os error 2): open 'owners'` →
 * `no such file or directory`: who called knows the rest.
 */
function plain(message: string): string {
  const [, deno] = /^(.*?) \(os error \d+\)(?:: \w+ '.*)?$/s.exec(message) ?? [];
  if (deno !== undefined) return deno.charAt(0).toLowerCase() + deno.slice(1);
  return message.replace(/^E[A-Z0-9]+: ([^,]+), \w+( '.*)?$/s, "$1");
}

/** Runs `operation`; what it throws becomes a {@link FilesError}. */
export async function attempt<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw asFilesError(error);
  }
}
