/**
 * What two gateways of this kind say to each other. The *joining* one has dialled the *joined* one (`--connect`) and is
 * its client: it authenticates with its own key, then
 *
 * | | from | data | reply |
 * |---|---|---|---|
 * | request `gateway@ssh-mesh` | joining | string gateway id: the fingerprint of its host key | FAILURE when it is the joined one's own |
 * | request `export@ssh-mesh` | joining | string name, uint32 port, boolean published, string path | FAILURE when refused |
 * | request `unexport@ssh-mesh` | joining | string name, uint32 port | FAILURE when it was not exported |
 * | channel `mesh-tcpip@ssh-mesh` | joined | string host, uint32 port, string originator host, uint32 port, string path, string assertion, string signature | |
 *
 * A *path* is the ids of gateways between commas. Of an export: those between here and the node, the joining one first.
 * Whoever finds itself in it, or it longer than {@link MAX_HOPS} − 1, refuses: so no name comes back to where it is from,
 * and none outlives its node by going round. Of a channel: those that the connection has passed, the joined one last;
 * the same two reasons refuse it.
 *
 * An *assertion* is JSON that says who the user is (see `assertion.ts`). Its signature, an SSH signature blob by the host
 * key that the joined gateway proved on this connection, covers
 *
 *     string "ssh-mesh-assertion-1", string session id, string host, uint32 port, string path, string assertion
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import type { HostPort } from "../../ssh/forward/messages.ts";

export const GatewayMessage = {
  gateway: "gateway@ssh-mesh",
  export: "export@ssh-mesh",
  unexport: "unexport@ssh-mesh",
  channel: "mesh-tcpip@ssh-mesh",
} as const;

/** Gateways that a connection may pass between user and node. */
export const MAX_HOPS = 4;

/** Bytes of an assertion: a token's claims have a few thousand. */
const MAX_ASSERTION_LENGTH = 64 * 1024;

/** `SHA256:` and 43 characters of base64. */
const GATEWAY_ID = /^SHA256:[A-Za-z0-9+/]{43}$/;

export function encodeGateway(id: string): Bytes {
  return new Writer().string(id).finish();
}

/** @throws {MalformedError} */
export function decodeGateway(data: Bytes): string {
  const reader = new Reader(data);
  const id = reader.text();
  reader.end();
  if (!GATEWAY_ID.test(id)) throw new MalformedError("not a gateway's id");
  return id;
}

/** A name and port that a gateway offers. */
export interface Export {
  readonly name: string;
  readonly port: number;
  readonly published: boolean;
  readonly path: readonly string[];
}

export function encodeExport({ name, port, published, path }: Export): Bytes {
  return new Writer().string(name).uint32(port).boolean(published).nameList(path).finish();
}

/** @throws {MalformedError} */
export function decodeExport(data: Bytes): Export {
  const reader = new Reader(data);
  const name = reader.utf8();
  const port = readPort(reader);
  const published = reader.boolean();
  const path = readPath(reader);
  reader.end();
  return { name, port, published, path };
}

export function encodeUnexport({ name, port }: Pick<Export, "name" | "port">): Bytes {
  return new Writer().string(name).uint32(port).finish();
}

/** @throws {MalformedError} */
export function decodeUnexport(data: Bytes): Pick<Export, "name" | "port"> {
  const reader = new Reader(data);
  const name = reader.utf8();
  const port = readPort(reader);
  reader.end();
  return { name, port };
}

/** A connection for a user behind the gateway that opens it. */
export interface MeshChannel {
  readonly target: HostPort;
  readonly originator: HostPort;
  readonly path: readonly string[];
  readonly assertion: string;
  readonly signature: Bytes;
}

export function encodeMeshChannel({ target, originator, path, assertion, signature }: MeshChannel): Bytes {
  return new Writer()
    .string(target.host).uint32(target.port)
    .string(originator.host).uint32(originator.port)
    .nameList(path).string(assertion).string(signature)
    .finish();
}

/** Copies what it returns. @throws {MalformedError} */
export function decodeMeshChannel(data: Bytes): MeshChannel {
  const reader = new Reader(data);
  const target = { host: reader.utf8(), port: readPort(reader) };
  const originator = { host: reader.utf8(), port: readPort(reader) };
  const path = readPath(reader);
  const assertion = reader.utf8();
  if (assertion.length > MAX_ASSERTION_LENGTH) throw new MalformedError("the assertion is too long");
  const signature = reader.string().slice();
  reader.end();
  return { target, originator, path, assertion, signature };
}

/** What the signature of a channel covers. */
export function signedPart(
  sessionId: Bytes,
  { target, path, assertion }: Pick<MeshChannel, "target" | "path" | "assertion">,
): Bytes {
  return new Writer()
    .string("ssh-mesh-assertion-1")
    .string(sessionId)
    .string(target.host).uint32(target.port)
    .nameList(path).string(assertion)
    .finish();
}

function readPort(reader: Reader): number {
  const port = reader.uint32();
  if (port > 65535) throw new MalformedError(`port ${port}`);
  return port;
}

function readPath(reader: Reader): string[] {
  const path = reader.nameList();
  // One more than can be granted is enough to be refused for the right reason.
  if (path.length > 2 * MAX_HOPS || !path.every((id) => GATEWAY_ID.test(id))) {
    throw new MalformedError("not a path of gateways");
  }
  return path;
}
