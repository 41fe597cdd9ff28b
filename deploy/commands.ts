/** The commands as they are installed and compiled: names, modules, and what Deno permits them. */
import { libcryptoPaths } from "../src/deno/libcrypto_library.ts";

export interface InstalledCommand {
  /** What is typed: `gateway` and `agent` alone would say too little in a folder of many programs. */
  readonly name: string;
  /** Path from the project's root. */
  readonly entry: string;
  /** Flags for Deno. What is not granted is refused, not asked for. */
  readonly permissions: readonly string[];
}

/** Encryption by the system's OpenSSL, and no other library. */
const libcrypto = `--allow-ffi=${libcryptoPaths().join(",")}`;

/** Starts nothing: no --allow-run. */
const server = [
  "--no-prompt",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  libcrypto,
];

export const installedCommands: readonly InstalledCommand[] = [
  { name: "ssh-mesh-gateway", entry: "cmd/gateway.ts", permissions: server },
  { name: "ssh-mesh-ca", entry: "cmd/ca.ts", permissions: server },
  {
    name: "ssh-mesh-agent",
    entry: "cmd/agent.ts",
    // It runs what users ask for, on terminals made by native code: a sandbox around that would be none.
    permissions: ["--allow-all"],
  },
  {
    name: "sshm",
    entry: "cmd/sshm.ts",
    // It starts what --token-command says; an SSH agent's socket counts as a file to write.
    permissions: [...server, "--allow-run"],
  },
];
