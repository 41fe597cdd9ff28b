/** The server's rules around the methods: tries, time, banners, partial success, what peers and logs get to see. */
import assert from "node:assert/strict";
import type { Bytes } from "../../../src/bytes/bytes.ts";

import {
  KeyboardInteractiveFields,
  PasswordChangeFields,
  PublicKeyQueryFields,
  ServiceRequest,
  UserauthBanner,
  UserauthRequest,
} from "../../../src/ssh/auth/messages.ts";
import {
  MAX_QUERIES,
  MAX_REQUESTS,
  type ServerAuth,
  type Verdict,
} from "../../../src/ssh/auth/server/types.ts";
import { AuthenticationError } from "../../../src/ssh/auth/types.ts";
import { DisconnectReason, SshError } from "../../../src/ssh/error.ts";
import { passwordRequest, request, serve, SleepyClock, START } from "./in_memory.ts";
import { testKey } from "./test_keys.ts";

const no = { result: "refused" } as const;
const yes = (identity = "ann"): Verdict<string> => ({ result: "accepted", identity });
const secret: ServerAuth<string> = { password: ({ password }) => password === "secret" ? yes() : no };

const { type, blob } = (await testKey()).publicKey;
const query = request("publickey", PublicKeyQueryFields.encode({ signed: false, algorithm: type, blob }));
const repeat = (count: number, payload: Bytes) => Array.from({ length: count }, () => payload);

function isExhausted(outcome: unknown, message: string): boolean {
  return outcome instanceof AuthenticationError && outcome.message === message && outcome.code === "auth" &&
    outcome.reason === DisconnectReason.noMoreAuthMethodsAvailable;
}

Deno.test("the sixth failure ends the connection, before the right password", async () => {
  const { outcome, replies } = await serve(secret, [
    START,
    ...repeat(6, passwordRequest("wrong")),
    passwordRequest("secret"),
  ]);
  assert.ok(isExhausted(outcome, "too many authentication failures"));
  assert.deepEqual(replies, ["accept", ...Array(5).fill("failure password")]);
});

Deno.test("the last of the tries still counts", async () => {
  const { outcome } = await serve(secret, [
    START,
    ...repeat(5, passwordRequest("wrong")),
    passwordRequest("secret"),
  ]);
  assert.ok(!(outcome instanceof Error));
});

Deno.test("the number of tries is configurable, and never none at all", async () => {
  const { outcome, replies } = await serve({ ...secret, maxTries: 1 }, [START, passwordRequest("wrong")]);
  assert.ok(isExhausted(outcome, "too many authentication failures"));
  assert.deepEqual(replies, ["accept"]);
  for (const maxTries of [0, -1, NaN]) {
    await assert.rejects(async () => await serve({ ...secret, maxTries }, []), RangeError);
  }
});

Deno.test("the first none is free, the others are tries, and so are unknown methods", async () => {
  const { attempts, outcome } = await serve(secret, [
    START,
    ...repeat(2, request("none")),
    request("gssapi-with-mic"),
    request("hostbased"),
  ]);
  assert.deepEqual(attempts.map(({ counted }) => counted), [false, true, true, true]);
  assert.equal((outcome as SshError).code, "connection-lost");
});

Deno.test("a refused question about a key is no try, but there is an end to asking", async () => {
  const few = await serve({ ...secret, publicKey: () => no }, [
    START,
    ...repeat(20, query),
    passwordRequest("secret"),
  ]);
  assert.ok(!(few.outcome instanceof Error));
  for (const verdict of [no, yes()]) {
    const many = await serve({ publicKey: () => verdict }, [START, ...repeat(MAX_QUERIES, query)]);
    assert.ok(isExhausted(many.outcome, "too many keys offered"));
    assert.equal(many.replies.length, MAX_QUERIES + (verdict === no ? 0 : 1));
  }
});

Deno.test("what counts as nothing has an end too: service requests, factors passed over and over", async () => {
  const services = await serve(secret, repeat(MAX_REQUESTS + 1, START));
  assert.ok(isExhausted(services.outcome, "too many authentication requests"));
  assert.equal(services.replies.length, MAX_REQUESTS);
  const half: ServerAuth<string> = { password: () => ({ result: "partial", methods: ["password"] }) };
  const factors = Array.from({ length: 200 }, (_, i) => passwordRequest("x", `user${i}`));
  assert.ok(
    isExhausted((await serve(half, [START, ...factors])).outcome, "too many authentication requests"),
  );
});

Deno.test("a client may request the service before each request", async () => {
  const { outcome, replies } = await serve(secret, [
    START,
    request("none"),
    START,
    passwordRequest("secret"),
  ]);
  assert.ok(!(outcome instanceof Error));
  assert.deepEqual(replies, ["accept", "failure password", "accept", "success"]);
});

Deno.test("EXT_INFO before the service is the transport's business", async () => {
  const { outcome } = await serve(secret, [
    new Uint8Array([7, 0, 0, 0, 0]),
    START,
    passwordRequest("secret"),
  ]);
  assert.ok(!(outcome instanceof Error));
});

Deno.test("services that are not there end the connection", async () => {
  const connection = ServiceRequest.encode({ service: "ssh-connection" });
  const other = UserauthRequest.encode({
    user: "ann",
    service: "ssh-\nother",
    method: "none",
    fields: new Uint8Array(0),
  });
  for (const payloads of [[connection], [START, other]]) {
    const { outcome } = await serve(secret, payloads);
    assert.ok(outcome instanceof SshError && outcome.code === "protocol");
    assert.equal(outcome.reason, DisconnectReason.serviceNotAvailable);
    assert.doesNotMatch(outcome.message, /\n/);
  }
});

Deno.test("a user name has a longest length, in bytes", async () => {
  const longest = "ä".repeat(512);
  assert.ok(!((await serve(secret, [START, passwordRequest("secret", longest)])).outcome instanceof Error));
  const { outcome } = await serve(secret, [START, passwordRequest("secret", longest + "a")]);
  assert.equal((outcome as SshError).reason, DisconnectReason.illegalUserName);
});

Deno.test("the list of methods is what has a callback, or what the program opens to the user", async () => {
  const all: ServerAuth<string> = {
    ...secret,
    none: () => no,
    publicKey: () => no,
    keyboardInteractive: () => no,
  };
  const listed = async (config: ServerAuth<string>) =>
    (await serve(config, [START, request("none")])).replies[1];
  assert.equal(await listed(all), "failure publickey,keyboard-interactive,password");
  assert.equal(
    await listed({ ...all, methods: (user) => user === "ann" ? ["password"] : [] }),
    "failure password",
  );
  assert.equal(await listed({}), "failure");
});

Deno.test("a method that is not open is refused without asking its callback", async () => {
  let asked = 0;
  const { replies } = await serve<string>(
    { password: () => (asked++, yes()), publicKey: () => no, methods: () => ["publickey"] },
    [START, passwordRequest("secret")],
  );
  assert.equal(asked, 0);
  assert.deepEqual(replies, ["accept", "failure publickey"]);
});

Deno.test("opening a method without a callback is a mistake of the program", async () => {
  const one = await serve<string>({ ...secret, methods: () => ["publickey"] }, [START, request("none")]);
  assert.ok(one.outcome instanceof TypeError);
  const two = await serve<string>({ password: () => ({ result: "partial", methods: ["otp"] }) }, [
    START,
    passwordRequest("x"),
  ]);
  assert.ok(two.outcome instanceof TypeError);
});

/** Wants a password twice: first `one`, then `two`. */
const twice: ServerAuth<string> = {
  password({ password, passed, user }) {
    if (passed.length === 0) return password === "one" ? { result: "partial", methods: ["password"] } : no;
    return password === "two" ? yes(user) : no;
  },
  publicKey: () => yes(),
};

Deno.test("after partial success only the named methods are open, and a failure changes nothing", async () => {
  const { outcome, replies } = await serve(twice, [
    START,
    passwordRequest("one"),
    query,
    request("none"),
    passwordRequest("wrong"),
    passwordRequest("two"),
  ]);
  assert.deepEqual(replies, [
    "accept",
    "partial password",
    "failure password",
    "failure password",
    "failure password",
    "success",
  ]);
  assert.ok(!(outcome instanceof Error));
  assert.deepEqual(outcome.methods.map(({ method }) => method), ["password", "password"]);
});

Deno.test("another user name starts from nothing; the tries go on", async () => {
  const { outcome, replies, attempts } = await serve(twice, [
    START,
    passwordRequest("one", "ann"),
    passwordRequest("two", "bob"),
    passwordRequest("two", "ann"),
    passwordRequest("one", "ann"),
    passwordRequest("two", "ann"),
  ]);
  assert.deepEqual(replies.slice(1), [
    "partial password",
    "failure publickey,password",
    "failure publickey,password",
    "partial password",
    "success",
  ]);
  assert.equal((outcome as { user: string }).user, "ann");
  assert.equal(attempts.filter(({ counted }) => counted).length, 2);
});

Deno.test("none is no second factor", async () => {
  const config: ServerAuth<string> = {
    none: ({ passed }) => passed.length > 0 ? yes() : no,
    password: () => ({ result: "partial", methods: ["password"] }),
  };
  const { replies } = await serve(config, [START, passwordRequest("x"), request("none")]);
  assert.deepEqual(replies, ["accept", "partial password", "failure password"]);
});

Deno.test("changing a password is refused and no callback sees it", async () => {
  const fields = PasswordChangeFields.encode({ change: true, password: "secret", newPassword: "new" });
  let asked = 0;
  const { replies, attempts } = await serve<string>({ password: () => (asked++, yes()) }, [
    START,
    request("password", fields),
  ]);
  assert.equal(asked, 0);
  assert.deepEqual(replies, ["accept", "failure password"]);
  assert.equal(attempts[0].counted, true);
});

Deno.test("a banner is shown once, before the first answer, without anything that moves the cursor", async () => {
  const banner = (user: string) => `Hello ${user}\n\x1b[2JKeep out\u202e\n`;
  const { sent, replies } = await serve({ ...secret, banner }, [
    START,
    request("none"),
    passwordRequest("secret"),
  ]);
  assert.deepEqual(replies, ["accept", "banner", "failure password", "success"]);
  assert.equal(UserauthBanner.decode(sent[1]).text, "Hello ann\r\n\\u{1b}[2JKeep out\\u{202e}\r\n");
});

Deno.test("a refusal can say a sentence, once", async () => {
  const message = "Log in as app, not root.";
  const { sent, replies } = await serve<string>({ password: () => ({ result: "refused", message }) }, [
    START,
    ...repeat(2, passwordRequest("x", "root")),
  ]);
  assert.deepEqual(replies, ["accept", "banner", "failure password", "failure password"]);
  assert.equal(UserauthBanner.decode(sent[1]).text, message + "\r\n");
});

Deno.test("a refusal takes as long for an unknown user as for a wrong password", async () => {
  for (const work of [0, 3, 9.5]) {
    const clock = new SleepyClock();
    const config: ServerAuth<string> = { password: () => ((clock.time += work), no) };
    await serve(config, [START, passwordRequest("x")], { clock });
    assert.equal(clock.time, 1010, `${work} ms of work`);
  }
  const clock = new SleepyClock();
  await serve(
    { password: () => ((clock.time += 23), no), failureQuantum: 10 },
    [START, passwordRequest("x")],
    { clock },
  );
  assert.equal(clock.time, 1030, "longer work is rounded up");
});

Deno.test("asking for the list of methods takes no time, neither does a server without a quantum", async () => {
  assert.deepEqual((await serve(secret, [START, request("none")])).clock.slept, []);
  assert.deepEqual(
    (await serve({ ...secret, failureQuantum: 0 }, [START, passwordRequest("x")])).clock.slept,
    [],
  );
});

Deno.test("logs see printable names, callbacks the real ones", async () => {
  const user = "ann\n2026-01-01 accepted root\x1b[1A\u202e";
  const seen: string[] = [];
  const { attempts } = await serve<string>({ password: (request) => (seen.push(request.user), no) }, [
    START,
    passwordRequest("x", user),
    request("met\rhod", undefined, user),
  ]);
  assert.deepEqual(seen, [user]);
  for (const attempt of attempts) {
    assert.equal(attempt.user, "ann\\u{a}2026-01-01 accepted root\\u{1b}[1A\\u{202e}");
  }
  assert.equal(attempts[1].method, "met\\u{d}hod");
});

Deno.test("no password is ever in an error or an attempt", async () => {
  const { attempts, outcome } = await serve(secret, [START, ...repeat(6, passwordRequest("hunter2"))]);
  assert.doesNotMatch(JSON.stringify(attempts) + String(outcome), /hunter2/);
});

Deno.test("a callback that throws refuses, and the log gets the cause", async () => {
  const cause = new Error("the database is away");
  const { replies, attempts } = await serve<string>({
    password: () => {
      throw cause;
    },
  }, [START, passwordRequest("x")]);
  assert.deepEqual(replies, ["accept", "failure password"]);
  assert.equal(attempts[0].cause, cause);
});

Deno.test("an SshError of a callback ends the connection as it says", async () => {
  const error = new SshError("limit", "too many connections", {
    reason: DisconnectReason.tooManyConnections,
  });
  const { outcome } = await serve<string>({ password: () => Promise.reject(error) }, [
    START,
    passwordRequest("x"),
  ]);
  assert.equal(outcome, error);
});

Deno.test("a callback's verdict of no known kind is not a success", async () => {
  const broken = { password: () => ({ result: "maybe" }) } as unknown as ServerAuth<string>;
  const { outcome, replies } = await serve(broken, [START, passwordRequest("x")]);
  assert.ok(outcome instanceof Error);
  assert.deepEqual(replies, ["accept"]);
});

Deno.test("the signal ends waiting for the peer, for a callback and for the pause, with its reason", async () => {
  const late = new SshError("timeout", "login grace is over");
  assert.equal((await serve(secret, [START], { signal: AbortSignal.abort(late) })).outcome, late);

  const during = new AbortController();
  const hanging: ServerAuth<string> = {
    password() {
      queueMicrotask(() => during.abort(late));
      return new Promise(() => {});
    },
  };
  assert.equal(
    (await serve(hanging, [START, passwordRequest("x")], { signal: during.signal })).outcome,
    late,
  );

  const within = new AbortController();
  const prompting: ServerAuth<string> = {
    async keyboardInteractive({ prompt }) {
      await prompt({ prompts: [{ text: "?", echo: true }] }).catch(() => {});
      return yes();
    },
    methods: () => (queueMicrotask(() => within.abort(late)), ["keyboard-interactive"]),
  };
  const fields = KeyboardInteractiveFields.encode({ language: "", submethods: "" });
  const { outcome, replies } = await serve(prompting, [START, request("keyboard-interactive", fields)], {
    signal: within.signal,
  });
  assert.equal(outcome, late);
  assert.ok(!replies.includes("success"));
});

Deno.test("a password that is not UTF-8 is malformed", async () => {
  const fields = new Uint8Array([0, 0, 0, 0, 1, 0xff]);
  const { outcome } = await serve(secret, [START, request("password", fields)]);
  assert.equal((outcome as SshError).code, "protocol");
});
