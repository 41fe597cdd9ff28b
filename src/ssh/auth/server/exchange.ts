/** Between the server's loop and its methods: what a method is given, and what it answers. */
import type { Bytes } from "../../../bytes/bytes.ts";
import type { Certificate } from "../../../cert/types.ts";
import type { PublicKey } from "../../../keys/types.ts";
import { Msg } from "../../wire/numbers.ts";
import type { MessageStream } from "../types.ts";
import type { AuthRequest, Decide, ServerAuth, Verdict } from "./types.ts";

/**
 * Which messages a server takes while it waits for what: everything else ends the connection. In particular no state
 * takes what only a server says (SERVICE_ACCEPT, FAILURE, SUCCESS, BANNER, 60).
 */
export const SERVER_ACCEPTS = {
  /** For the first SERVICE_REQUEST. The transport has read EXT_INFO already; it may hand it on. */
  service: new Set<number>([Msg.SERVICE_REQUEST, Msg.EXT_INFO]),
  /** For a request. Some clients (paramiko) request the service before each one. */
  request: new Set<number>([Msg.SERVICE_REQUEST, Msg.USERAUTH_REQUEST]),
  /** For answers to prompts. A new request abandons them (RFC 4252 §5.1). */
  answers: new Set<number>([Msg.USERAUTH_REQUEST, Msg.USERAUTH_INFO_RESPONSE]),
} as const;

export type ServerState = keyof typeof SERVER_ACCEPTS;

/** What a method can use. */
export interface ServerExchange<I> {
  readonly config: ServerAuth<I>;
  readonly stream: MessageStream;
  /** What every callback is told about the current request. */
  readonly request: AuthRequest;
  /** The next message that `state` allows. @throws {SshError} for any other, and at the end of time or connection */
  receive(state: ServerState): Promise<Bytes>;
  /** Puts a question to a callback. Its errors become refusals, except an SshError and the end of time. */
  ask<R>(decide: Decide<R, I>, request: R): Promise<Verdict<I>>;
}

/** How an attempt ended. */
export type Outcome<I> =
  & (
    | Verdict<I>
    /** A question about a key was answered with PK_OK. */
    | { readonly result: "known" }
    /** `next` came instead of an answer. No FAILURE is sent for an abandoned method (RFC 4252 §5.1). */
    | { readonly result: "abandoned"; readonly next: Bytes }
  )
  & {
    readonly key?: PublicKey;
    readonly certificate?: Certificate;
    /** A refused question: not one of the tries. */
    readonly query?: boolean;
  };

/** One method of the server. */
export interface ServerMethod {
  /** As in the list of USERAUTH_FAILURE. */
  readonly name: string;
  /** Whether `config` has a callback for it. */
  offered<I>(config: ServerAuth<I>): boolean;
  /** @param fields what follows the method name, @param method the name as it was written */
  attempt<I>(exchange: ServerExchange<I>, fields: Bytes, method: string): Promise<Outcome<I>>;
}

/** A refusal by the library itself. */
export function refuse(reason: string, more: { message?: string; cause?: unknown } = {}) {
  return { result: "refused", reason, ...more } as const;
}
