/** Who is at the ends of a connection that this process was started with, as inetd and systemd start servers. */
import { IpAddress, parseIp } from "../bytes/ip_address.ts";
import { decodeHex } from "../bytes/encoding.ts";

/** One end of a TCP connection. */
export interface SocketEnd {
  readonly address: string;
  readonly port: number;
}

export interface SocketEnds {
  readonly remote: SocketEnd;
  readonly local: SocketEnd;
}

/** The kernel's tables of TCP connections in this process's network. */
const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];

/** The ends of the TCP connection on standard input; undefined where it is none, or where the system does not say. */
export async function standardInputEnds(): Promise<SocketEnds | undefined> {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(await Deno.readLink("/proc/self/fd/0"))?.[1];
    if (inode === undefined) return undefined;
    for (const table of TABLES) {
      const ends = findSocket(await Deno.readTextFile(table), inode);
      if (ends) return ends;
    }
  } catch {
    // Not Linux, or /proc is out of reach.
  }
}

/**
 * Whether standard error is the connection on standard input, as inetd has it: what is written there would be read by the
 * peer as part of the protocol.
 */
export function errorsGoToThePeer(): boolean {
  try {
    const input = Deno.readLinkSync("/proc/self/fd/0");
    return input.startsWith("socket:") && input === Deno.readLinkSync("/proc/self/fd/2");
  } catch {
    return false;
  }
}

/** The row of a socket by its inode (proc_pid_net(5)): slot, local, remote, state, queues, timers, retries, uid, timeout, inode. */
export function findSocket(table: string, inode: string): SocketEnds | undefined {
  for (const line of table.split("\n")) {
    const columns = line.trim().split(/\s+/);
    if (columns[9] === inode) return { local: endOf(columns[1]), remote: endOf(columns[2]) };
  }
}

/** `0100007F:1F90`: 32-bit words of the address in the machine's order, which is little-endian, and the port. */
function endOf(text: string): SocketEnd {
  const [words, port] = text.split(":");
  const bytes = decodeHex(words);
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  // IPv4 as such, also on a socket that takes both.
  return { address: `${parseIp(`${new IpAddress(bytes)}`)}`, port: parseInt(port, 16) };
}
