/** The client's side of a server over memory, packet by packet. */
import assert from "node:assert/strict";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import type { Files } from "../../../src/platform/files.ts";
import { PacketReader } from "../../../src/ssh/sftp/packet.ts";
import { decodeReply, initPacket, readVersion, type Reply } from "../../../src/ssh/sftp/reply.ts";
import { encodeRequest, type Request } from "../../../src/ssh/sftp/request.ts";
import { serveSftp, type SftpServerOptions } from "../../../src/ssh/sftp/server.ts";
import type { PlainDuplex } from "../../../src/streams/duplex.ts";
import { duplexPair } from "../../../src/streams/pair.ts";
import { oneAccount } from "./memory_files.ts";

/** A server over memory, and the other end of its connection, packet by packet. */
export class Peer {
  readonly stream: PlainDuplex;
  readonly served: Promise<void>;
  readonly #reader: PacketReader;
  #nextId = 0;

  constructor(files: Files, options: Partial<SftpServerOptions> = {}) {
    const [near, far] = duplexPair();
    this.stream = near;
    this.#reader = new PacketReader(near);
    this.served = serveSftp(far, { files, accounts: oneAccount, home: "/home", ...options });
    this.served.catch(() => {}); // awaited where it matters
  }

  async begin(): Promise<Map<string, string>> {
    await this.stream.write(initPacket());
    const body = await this.#reader.next();
    assert.ok(body && body[0] === 2);
    return readVersion(new Reader(body, 1)).extensions;
  }

  async send(request: Request): Promise<number> {
    const id = this.#nextId++;
    await this.stream.write(encodeRequest(id, request));
    return id;
  }

  async receive(): Promise<{ id: number; reply: Reply }> {
    const body = await this.#reader.next();
    assert.ok(body, "the server ended the stream");
    return decodeReply(body);
  }

  /** One request, alone. */
  async ask(request: Request): Promise<Reply> {
    const id = await this.send(request);
    const answer = await this.receive();
    assert.equal(answer.id, id);
    return answer.reply;
  }

  async status(request: Request): Promise<number> {
    const reply = await this.ask(request);
    assert.equal(reply.type, "status");
    return (reply as Extract<Reply, { type: "status" }>).status;
  }

  async open(path: string, flags: number): Promise<Bytes> {
    const reply = await this.ask({ type: "open", path, flags, attributes: {} });
    assert.ok(reply.type === "handle", JSON.stringify(reply));
    return reply.handle.slice();
  }

  /** Ends the session as a client does. */
  async end(): Promise<void> {
    await this.stream.closeWrite();
    await this.served;
  }
}

/** A peer whose INIT has been answered. */
export async function started(files: Files, options: Partial<SftpServerOptions> = {}): Promise<Peer> {
  const peer = new Peer(files, options);
  await peer.begin();
  return peer;
}
