/** A child that has this process's input, output and environment. */
import type { ExitStatus } from "../platform/process.ts";
import { SpawnError } from "../platform/process.ts";

export interface ForegroundChild {
  readonly status: Promise<ExitStatus>;
  /** @param name without `SIG`. No error when it has gone. */
  kill(name: "HUP" | "INT" | "TERM" | "KILL"): void;
}

/**
 * Starts `line`, file and arguments.
 * @throws {SpawnError}
 */
export function startForeground([file, ...args]: readonly string[]): ForegroundChild {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(file, { args, stdin: "inherit", stdout: "inherit", stderr: "inherit" }).spawn();
  } catch (cause) {
    const missing = cause instanceof Deno.errors.NotFound;
    const reason = missing ? "there is no such command" : (cause as Error).message;
    throw new SpawnError(missing ? "not-found" : "failed", `'${file}' did not start: ${reason}`, { cause });
  }
  let running = true;
  const status = child.status.then(({ code, signal }): ExitStatus => {
    running = false;
    return signal === null ? { code } : { signal: signal.replace(/^SIG/, ""), coreDumped: false };
  });
  return {
    status,
    kill(name) {
      if (running) child.kill(`SIG${name}`);
    },
  };
}
