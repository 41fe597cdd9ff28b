/** `internal-sftp`: the SFTP server as a program of the built-in SSH server. */
import type { Accounts, Files } from "../platform/files.ts";
import type { Service } from "../ssh/session/program.ts";
import type { BuiltinPrograms } from "./exec.ts";

/** The files that are served, and names for the numbers of their owners. */
export interface ServedFiles {
  readonly files: Files;
  readonly accounts: Accounts;
}

/**
 * The table of built-in programs. The server itself, and what `load` loads, wait for the first session that needs them.
 * Of sftp-server(8)'s flags `-R` (read-only) and `-d` (start directory) count.
 */
export function builtinPrograms(load: () => Promise<ServedFiles>): BuiltinPrograms {
  return {
    "internal-sftp": (args, { home }): Service => ({
      async serve(channel) {
        const { serveSftp } = await import("../ssh/sftp/server.ts");
        const start = args.indexOf("-d");
        await serveSftp(channel, {
          ...await load(),
          home: start >= 0 && args[start + 1]?.startsWith("/") ? args[start + 1] : home,
          readOnly: args.includes("-R"),
        });
        return { code: 0 };
      },
    }),
  };
}
