/**
 * What gateways, authorities and clients must agree on about tokens in logins: how long they may be, how join tokens
 * begin, and in what words a gateway asks for them by `keyboard-interactive`, piece by piece.
 *
 *     Token, or its first part ending in +: eyJhbGciOi…+
 *     Next part: …c2lnbmF0dXJl
 */

/** What join tokens begin with; no JSON Web Token does. */
export const JOIN_TOKEN_PREFIX = "sshm1.";

/** Characters of a join token: an id, a secret, a name and some fingerprints. */
export const MAX_JOIN_TOKEN_LENGTH = 8 * 1024;

/**
 * Characters of any token, which are bytes: Kubernetes and Google stay below 4 KiB, Entra's with many groups have 8000.
 * The verifier of tokens (`identity/token`) takes as many.
 */
export const MAX_TOKEN_LENGTH = 16 * 1024;

/** The first question. `sshm askpass` and agents answer it, and no question in other words. */
export const TOKEN_PROMPT = "Token, or its first part ending in +: ";

/** The question after a piece that ended in {@link MORE}. */
export const NEXT_PART_PROMPT = "Next part: ";

/** A question for the token in one piece: of gateways that take no pieces. */
export const WHOLE_TOKEN_PROMPT = "Token: ";

/** Behind a piece: there is more. No token contains it. */
export const MORE = "+";
