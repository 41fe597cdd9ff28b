/** A token as a credential of SSH: as a password, and in pieces for servers that cut passwords. */
import { MORE, NEXT_PART_PROMPT, TOKEN_PROMPT, WHOLE_TOKEN_PROMPT } from "../mesh/token_words.ts";
import type { Credential } from "../ssh/auth/client/types.ts";
import type { Challenge } from "../ssh/auth/types.ts";

/** Longer ones do not come through every server's `password`. */
const MAX_PASSWORD = 1023;

/** Characters of one piece, without the `+` that says that another one follows. */
const PIECE_LENGTH = 1000;

/** The questions that a token answers. Any other is somebody else's, and gets nothing. */
const FIRST_PROMPTS: ReadonlySet<string> = new Set([WHOLE_TOKEN_PROMPT, TOKEN_PROMPT]);

/**
 * `password` first, whatever the length; `keyboard-interactive` where that is not taken, or was refused for a token that
 * it may have cut. A short token that was refused is refused: it is not sent twice.
 */
export function tokenCredentials(token: string): Credential[] {
  let sent = false;
  const password: Credential = {
    method: "password",
    password: (attempt) => {
      if (attempt > 1) return undefined;
      sent = true;
      return token;
    },
  };
  const pieces = piecesOf(token);
  let next = 0;
  const answer = ({ prompts }: Challenge): readonly string[] | undefined => {
    if (sent && token.length <= MAX_PASSWORD) return undefined;
    if (prompts.length === 0) return [];
    const { text } = prompts[0];
    const expected = next === 0 ? FIRST_PROMPTS.has(text) : text === NEXT_PART_PROMPT;
    if (prompts.length !== 1 || !expected || next === pieces.length) return undefined;
    return [pieces[next++]];
  };
  return [password, { method: "keyboard-interactive", answer }];
}

/** All but the last end in `+`. */
export function piecesOf(token: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < token.length; at += PIECE_LENGTH) {
    const last = at + PIECE_LENGTH >= token.length;
    pieces.push(token.slice(at, at + PIECE_LENGTH) + (last ? "" : MORE));
  }
  return pieces;
}
