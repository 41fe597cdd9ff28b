/** The authority of `cmd/ca.ts` in a process of its own. */
import type { Folder } from "../support/folder.ts";
import { meshEnvironment, projectLine } from "../support/mesh.ts";
import { type Running, start, succeed } from "../support/process.ts";

/** Command line of the authority. */
export function line(...args: string[]): string[] {
  return projectLine("cmd/ca.ts", args);
}

export interface RunningAuthority extends AsyncDisposable {
  readonly url: string;
  readonly process: Running;
  readonly state: string;
  readonly folder: Folder;
  /** Makes a join token. */
  token(name: string): Promise<string>;
  records(): Record<string, unknown>[];
}

/** An authority in a process of its own, at `https://localhost:PORT`. */
export async function startAuthority(folder: Folder, ...args: string[]): Promise<RunningAuthority> {
  const state = folder.at("ca");
  const env = meshEnvironment(folder.path);
  const process = start(line("--listen", "127.0.0.1:0", "--log", "json", "--state", state, ...args), { env });
  const [ready] = await process.stdout.match(/^.*"event":"ready".*$/);
  const { url } = JSON.parse(ready);
  return {
    url,
    process,
    state,
    folder,
    async token(name) {
      const made = await succeed(line("token", "create", "--name", name, "--state", state), { env });
      return made.text.trim();
    },
    records: () =>
      Deno.readTextFileSync(`${state}/audit.jsonl`).trim().split("\n").map((text) => JSON.parse(text)),
    [Symbol.asyncDispose]: async () => void await process.stop(),
  };
}
