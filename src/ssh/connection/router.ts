/** Several users of one connection, each for its own channel types and global requests. */
import { ChannelOpenReason } from "../error.ts";
import type { Connection, GlobalRequestHandler, IncomingChannel } from "./types.ts";

/** Answers channels of one type; those that it has not answered when it settles are refused. */
export type ChannelHandler = (incoming: IncomingChannel) => void | Promise<void>;

/** Calls the handler that was registered for a name. What nobody has registered is refused. */
export class Router {
  readonly #channels = new Map<string, ChannelHandler>();
  readonly #requests = new Map<string, GlobalRequestHandler>();

  /** Takes `connection.onChannel` and `connection.onGlobalRequest` for itself. */
  constructor(connection: Connection) {
    connection.onChannel = (incoming) => {
      const handler = this.#channels.get(incoming.type);
      if (handler) return handler(incoming);
      incoming.reject(ChannelOpenReason.unknownChannelType, "unknown channel type");
    };
    connection.onGlobalRequest = (request) => this.#requests.get(request.name)?.(request) ?? false;
  }

  /** Gives channels of `type` to `handler`. @throws {TypeError} when the type has a handler already */
  onChannel(type: string, handler: ChannelHandler): void {
    if (this.#channels.has(type)) throw new TypeError(`channel type ${type} has a handler`);
    this.#channels.set(type, handler);
  }

  /** Gives global requests of this name to `handler`. @throws {TypeError} when the name has a handler already */
  onRequest(name: string, handler: GlobalRequestHandler): void {
    if (this.#requests.has(name)) throw new TypeError(`request ${name} has a handler`);
    this.#requests.set(name, handler);
  }
}
