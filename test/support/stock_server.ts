/** The stock servers, `sshd` and `dropbear`, each on a port of its own on 127.0.0.1. */
import { freePort } from "./tcp.ts";
import type { Folder } from "./folder.ts";
import type { KeyFile } from "./keygen.ts";
import { newestTree, type Peer } from "./peers.ts";
import { type Running, start, succeed } from "./process.ts";
import { waitUntil } from "./wait.ts";

/** A server that a test started. */
export interface StockServer extends AsyncDisposable {
  readonly port: number;
  /** The one login name that it accepts. */
  readonly user: string;
  readonly process: Running;
}

/** Login name of whoever runs the tests: the only one a server that is not root can serve. */
export const ownUser = Deno.uid() === 0 ? "root" : Deno.env.get("USER") ?? "nobody";

/** Tries before a port that somebody else took first is a failure. */
const PORT_TRIES = 5;

/**
 * Starts `sshd` with the given host keys, authorised keys and further configuration lines.
 * @param config lines that come first, so that they win
 */
export async function startSshd(
  peer: Peer,
  folder: Folder,
  { hostKeys, authorized, config = [] }: {
    hostKeys: readonly KeyFile[];
    authorized: readonly string[];
    config?: readonly string[];
  },
): Promise<StockServer> {
  // As root it insists on this folder, which a package's start script makes.
  if (Deno.uid() === 0) await succeed(peer.line("mkdir", "-p", "-m", "755", "/run/sshd"));
  const authorizedKeys = folder.write("sshd_authorized_keys", authorized.join("\n") + "\n");
  return await onFreePort(async (port) => {
    const file = folder.write(
      `sshd_config_${port}`,
      [
        ...config,
        `ListenAddress 127.0.0.1:${port}`,
        ...hostKeys.map((key) => `HostKey ${key.path}`),
        `AuthorizedKeysFile ${authorizedKeys}`,
        "PidFile none",
        "UsePAM no",
        "UseDNS no",
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "MaxStartups 1000",
        "Subsystem sftp internal-sftp",
        "",
      ].join("\n"),
    );
    const process = start(peer.line("/usr/sbin/sshd", "-D", "-e", "-f", file));
    return await listening(process, /Server listening on/, port);
  });
}

/**
 * Starts `dropbear`, which looks for authorised keys in the home folder that the password file names, and nowhere else. So it
 * runs in a mount namespace with a password file of the test's: needs root.
 */
export async function startDropbear(
  peer: Peer,
  folder: Folder,
  { hostKey, authorized, args = [] }: {
    /** A private key in Dropbear's own format: `toDropbear`. */
    hostKey: string;
    authorized: readonly string[];
    args?: readonly string[];
  },
): Promise<StockServer> {
  const home = folder.at("dropbear_home");
  Deno.mkdirSync(`${home}/.ssh`, { mode: 0o700, recursive: true });
  folder.write("dropbear_home/.ssh/authorized_keys", authorized.join("\n") + "\n");
  const passwords = folder.write("dropbear_passwd", `${ownUser}:x:0:0::${home}:/bin/sh\n`, 0o644);
  const covered = `${peer.newest ? newestTree.root : ""}/etc/passwd`;
  const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  return await onFreePort(async (port) => {
    const line = peer.line(
      "dropbear",
      "-F",
      "-E",
      "-r",
      hostKey,
      "-p",
      `127.0.0.1:${port}`,
      "-P",
      "",
      ...args,
    );
    const process = start(["unshare", "--mount", "sh", "-c", script, "sh", passwords, covered, ...line]);
    return await listening(process, /Not backgrounding/, port);
  });
}

async function onFreePort(attempt: (port: number) => Promise<StockServer>): Promise<StockServer> {
  for (let tries = 1;; tries++) {
    try {
      return await attempt(freePort());
    } catch (error) {
      if (tries === PORT_TRIES || !/in use/i.test(String(error))) throw error;
    }
  }
}

async function listening(process: Running, ready: RegExp, port: number): Promise<StockServer> {
  try {
    await process.stderr.match(ready);
    // Dropbear says so before it listens.
    await waitUntil("a listening server", async () => {
      if (process.exited) throw new Error(`the server ended: ${process.stderr}`);
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return true;
      } catch {
        return false;
      }
    });
  } catch (error) {
    await process.stop();
    throw error;
  }
  return { port, user: ownUser, process, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}
