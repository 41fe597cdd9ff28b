/**
 * The questions that `ssh` has an askpass program answer. Pure.
 *
 * `ssh` runs `$SSH_ASKPASS PROMPT` for every secret it wants, whoever wants it: the gateway's token, a node's password, a
 * key's passphrase, whether a host key is to be believed. Only the first is answered. A server words its questions as it
 * likes, so the words alone prove nothing; but ssh itself writes in front of them to whom the answer will go, by the name
 * for which it has checked the host key (since OpenSSH 8.4; OpenSSH's sshconnect2.c):
 *
 *     (ann@gw.mycorp.com) Token, or its first part ending in +:␠
 *
 * What follows the first closing parenthesis is the server's. A node that asks `ann@gw.mycorp.com) Token: ` is shown as
 * `(app@web) ann@gw.mycorp.com) Token: `, which is no question of the gateway's.
 *
 * The port is not said. Whatever else answers to the gateway's name, on another port of the same host, is told it too: so a
 * gateway should have a name of its own, and one that is called `localhost` is for trying things out.
 */
import { MORE, NEXT_PART_PROMPT, TOKEN_PROMPT, WHOLE_TOKEN_PROMPT } from "../mesh/token_words.ts";

/** What the gateway asks for. */
export type TokenQuestion =
  /** The token in one piece. */
  | "whole"
  /** The token, or its first piece. */
  | "first"
  /** The piece after the one before. */
  | "next";

const QUESTIONS: Readonly<Record<string, TokenQuestion>> = {
  [WHOLE_TOKEN_PROMPT]: "whole",
  [TOKEN_PROMPT]: "first",
  [NEXT_PART_PROMPT]: "next",
};

/** A question that is the gateway's by its words, and who will get the answer. */
export interface GatewayPrompt {
  readonly question: TokenQuestion;
  /** As ssh calls them. */
  readonly user: string;
  /** Lower-case: HostKeyAlias where there is one, else the host's name. */
  readonly host: string;
}

/** Reads what ssh shows; undefined for whatever is not exactly one of the gateway's questions. */
export function readPrompt(prompt: string): GatewayPrompt | undefined {
  const [, user, host, words] = /^\(([^()]+)@([^()@\s]+)\) (.*)$/.exec(prompt) ?? [];
  if (words === undefined || !Object.hasOwn(QUESTIONS, words)) return undefined;
  return { question: QUESTIONS[words], user, host: host.toLowerCase() };
}

/**
 * Characters of an answer at most: OpenSSH cuts what an askpass program says at 1023 bytes, or drops it.
 */
export const MAX_PIECE = 1000;

/** Splits a token into what is answered one after the other: every piece but the last ends in `+`. */
export function pieces(token: string): [first: string, ...more: string[]] {
  const all: [string, ...string[]] = [""];
  let rest = token;
  for (; rest.length > MAX_PIECE; rest = rest.slice(MAX_PIECE - MORE.length)) {
    all.splice(-1, 1, `${rest.slice(0, MAX_PIECE - MORE.length)}${MORE}`, "");
  }
  all[all.length - 1] = rest;
  return all;
}
