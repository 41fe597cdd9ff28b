/** Data of channels and requests that forward TCP and Unix sockets (RFC 4254 §7, OpenSSH PROTOCOL §2.4). */
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";

/** A host, as a name or an address in text, and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `direct-tcpip` and `forwarded-tcpip`: where to, and where from. */
export interface TcpChannel {
  /** direct: to be dialled; forwarded: exactly as the `tcpip-forward` request spelled it. */
  readonly target: HostPort;
  readonly originator: HostPort;
}

export function encodeTcpChannel({ target, originator }: TcpChannel): Bytes {
  return new Writer().string(target.host).uint32(target.port).string(originator.host).uint32(originator.port)
    .finish();
}

/** @throws {MalformedError} */
export function decodeTcpChannel(data: Bytes): TcpChannel {
  const reader = new Reader(data);
  const target = readHostPort(reader);
  const originator = readHostPort(reader);
  reader.end();
  return { target, originator };
}

/** `tcpip-forward` and `cancel-tcpip-forward`. */
export function encodeHostPort({ host, port }: HostPort): Bytes {
  return new Writer().string(host).uint32(port).finish();
}

/** @throws {MalformedError} */
export function decodeHostPort(data: Bytes): HostPort {
  const reader = new Reader(data);
  const hostPort = readHostPort(reader);
  reader.end();
  return hostPort;
}

function readHostPort(reader: Reader): HostPort {
  const host = reader.utf8();
  const port = reader.uint32();
  if (port > 65535) throw new MalformedError(`port ${port}`);
  return { host, port };
}

/** The answer to a `tcpip-forward` of port 0: the port that was chosen. */
export function encodePort(port: number): Bytes {
  return new Writer(4).uint32(port).finish();
}

/** @throws {MalformedError} */
export function decodePort(data: Bytes): number {
  const port = new Reader(data).uint32();
  if (port > 65535) throw new MalformedError(`port ${port}`);
  return port;
}

/** `direct-streamlocal@openssh.com`: two reserved fields follow the path. */
export function encodeDirectStreamLocal(path: string): Bytes {
  return new Writer().string(path).string("").uint32(0).finish();
}

/** `forwarded-streamlocal@openssh.com`: one reserved field follows the path. */
export function encodeForwardedStreamLocal(path: string): Bytes {
  return new Writer().string(path).string("").finish();
}

/** `streamlocal-forward@openssh.com` and its cancel. */
export function encodePath(path: string): Bytes {
  return new Writer().string(path).finish();
}

/** The path at the start of any of the three. @throws {MalformedError} */
export function decodePath(data: Bytes): string {
  const path = new Reader(data).utf8();
  if (path === "" || path.includes("\0")) throw new MalformedError("not a socket path");
  return path;
}
