/** Finds the file that a command names, the way `execvp` does. */
import { SpawnError } from "../platform/process.ts";

/** Where a name is looked up when the environment has no `PATH` (as glibc's `execvp`). */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * Absolute or relative path of the executable `file`: itself when it has a slash, else the first match in `path`.
 * @throws {SpawnError} `not-found`, or `denied` when all there is cannot be executed
 */
export async function findExecutable(file: string, path = DEFAULT_PATH): Promise<string> {
  const candidates = file.includes("/")
    ? [file]
    : path.split(":").map((folder) => `${folder === "" ? "." : folder}/${file}`);
  let denied = false;
  for (const candidate of candidates) {
    const verdict = await examine(candidate);
    if (verdict === "executable") return candidate;
    if (verdict === "denied") denied = true;
  }
  throw denied
    ? new SpawnError("denied", `'${file}' cannot be executed`)
    : new SpawnError("not-found", `there is no '${file}' here`);
}

/** Whether `path` is a file with an execute bit, as far as this user may look. */
export async function isExecutable(path: string): Promise<boolean> {
  return await examine(path) === "executable";
}

async function examine(path: string): Promise<"executable" | "denied" | "missing"> {
  try {
    const info = await Deno.stat(path);
    return info.isFile && (info.mode ?? 0) & 0o111 ? "executable" : "denied";
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied ? "denied" : "missing";
  }
}
