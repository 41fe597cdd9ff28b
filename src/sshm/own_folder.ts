/** Where the command keeps what is the user's: a stored token, and the state of `askpass`. */
import type { SshmHost } from "./host.ts";

/** Kept over restarts: `~/.local/state/ssh-mesh`, where gateway and agent have their things too. */
export function ownFolder({ environment }: SshmHost): string {
  const base = environment("XDG_STATE_HOME") || `${environment("HOME") || "/"}/.local/state`;
  return `${base}/ssh-mesh`;
}

/** Gone when the user logs out, and in memory, where the system has such a place; else a folder among the others. */
export function passingFolder(host: SshmHost): string {
  const runtime = host.environment("XDG_RUNTIME_DIR");
  return runtime ? `${runtime}/ssh-mesh` : `${ownFolder(host)}/run`;
}
