/** `keyboard-interactive` when things go wrong, at the server. */
import assert from "node:assert/strict";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { InfoRequest, InfoResponse, KeyboardInteractiveFields } from "../../../src/ssh/auth/messages.ts";
import type { KeyboardInteractiveRequest, ServerAuth, Verdict } from "../../../src/ssh/auth/server/types.ts";
import { MAX_ROUNDS } from "../../../src/ssh/auth/types.ts";
import type { SshError } from "../../../src/ssh/error.ts";
import { passwordRequest, request, serve, START } from "./in_memory.ts";

const yes: Verdict<string> = { result: "accepted", identity: "ann" };
const one = { prompts: [{ text: "?", echo: false }] };

function asking(submethods = ""): Bytes {
  return request("keyboard-interactive", KeyboardInteractiveFields.encode({ language: "", submethods }));
}

function answers(...answers: string[]): Bytes {
  return InfoResponse.encode({ answers }).slice();
}

/** A server whose callback does as `run` says and then lets everybody in, whatever went wrong before. */
function careless(run: (request: KeyboardInteractiveRequest) => Promise<unknown>): ServerAuth<string> {
  return {
    keyboardInteractive: (request) => run(request).catch(() => {}).then(() => yes),
    password: () => yes,
  };
}

const once = careless(({ prompt }) => prompt(one));

Deno.test("one answer to one prompt: in", async () => {
  const { outcome, replies } = await serve(once, [START, asking(), answers("x")]);
  assert.ok(!(outcome instanceof Error));
  assert.deepEqual(replies, ["accept", "60", "success"]);
});

for (const given of [[], ["x", "y"]]) {
  Deno.test(`${given.length} answers to one prompt: refused, even by a careless callback`, async () => {
    const { attempts, replies } = await serve(once, [START, asking(), answers(...given)]);
    assert.equal(attempts[0].reason, `${given.length} answers to 1 prompts`);
    assert.deepEqual(replies, ["accept", "60", "failure keyboard-interactive,password"]);
  });
}

Deno.test("a new request abandons the prompts: no failure is sent, but one try is gone", async () => {
  const { outcome, attempts, replies } = await serve(once, [START, asking(), passwordRequest("x")]);
  assert.ok(!(outcome instanceof Error));
  assert.deepEqual(outcome.methods.map(({ method }) => method), ["password"]);
  assert.deepEqual(replies, ["accept", "60", "success"]);
  assert.deepEqual(attempts.map(({ result, counted }) => [result, counted]), [["abandoned", true], [
    "accepted",
    false,
  ]]);
});

Deno.test("abandoning over and over uses up the tries", async () => {
  const { outcome, replies } = await serve(once, [START, ...Array.from({ length: 10 }, () => asking())]);
  assert.match((outcome as Error).message, /too many authentication failures/);
  assert.equal(replies.filter((reply) => reply === "60").length, 6);
});

Deno.test("an endless callback is cut off", async () => {
  const endless = careless(async ({ prompt }) => {
    while (true) await prompt(one);
  });
  const { attempts, replies } = await serve(endless, [
    START,
    asking(),
    ...Array.from({ length: MAX_ROUNDS + 1 }, () => answers("x")),
  ]);
  assert.equal(replies.filter((reply) => reply === "60").length, MAX_ROUNDS);
  assert.equal(attempts[0].reason, `more than ${MAX_ROUNDS} rounds of prompts`);
});

Deno.test("a malformed answer and a lost connection end everything, even with a careless callback", async () => {
  const malformed = await serve(once, [START, asking(), answers("x").slice(0, -1)]);
  assert.equal((malformed.outcome as SshError).code, "protocol");
  const lost = await serve(once, [START, asking()]);
  assert.equal((lost.outcome as SshError).code, "connection-lost");
  for (const { replies } of [malformed, lost]) assert.deepEqual(replies, ["accept", "60"]);
});

Deno.test("two rounds at once, and rounds after the verdict, are mistakes of the program", async () => {
  const errors: unknown[] = [];
  let kept: KeyboardInteractiveRequest["prompt"] | undefined;
  const config = careless(async ({ prompt }) => {
    kept = prompt;
    const first = prompt(one);
    await prompt(one).catch((error) => errors.push(error));
    await first;
  });
  const { outcome } = await serve(config, [START, asking(), answers("x")]);
  assert.ok(!(outcome instanceof Error));
  await kept!(one).catch((error) => errors.push(error));
  assert.deepEqual(errors.map(String), [
    "TypeError: one round of prompts at a time",
    "TypeError: the attempt is over",
  ]);
});

Deno.test("a callback that does not wait for its prompt lets nobody in", async () => {
  const config: ServerAuth<string> = {
    keyboardInteractive: ({ prompt }) => {
      prompt(one).catch(() => {});
      return yes;
    },
  };
  const { outcome, replies } = await serve(config, [START, asking()]);
  assert.ok(outcome instanceof Error);
  assert.deepEqual(replies, ["accept", "60"]);
});

Deno.test("the peer's hints reach the callback, the prompts reach the peer", async () => {
  let submethods: readonly string[] = [];
  const { sent } = await serve(
    careless((request) => {
      submethods = request.submethods;
      return request.prompt({
        name: "N",
        instruction: "I",
        prompts: [{ text: "a", echo: true }, { text: "b", echo: false }],
      });
    }),
    [START, asking("otp,pam,")],
  );
  assert.deepEqual(submethods, ["otp", "pam"]);
  assert.deepEqual(InfoRequest.decode(sent[1]), {
    name: "N",
    instruction: "I",
    language: "",
    prompts: [{ text: "a", echo: true }, { text: "b", echo: false }],
  });
});
