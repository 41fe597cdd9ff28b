/** Command lines of the stock clients: strict about host keys, blind to this machine's own configuration. */
import type { Peer } from "./peers.ts";

export interface ClientOptions {
  readonly port: number;
  /** Login name; default `test`. */
  readonly user?: string;
  readonly identity?: string;
  readonly knownHosts: string;
  /** `-o` options, `Name=value`; they come first, so they win. */
  readonly options?: readonly string[];
}

/** Nothing is asked, nobody is believed unseen, and no key of the user's is shown. */
const STRICT = [
  "GlobalKnownHostsFile=/dev/null",
  "StrictHostKeyChecking=yes",
  "UpdateHostKeys=no",
  "BatchMode=yes",
  "IdentitiesOnly=yes",
  "IdentityAgent=none",
  "ExitOnForwardFailure=yes",
];

/**
 * `-o` and `-F` arguments that `ssh`, `scp` and `sftp` share. Nothing of the user's is read, nothing is asked, and an
 * unknown host key is refused.
 */
export function opensshOptions({ identity, knownHosts, options = [] }: ClientOptions): string[] {
  const fixed = [
    ...STRICT,
    `UserKnownHostsFile=${knownHosts}`,
    "ConnectTimeout=15",
  ];
  if (identity) fixed.push(`IdentityFile=${identity}`);
  return ["-F", "none", ...[...options, ...fixed].flatMap((option) => ["-o", option])];
}

/**
 * `ssh` to 127.0.0.1 with `args` between the options and the command.
 * @param rest forwards and flags, then `--` is added before `command`
 */
export function sshLine(
  peer: Peer,
  client: ClientOptions,
  rest: readonly string[] = [],
  command?: string,
  host = "127.0.0.1",
): string[] {
  const destination = `${client.user ?? "test"}@${host}`;
  const args = [...opensshOptions(client), "-p", String(client.port), ...rest, "--", destination];
  return peer.line("ssh", ...args, ...(command === undefined ? [] : [command]));
}

/** `scp` or `sftp`, whose port flag is `-P`. */
export function copyLine(
  peer: Peer,
  program: "scp" | "sftp",
  client: ClientOptions,
  ...args: string[]
): string[] {
  return peer.line(program, ...opensshOptions(client), "-P", String(client.port), ...args);
}

/**
 * An OpenSSH configuration for jumps, as text: `-p`, `-i` and `-o` do not reach the jump host, a file does. `gateway` is the
 * gateway, every other name is reached through it. Use it as `ssh -F FILE NAME`.
 */
export function jumpConfig(
  { port, user = "test", identity, knownHosts, options = [] }: ClientOptions,
): string {
  const common = [
    ...options,
    `User=${user}`,
    ...(identity ? [`IdentityFile=${identity}`] : []),
    ...STRICT,
    `UserKnownHostsFile=${knownHosts}`,
  ];
  return [
    "Host gateway",
    "  HostName 127.0.0.1",
    `  Port ${port}`,
    "Host * !gateway",
    "  ProxyJump gateway",
    "Host *",
    ...common.map((option) => `  ${option.replace("=", " ")}`),
    "",
  ].join("\n");
}

/**
 * `dbclient` reads `~/.ssh/known_hosts` alone: run it with `HOME` set to a folder that has one.
 * Its key is in Dropbear's own format: `toDropbear`.
 */
export function dbclientLine(
  peer: Peer,
  { port, user = "test", identity }: Pick<ClientOptions, "port" | "user" | "identity">,
  rest: readonly string[] = [],
  command?: string,
): string[] {
  const key = identity ? ["-i", identity] : [];
  const args = [...key, "-p", String(port), ...rest, `${user}@127.0.0.1`];
  return peer.line("dbclient", ...args, ...(command === undefined ? [] : [command]));
}

/** `plink` or `psftp` with the host key pinned by fingerprint. Run it with `HOME` in a folder of the test's. */
export function puttyLine(
  peer: Peer,
  program: "plink" | "psftp" | "pscp",
  { port, user = "test", identity, hostKey }: Pick<ClientOptions, "port" | "user" | "identity"> & {
    hostKey: string;
  },
  rest: readonly string[] = [],
  ...command: string[]
): string[] {
  const key = identity ? ["-i", identity] : [];
  const share = program === "plink" ? ["-ssh", "-no-antispoof"] : [];
  const fixed = [...share, "-batch", "-noagent", "-hostkey", hostKey, "-P", String(port), "-l", user];
  return peer.line(program, ...fixed, ...key, ...rest, "127.0.0.1", ...command);
}

/**
 * What a command itself said on standard error, which is one line: before it comes what the client has to advise, and whatever
 * the login's start-up files say (bash reads ~/.bashrc for commands that come by SSH).
 */
export function lastLine(stderr: string): string {
  return stderr.trim().split(/\r?\n/).at(-1)!;
}
