/**
 * The stock clients as rows of one table, so that a test says once what every client must be able to do.
 *
 * All of them check the host key, none of them asks anything or reads this machine's configuration.
 */
import {
  dropbear,
  dropbearNewest,
  openssh,
  opensshNewest,
  paramiko,
  type Peer,
  putty,
  puttyNewest,
} from "../support/peers.ts";
import type { KeyFile } from "../support/keygen.ts";
import type { Site } from "../support/site.ts";
import { copyLine, dbclientLine, puttyLine, sshLine } from "../support/stock_client.ts";

/** The server at hand. */
export interface Server {
  readonly port: number;
  readonly user: string;
  readonly hostKey: Pick<KeyFile, "bare" | "fingerprint">;
}

/** A command line with its environment. */
export interface Invocation {
  readonly line: string[];
  readonly env: Record<string, string>;
}

export interface StockClient {
  readonly name: string;
  readonly peer: Peer;
  /** Runs `command` on the server, standard input and output attached. */
  exec(site: Site, server: Server, command: string): Invocation;
  /** Runs `command` in a terminal there. */
  pty(site: Site, server: Server, command: string): Invocation;
  /** Listens on 127.0.0.1:`port` and forwards to `to` (`HOST:PORT`) as the server sees it, until killed. */
  localForward(site: Site, server: Server, port: number, to: string): Invocation;
  /** Asks the server to listen at `bind` (`NAME:PORT`) and forwards to 127.0.0.1:`port`, until killed. */
  remoteForward(site: Site, server: Server, bind: string, port: number): Invocation;
  /** Uploads the file `local` by SFTP, then downloads it to `local.back`. Absent where the client has none. */
  copy?(site: Site, server: Server, local: string, remote: string): Invocation;
}

const script = (name: string) => new URL(name, import.meta.url).pathname;

/** Forwards as all command-line clients write them. */
const local = (port: number, to: string) => ["-N", "-L", `127.0.0.1:${port}:${to}`];
const remote = (bind: string, port: number) => ["-N", "-R", `${bind}:127.0.0.1:${port}`];

/** For `sftp` and `psftp`. */
function copyBatch(site: Site, from: string, to: string): string {
  return site.folder.write(`${from.split("/").at(-1)}.batch`, `put ${from} ${to}\nget ${to} ${from}.back\n`);
}

function opensshClient(peer: Peer): StockClient {
  const options = (site: Site, { port, user }: Server) => ({
    port,
    user,
    identity: site.key.path,
    knownHosts: site.knownHosts,
  });
  const line = (site: Site, server: Server, rest: string[], command?: string) => ({
    line: sshLine(peer, options(site, server), rest, command),
    env: {},
  });
  return {
    name: `${peer.name} ssh`,
    peer,
    exec: (site, server, command) => line(site, server, ["-T"], command),
    pty: (site, server, command) => line(site, server, ["-tt"], command),
    localForward: (site, server, port, to) => line(site, server, local(port, to)),
    remoteForward: (site, server, bind, port) => line(site, server, remote(bind, port)),
    copy: (site, server, from, to) => {
      const batch = copyBatch(site, from, to);
      const args = ["-b", batch, `${server.user}@127.0.0.1`];
      return { line: copyLine(peer, "sftp", options(site, server), ...args), env: {} };
    },
  };
}

function dropbearClient(peer: Peer): StockClient {
  const line = (site: Site, { port, user }: Server, rest: string[], command?: string) => ({
    line: dbclientLine(peer, { port, user, identity: site.dropbearKey }, rest, command),
    env: { HOME: site.folder.path },
  });
  return {
    name: `${peer.name} dbclient`,
    peer,
    exec: (site, server, command) => line(site, server, ["-T"], command),
    // It insists on a terminal of its own.
    pty: (site, server, command) => {
      const { line: inner, env } = line(site, server, ["-t"], command);
      const words = inner.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
      return { line: ["script", "-qec", words, "/dev/null"], env };
    },
    localForward: (site, server, port, to) => line(site, server, ["-T", ...local(port, to)]),
    remoteForward: (site, server, bind, port) => line(site, server, ["-T", ...remote(bind, port)]),
  };
}

function puttyClient(peer: Peer): StockClient {
  const line = (
    program: "plink" | "psftp",
    site: Site,
    { port, user, hostKey }: Server,
    rest: string[],
    ...command: string[]
  ) => ({
    line: puttyLine(
      peer,
      program,
      { port, user, identity: site.puttyKey, hostKey: hostKey.fingerprint },
      rest,
      ...command,
    ),
    env: { HOME: site.folder.path },
  });
  return {
    name: `${peer.name} plink and psftp`,
    peer,
    exec: (site, server, command) => line("plink", site, server, ["-T"], command),
    pty: (site, server, command) => line("plink", site, server, ["-t"], command),
    localForward: (site, server, port, to) => line("plink", site, server, ["-T", ...local(port, to)]),
    remoteForward: (site, server, bind, port) => line("plink", site, server, ["-T", ...remote(bind, port)]),
    copy: (site, server, from, to) => line("psftp", site, server, ["-b", copyBatch(site, from, to)]),
  };
}

/** Libraries run as small programs with the same arguments: port, user, key, public half of the host key, mode. */
function libraryClient(peer: Peer, environment: (site: Site) => Record<string, string>): StockClient {
  const line = (site: Site, { port, user, hostKey }: Server, ...args: string[]) => ({
    line: peer.line("", String(port), user, site.key.path, hostKey.bare, ...args),
    env: environment(site),
  });
  return {
    name: peer.name,
    peer,
    exec: (site, server, command) => line(site, server, "exec", command),
    pty: (site, server, command) => line(site, server, "pty", command),
    localForward: (site, server, port, to) => line(site, server, "local", `${port}`, ...to.split(":")),
    remoteForward: (site, server, bind, port) =>
      line(site, server, "remote", ...bind.split(":"), String(port)),
    copy: (site, server, from, to) => line(site, server, "copy", from, to),
  };
}

/** npm's ssh2 comes with the project: nothing to install. */
const ssh2Peer: Peer = {
  name: "npm ssh2",
  newest: false,
  line: (_program, ...args) => [
    ...[Deno.execPath(), "run", "-A", "--config", new URL("../../deno.json", import.meta.url).pathname],
    ...[script("ssh2_client.ts"), ...args],
  ],
};

const paramikoPeer: Peer = {
  ...paramiko,
  line: (program, ...args) => paramiko.line(program, script("paramiko_client.py"), ...args),
};

/** Where this Deno keeps packages: a child with another HOME would fetch them anew. */
export function denoCache(): Record<string, string> {
  const home = Deno.env.get("HOME") ?? "/root";
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${home}/.cache`;
  return { DENO_DIR: Deno.env.get("DENO_DIR") ?? `${cache}/deno` };
}

export const CLIENTS: readonly StockClient[] = [
  opensshClient(openssh),
  opensshClient(opensshNewest),
  dropbearClient(dropbear),
  dropbearClient(dropbearNewest),
  puttyClient(putty),
  puttyClient(puttyNewest),
  libraryClient(paramikoPeer, ({ folder }) => ({ HOME: folder.path })),
  libraryClient(ssh2Peer, denoCache),
];
