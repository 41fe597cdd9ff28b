/** The client's side of the packet exchange: ids out, replies in. */
import type { Bytes } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import type { PlainDuplex } from "../../streams/duplex.ts";
import { SshError } from "../error.ts";
import { PacketReader, PacketWriter } from "./packet.ts";
import { PacketType, SFTP_VERSION, Status } from "./protocol.ts";
import { decodeReply, initPacket, readVersion, type Reply } from "./reply.ts";
import { encodeRequest, type Request } from "./request.ts";
import { asProtocolError, SftpError } from "./status.ts";

interface Pending {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (reason: unknown) => void;
}

/** Sends requests and hands each its reply. Any number may be outstanding; callers bound them. */
export class Requester {
  readonly #duplex: PlainDuplex;
  readonly #reader: PacketReader;
  readonly #writer: PacketWriter;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #ended?: { readonly reason: unknown };

  private constructor(duplex: PlainDuplex) {
    this.#duplex = duplex;
    this.#reader = new PacketReader(duplex);
    this.#writer = new PacketWriter(duplex);
  }

  /** Exchanges INIT and VERSION. @throws {SshError} when the other end is no SFTP server of version 3 */
  static async start(
    duplex: PlainDuplex,
  ): Promise<{ requester: Requester; extensions: Map<string, string> }> {
    const requester = new Requester(duplex);
    try {
      await requester.#writer.send(initPacket());
      const extensions = await requester.#receiveVersion();
      void requester.#receive();
      return { requester, extensions };
    } catch (error) {
      requester.close(error);
      throw error;
    }
  }

  async #receiveVersion(): Promise<Map<string, string>> {
    const body = await this.#reader.next();
    if (!body) throw new SshError("connection-lost", "the server ended the connection before SFTP began");
    const reader = new Reader(body);
    if (reader.byte() !== PacketType.version) {
      throw new SshError("protocol", "the server does not speak SFTP");
    }
    try {
      const { version, extensions } = readVersion(reader);
      if (version === SFTP_VERSION) return extensions;
      throw new SshError("negotiation", `the server speaks SFTP version ${version}, not ${SFTP_VERSION}`);
    } catch (error) {
      throw asProtocolError(error);
    }
  }

  /**
   * Sends a request; bytes in it are copied before this returns. Resolves to the reply, whatever it says.
   * @throws {SshError} when the session ends before
   */
  send(request: Request): Promise<Reply> {
    if (this.#ended) return Promise.reject(this.#ended.reason);
    const id = this.#takeId();
    const packet = encodeRequest(id, request);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#writer.send(packet).catch((error) => this.close(error));
    });
  }

  #takeId(): number {
    while (this.#pending.has(this.#nextId)) this.#nextId = (this.#nextId + 1) >>> 0;
    const id = this.#nextId;
    this.#nextId = (id + 1) >>> 0;
    return id;
  }

  async #receive(): Promise<void> {
    try {
      for (let body: Bytes | null; (body = await this.#reader.next());) {
        const { id, reply } = decodeReply(body);
        const pending = this.#pending.get(id);
        if (!pending) throw new SshError("protocol", `a reply to request ${id}, which is not outstanding`);
        this.#pending.delete(id);
        pending.resolve(reply);
      }
      throw new SshError("connection-lost", "the server ended the SFTP session");
    } catch (error) {
      this.close(asProtocolError(error));
    }
  }

  /** Ends the connection; what is outstanding rejects with `reason`. Idempotent. */
  close(reason: unknown = new SshError("closed", "the SFTP session was closed")): void {
    if (this.#ended) return;
    this.#ended = { reason };
    this.#duplex.close(reason);
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }

  /** Sends a request whose reply is a status. @throws {SftpError} unless that is OK */
  async command(request: Request): Promise<void> {
    const reply = await this.send(request);
    if (reply.type !== "status") throw this.#unexpected(request, reply);
    if (reply.status !== Status.ok) throw new SftpError(reply.status, `${request.type}: ${reply.message}`);
  }

  /** Sends a request whose reply is of `type`. @throws {SftpError} when it is a status */
  async query<T extends Reply["type"]>(request: Request, type: T): Promise<Extract<Reply, { type: T }>> {
    const reply = await this.send(request);
    if (reply.type === type) return reply as Extract<Reply, { type: T }>;
    if (reply.type === "status" && reply.status !== Status.ok) {
      throw new SftpError(reply.status, `${request.type}: ${reply.message}`);
    }
    throw this.#unexpected(request, reply);
  }

  /** Sends a request whose reply is an extension's own, and reads that with `read`. */
  async ask<T>(request: Request, read: (content: Reader) => T): Promise<T> {
    const { content } = await this.query(request, "extended");
    try {
      return read(new Reader(content));
    } catch (error) {
      const reason = asProtocolError(error);
      this.close(reason);
      throw reason;
    }
  }

  #unexpected(request: Request, reply: Reply): SshError {
    const error = new SshError("protocol", `a ${reply.type} reply to ${request.type}`);
    this.close(error);
    return error;
  }
}
