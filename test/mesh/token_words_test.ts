/** Words about tokens that several programs must agree on. */
import assert from "node:assert/strict";
import { MAX_TOKEN_LENGTH as LONGEST_VERIFIED } from "../../src/identity/token/compact.ts";
import * as words from "../../src/mesh/token_words.ts";

Deno.test("words about tokens are those that older agents, gateways and tokens have", () => {
  assert.deepEqual({ ...words }, {
    JOIN_TOKEN_PREFIX: "sshm1.",
    MAX_JOIN_TOKEN_LENGTH: 8192,
    MAX_TOKEN_LENGTH: 16384,
    TOKEN_PROMPT: "Token, or its first part ending in +: ",
    NEXT_PART_PROMPT: "Next part: ",
    WHOLE_TOKEN_PROMPT: "Token: ",
    MORE: "+",
  });
});

Deno.test("a token that logins let through is short enough for its verifier", () => {
  assert.equal(words.MAX_TOKEN_LENGTH, LONGEST_VERIFIED);
});
