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
import { dbclientLine, puttyLine, sshLine } from "../support/stock_client.ts";

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
  /** Listens on 127.0.0.1:`port` and forwards to `to` (`HOST:PORT`) as the server sees it, until killed. */
  localForward?(site: Site, server: Server, port: number, to: string): Invocation;
  /** Asks the server to listen at `bind` (`NAME:PORT` or `PORT`) and forwards to `to`, until killed. */
  remoteForward?(site: Site, server: Server, bind: string, to: string): Invocation;
}

const script = (name: string) => new URL(name, import.meta.url).pathname;

function opensshClient(peer: Peer): StockClient {
  const line = (site: Site, { port, user }: Server, rest: string[], command?: string) => ({
    line: sshLine(peer, { port, user, identity: site.key.path, knownHosts: site.knownHosts }, rest, command),
    env: {},
  });
  return {
    name: `${peer.name} ssh`,
    peer,
    exec: (site, server, command) => line(site, server, ["-T"], command),
    localForward: (site, server, port, to) => line(site, server, ["-N", "-L", `127.0.0.1:${port}:${to}`]),
    remoteForward: (site, server, bind, to) => line(site, server, ["-N", "-R", `${bind}:${to}`]),
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
    exec: (site, server, command) => line(site, server, [], command),
    localForward: (site, server, port, to) => line(site, server, ["-N", "-L", `127.0.0.1:${port}:${to}`]),
    remoteForward: (site, server, bind, to) => line(site, server, ["-N", "-R", `${bind}:${to}`]),
  };
}

function puttyClient(peer: Peer): StockClient {
  const line = (site: Site, { port, user, hostKey }: Server, rest: string[], ...command: string[]) => ({
    line: puttyLine(
      peer,
      "plink",
      { port, user, identity: site.puttyKey, hostKey: hostKey.fingerprint },
      rest,
      ...command,
    ),
    env: { HOME: site.folder.path },
  });
  return {
    name: `${peer.name} plink`,
    peer,
    exec: (site, server, command) => line(site, server, ["-T"], command),
    localForward: (site, server, port, to) => line(site, server, ["-N", "-L", `127.0.0.1:${port}:${to}`]),
    remoteForward: (site, server, bind, to) => line(site, server, ["-N", "-R", `${bind}:${to}`]),
  };
}

/** Libraries run as small programs with the same arguments: port, user, key, public half of the host key, command. */
const paramikoClient: StockClient = {
  name: "paramiko",
  peer: paramiko,
  exec: (site, { port, user, hostKey }, command) => ({
    line: paramiko.line(
      "python3",
      script("paramiko_client.py"),
      String(port),
      user,
      site.key.path,
      hostKey.bare,
      command,
    ),
    env: { HOME: site.folder.path },
  }),
};

/** npm's ssh2 comes with the project: nothing to install. */
const ssh2Peer: Peer = {
  name: "ssh2",
  newest: false,
  line: (_program, ...args) => [Deno.execPath(), "run", "-A", script("ssh2_client.ts"), ...args],
};

const ssh2Client: StockClient = {
  name: "npm ssh2",
  peer: ssh2Peer,
  exec: (site, { port, user, hostKey }, command) => ({
    line: ssh2Peer.line("ssh2", String(port), user, site.key.path, hostKey.bare, command),
    env: denoCache(),
  }),
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
  paramikoClient,
  ssh2Client,
];
