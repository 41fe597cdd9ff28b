/** Between the client's loop and its methods: requests out, replies in, banners on the side. */
import { type Bytes, EMPTY } from "../../../bytes/bytes.ts";
import { printableLines } from "../../../bytes/printable.ts";
import type { PublicKey } from "../../../keys/types.ts";
import { untilAborted } from "../../../streams/until_aborted.ts";
import { SshError } from "../../error.ts";
import { Msg } from "../../wire/numbers.ts";
import { UserauthBanner, UserauthFailure, UserauthRequest, UserauthSuccess } from "../messages.ts";
import { CONNECTION_SERVICE, type MessageStream } from "../types.ts";
import { type ClientAuth, MAX_BANNERS } from "./types.ts";

/**
 * Which messages a client takes while it waits for what: everything else ends the connection. EXT_INFO has been read by
 * the transport, which may hand it on; banners are shown wherever they come (RFC 4252 §5.4).
 */
export const CLIENT_ACCEPTS = {
  /** For SERVICE_ACCEPT. */
  service: new Set<number>([Msg.EXT_INFO, Msg.SERVICE_ACCEPT]),
  /** After a question about a key: success is no answer to that. */
  query: new Set<number>([Msg.EXT_INFO, Msg.USERAUTH_BANNER, Msg.USERAUTH_FAILURE, Msg.USERAUTH_PK_OK]),
  /** After a request that is complete in itself. */
  verdict: new Set<number>([Msg.EXT_INFO, Msg.USERAUTH_BANNER, Msg.USERAUTH_FAILURE, Msg.USERAUTH_SUCCESS]),
  /** After a request that may lead to another round (60: prompts, or the wish for a new password). */
  round: new Set<number>([
    Msg.EXT_INFO,
    Msg.USERAUTH_BANNER,
    Msg.USERAUTH_FAILURE,
    Msg.USERAUTH_SUCCESS,
    Msg.USERAUTH_INFO_REQUEST,
  ]),
} as const;

export type ClientState = keyof typeof CLIENT_ACCEPTS;

/** What the server thinks of a request. */
export type Reply =
  | { readonly result: "success" }
  | { readonly result: "failure"; readonly methods: readonly string[]; readonly partial: boolean }
  /** A message of the method's own: 60. */
  | { readonly result: "continue"; readonly payload: Bytes };

/** How a candidate did. */
export type Trial =
  | Exclude<Reply, { result: "continue" }>
  /** It made no request, or left one open for the next to abandon: the server's list of methods is as before. */
  | { readonly result: "skipped"; readonly why: string };

/** One thing to try: a key, a certificate, a password. */
export interface Candidate {
  readonly method: string;
  /** For the error that lists what was tried: `ssh-ed25519 SHA256:…`. */
  readonly label: () => string | Promise<string>;
  /** The key that a success is owed to. */
  readonly key?: PublicKey;
  attempt(exchange: ClientExchange): Promise<Trial>;
}

/** One client's conversation with one server. */
export class ClientExchange {
  readonly stream: MessageStream;
  readonly config: ClientAuth;
  #banners = 0;

  constructor(stream: MessageStream, config: ClientAuth) {
    this.stream = stream;
    this.config = config;
  }

  /** Sends a USERAUTH_REQUEST with the method's `fields`. */
  request(method: string, fields: Bytes = EMPTY): void {
    const { user } = this.config;
    this.stream.send(UserauthRequest.encode({ user, service: CONNECTION_SERVICE, method, fields }));
  }

  /** The next message that `state` allows; banners and EXT_INFO are dealt with here. */
  async receive(state: ClientState): Promise<Bytes> {
    while (true) {
      this.config.signal?.throwIfAborted();
      const payload = await untilAborted(this.stream.receive(), this.config.signal);
      const number = payload[0];
      if (!(CLIENT_ACCEPTS[state] as Set<number | undefined>).has(number)) {
        throw new SshError("protocol", `message ${number} while waiting for the server's ${state}`);
      }
      if (number === Msg.USERAUTH_BANNER) this.#show(payload);
      else if (number !== Msg.EXT_INFO) return payload;
    }
  }

  /** The server's answer to a request. */
  async reply(state: ClientState): Promise<Reply> {
    const payload = await this.receive(state);
    switch (payload[0]) {
      case Msg.USERAUTH_SUCCESS:
        UserauthSuccess.decode(payload);
        return { result: "success" };
      case Msg.USERAUTH_FAILURE:
        return { result: "failure", ...UserauthFailure.decode(payload) };
      default:
        return { result: "continue", payload };
    }
  }

  /** The answer to a request that is complete in itself. */
  async verdict(): Promise<Trial> {
    return await this.reply("verdict") as Trial;
  }

  /** Waits for a person, or something slow, as long as anybody wants the result. */
  wait<T>(answer: T | Promise<T>): Promise<T> {
    return untilAborted(Promise.resolve(answer), this.config.signal);
  }

  #show(payload: Bytes): void {
    const { text } = UserauthBanner.decode(payload);
    if (++this.#banners > MAX_BANNERS) throw new SshError("limit", "the server sends banners without end");
    this.config.onBanner?.(printableLines(text));
  }
}
