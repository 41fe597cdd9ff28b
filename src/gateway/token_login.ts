/** Tokens in place of passwords: of trusted issuers, and those that machines join with. */
import { encodeText } from "../bytes/bytes.ts";
import { TokenError, type TokenErrorCode } from "../identity/token/types.ts";
import {
  JOIN_TOKEN_PREFIX,
  MAX_TOKEN_LENGTH,
  MORE,
  NEXT_PART_PROMPT,
  TOKEN_PROMPT,
} from "../mesh/token_words.ts";
import type { KeyboardInteractiveRequest } from "../ssh/auth/server/types.ts";
import { judgeLogin, type Login, type LoginContext, type VerifiedProof } from "./login.ts";
import type { Trust } from "./trust.ts";

/** A token that does not let anybody in. */
export interface TokenRefusal {
  /** For the log. */
  readonly refused: string;
  /** For whoever sent it: less. */
  readonly sentence: string;
  /** Whose it claims to be, for the log. */
  readonly claimed?: string;
  /** Nobody could tell: no fault of the bearer's. */
  readonly outage?: boolean;
}

/** What is said to the bearer. That a signature is wrong or an issuer unknown is told alike. */
const SENTENCES: Readonly<Partial<Record<TokenErrorCode, string>>> = {
  "expired": "the token has expired: get a new one",
  "not-yet-valid": "the token is not valid yet: is the clock right?",
  "identity": "the token names nobody that can be accepted here",
  "keys-unavailable": "the issuer of the token cannot be asked for its keys now: try again later",
};
const NOT_ACCEPTED = "the token is not accepted here";

/** Whether tokens can let anybody in: only then clients are told of methods that ask for one. */
export async function takesTokens({ tokens, enrolment }: Trust): Promise<boolean> {
  return tokens !== undefined || (await enrolment?.hasOpenTokens() ?? false);
}

/** Who the bearer of `token` is. */
export async function judgeToken(
  trust: Trust,
  token: string,
  context: LoginContext,
): Promise<Login | TokenRefusal> {
  const proof = await proofOf(trust, token.trim(), context.now);
  if ("refused" in proof) return proof;
  const login = await judgeLogin(trust, proof, context);
  if (!("refused" in login)) return login;
  const { issuer, subject } = proof.identity;
  return { ...login, sentence: NOT_ACCEPTED, claimed: claim({ issuer, subject }) };
}

async function proofOf(trust: Trust, token: string, now: number): Promise<VerifiedProof | TokenRefusal> {
  const { tokens, enrolment } = trust;
  if (token === "") return { refused: "malformed: it is empty", sentence: "there was no token" };
  if (encodeText(token).length > MAX_TOKEN_LENGTH) {
    const reason = `longer than ${MAX_TOKEN_LENGTH} bytes`;
    return { refused: `malformed: it is ${reason}`, sentence: `the token is ${reason}` };
  }
  if (token.startsWith(JOIN_TOKEN_PREFIX)) {
    try {
      if (enrolment) return { kind: "join", identity: await enrolment.holderOf(token) };
      return { refused: "join token: nobody is enrolled here", sentence: NOT_ACCEPTED };
    } catch (error) {
      const refused = `join token: ${error instanceof Error ? error.message : String(error)}`;
      return { refused, sentence: "the join token is unknown, used or over: ask for a new one" };
    }
  }
  if (!tokens) return { refused: "unknown-issuer: no issuer is trusted", sentence: NOT_ACCEPTED };
  try {
    return { kind: "token", identity: (await tokens.verifier.verify(token, now)).identity };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    const { code, message, claimed } = error;
    return {
      refused: `${code}: ${message}`,
      // What the token is for its bearer knows, and what it should be for is no secret.
      sentence: code === "audience" ? message : SENTENCES[code] ?? NOT_ACCEPTED,
      claimed: claim(claimed),
      outage: code === "keys-unavailable",
    };
  }
}

function claim({ issuer, subject }: TokenError["claimed"]): string | undefined {
  return issuer === undefined ? undefined : `${subject ?? "somebody"} of ${issuer}`;
}

/**
 * Asks for a token, piece by piece: many clients take no answer beyond 1023 bytes.
 * @returns the token, or a refusal for an empty piece or too many of them
 */
export async function askForToken(
  prompt: KeyboardInteractiveRequest["prompt"],
): Promise<string | TokenRefusal> {
  let token = "";
  for (let text = TOKEN_PROMPT;; text = NEXT_PART_PROMPT) {
    const [answer] = await prompt({ prompts: [{ text, echo: false }] });
    const piece = answer.trim();
    if (piece === "" || piece === MORE) {
      return { refused: "malformed: an empty answer", sentence: "there was no token" };
    }
    if (!piece.endsWith(MORE)) return token + piece;
    token += piece.slice(0, -MORE.length);
    if (token.length > MAX_TOKEN_LENGTH) {
      const reason = `longer than ${MAX_TOKEN_LENGTH} bytes`;
      return { refused: `malformed: it is ${reason}`, sentence: `the token is ${reason}` };
    }
  }
}
