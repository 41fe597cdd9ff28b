/**
 * Each state × each message number: what is not on the list ends the connection (CVE-2018-10933, CVE-2023-46445,
 * CVE-2025-32433 were servers that took what only servers say, or what comes later).
 */
import assert from "node:assert/strict";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { CLIENT_ACCEPTS } from "../../../src/ssh/auth/client/exchange.ts";
import type { ClientAuth } from "../../../src/ssh/auth/client/types.ts";
import * as messages from "../../../src/ssh/auth/messages.ts";
import { SERVER_ACCEPTS } from "../../../src/ssh/auth/server/exchange.ts";
import type { ServerAuth } from "../../../src/ssh/auth/server/types.ts";
import { DisconnectReason, SshError } from "../../../src/ssh/error.ts";
import { request, serve, START, visit } from "./in_memory.ts";
import { testKey } from "./test_keys.ts";

/** A message of `number`: well-formed where a state could take it, so that only the state can be what refuses it. */
const WELL_FORMED: Record<number, Bytes> = {
  5: START,
  6: messages.ServiceAccept.encode({ service: "ssh-userauth" }),
  7: new Uint8Array([7, 0, 0, 0, 0]),
  50: request("none"),
  51: messages.UserauthFailure.encode({ methods: [], partial: false }),
  52: messages.UserauthSuccess.encode({}),
  53: messages.UserauthBanner.encode({ text: "hello", language: "" }),
  60: messages.InfoRequest.encode({ name: "", instruction: "", language: "", prompts: [] }),
  61: messages.InfoResponse.encode({ answers: [] }),
};

function anyMessage(number: number): Bytes {
  return WELL_FORMED[number] ?? new Uint8Array([number, 0, 0, 0, 0]);
}

function isRefused(outcome: unknown, number: number | undefined): boolean {
  return outcome instanceof SshError && outcome.code === "protocol" &&
    outcome.reason === DisconnectReason.protocolError &&
    outcome.message.startsWith(`message ${number} while waiting`);
}

const never = () => ({ result: "refused" } as const);
const SERVER: ServerAuth<string> = {
  none: never,
  publicKey: never,
  password: never,
  keyboardInteractive: async ({ prompt }) => {
    await prompt({});
    return { result: "refused" };
  },
};

const asking = request(
  "keyboard-interactive",
  messages.KeyboardInteractiveFields.encode({ language: "", submethods: "" }),
);

/** What brings a server into each state, and what it then takes. */
const SERVER_STATES = {
  service: { said: [], takes: [5, 7] },
  request: { said: [START], takes: [5, 50] },
  answers: { said: [START, asking], takes: [50, 61] },
} as const satisfies Record<
  keyof typeof SERVER_ACCEPTS,
  { said: readonly Bytes[]; takes: readonly number[] }
>;

for (const [state, { said, takes }] of Object.entries(SERVER_STATES)) {
  Deno.test(`a server that waits for the client's ${state} takes ${takes.join(" and ")} and nothing else`, async () => {
    for (let number = 0; number < 256; number++) {
      const { outcome, replies } = await serve(SERVER, [...said, anyMessage(number)]);
      const taken = (takes as readonly number[]).includes(number);
      assert.equal(isRefused(outcome, number), !taken, `message ${number}: ${outcome}`);
      if (taken) assert.equal((outcome as SshError).code, "connection-lost", `message ${number}: ${outcome}`);
      assert.ok(!replies.includes("success"));
    }
  });
}

const WAITING: ClientAuth = { user: "ann", credentials: [] };
const ACCEPT = WELL_FORMED[6];
const failure = (...methods: string[]) => messages.UserauthFailure.encode({ methods, partial: false });

/** What brings a client into each state, and what it then takes. */
const CLIENT_STATES = {
  service: { config: () => WAITING, said: [], takes: [6, 7] },
  verdict: { config: () => WAITING, said: [ACCEPT], takes: [7, 51, 52, 53] },
  query: {
    config: async (): Promise<ClientAuth> => ({
      user: "ann",
      credentials: [{ method: "publickey", signers: [await testKey()], ask: true }],
    }),
    said: [ACCEPT, failure("publickey")],
    takes: [7, 51, 53, 60],
  },
  round: {
    config: (): ClientAuth => ({
      user: "ann",
      credentials: [{ method: "keyboard-interactive", answer: () => [] }],
    }),
    said: [ACCEPT, failure("keyboard-interactive")],
    takes: [7, 51, 52, 53, 60],
  },
} as const;

for (const [state, { config, said, takes }] of Object.entries(CLIENT_STATES)) {
  Deno.test(`a client that waits for the server's ${state} takes ${takes.join(", ")} and nothing else`, async () => {
    for (let number = 0; number < 256; number++) {
      const { outcome } = await visit(await config(), [...said, anyMessage(number)]);
      const taken = (takes as readonly number[]).includes(number);
      // To a question about a key, our 60 is no answer either; but that is found by reading it.
      if (state === "query" && number === 60) {
        assert.match((outcome as Error).message, /^malformed USERAUTH_PK_OK/);
      } else assert.equal(isRefused(outcome, number), !taken, `message ${number}: ${outcome}`);
    }
  });
}

Deno.test("every state of both sides is in these tables", () => {
  assert.deepEqual(Object.keys(SERVER_STATES).sort(), Object.keys(SERVER_ACCEPTS).sort());
  assert.deepEqual(Object.keys(CLIENT_STATES).sort(), Object.keys(CLIENT_ACCEPTS).sort());
});

Deno.test("a message without even a number is refused on both sides", async () => {
  assert.ok(isRefused((await serve(SERVER, [new Uint8Array(0)])).outcome, undefined));
  assert.ok(isRefused((await visit(WAITING, [new Uint8Array(0)])).outcome, undefined));
});

Deno.test("every truncation of every request ends in an error, never in success", async () => {
  const signer = await testKey();
  const { type: algorithm, blob } = signer.publicKey;
  const open: ServerAuth<string> = {
    publicKey: () => ({ result: "accepted", identity: "x" }),
    password: () => ({ result: "accepted", identity: "x" }),
  };
  const signature = new Uint8Array(83);
  const whole = [
    START,
    request("none"),
    request("publickey", messages.PublicKeyFields.encode({ signed: true, algorithm, blob, signature })),
    request("password", messages.PasswordFields.encode({ change: false, password: "secret" })),
  ];
  for (const message of whole) {
    for (let length = 0; length < message.length; length++) {
      const { outcome, replies } = await serve(open, [
        ...(message === START ? [] : [START]),
        message.slice(0, length),
      ]);
      assert.ok(
        outcome instanceof SshError && outcome.code === "protocol",
        `${length} of ${message.length}: ${outcome}`,
      );
      assert.ok(!replies.includes("success"));
    }
  }
});
