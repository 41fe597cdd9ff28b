/** Sessions as another account than the agent's own: only an agent that runs as root has them. */
import type { Command, Processes } from "../platform/process.ts";
import type { SessionHost, SessionPolicy } from "./exec.ts";
import type { ForwardRights } from "./forwarding.ts";
import type { Account } from "./login.ts";

/** Where distributions put OpenSSH's SFTP server: the built-in one has the agent's own rights, so it cannot serve others. */
const SFTP_SERVERS = [
  "/usr/lib/openssh/sftp-server",
  "/usr/libexec/openssh/sftp-server",
  "/usr/libexec/sftp-server",
  "/usr/lib/ssh/sftp-server",
];

/** Programs start with the account's user, group and groups, and nothing of the agent's: setpriv(1) sees to it. */
export function processesAs(processes: Processes, account: Account): Processes {
  return {
    spawn: (command) => processes.spawn(commandAs(command, account)),
    spawnOnTerminal: (command, terminal) => processes.spawnOnTerminal(commandAs(command, account), terminal),
  };
}

function commandAs({ argv0, ...command }: Command, { uid, gid }: Account): Command {
  // A login shell is one by its name, which setpriv does not pass on, or by its flag.
  const login = argv0?.startsWith("-") ? ["-l"] : [];
  return {
    ...command,
    file: "setpriv",
    args: [
      ...[`--reuid=${uid}`, `--regid=${gid}`, "--init-groups", "--inh-caps=-all"],
      ...["--", command.file, ...login, ...command.args],
    ],
  };
}

/** What a session of another account may do: nothing that the agent itself would do for it with its own rights. */
export async function sessionPolicyAs(policy: SessionPolicy, host: SessionHost): Promise<SessionPolicy> {
  const subsystems = new Map<string, string>();
  for (const path of SFTP_SERVERS) {
    if (!await host.isExecutable(path)) continue;
    subsystems.set("sftp", path);
    break;
  }
  // The socket of a forwarded agent would be root's.
  return { ...policy, allowAgentForwarding: false, subsystems };
}

/** The same of forwarding: Unix sockets would be opened and made by root, and so would low ports. */
export function forwardRightsAs({ dial, listen }: ForwardRights): ForwardRights {
  return {
    dial,
    listen: listen && {
      ...listen,
      permits: (host, port) => (port === 0 || port >= 1024) && listen.permits(host, port),
    },
    dialUnix: false,
    listenUnix: false,
  };
}
