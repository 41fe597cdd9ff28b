/** Our client against servers that lie, nag, or want too much. */
import assert from "node:assert/strict";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { MAX_BANNERS } from "../../../src/ssh/auth/client/types.ts";
import type { ClientAuth, Credential } from "../../../src/ssh/auth/client/types.ts";
import * as messages from "../../../src/ssh/auth/messages.ts";
import { AuthenticationError, MAX_ROUNDS } from "../../../src/ssh/auth/types.ts";
import type { SshError } from "../../../src/ssh/error.ts";
import { MemoryStream, visit } from "./in_memory.ts";
import { certified, testKey } from "./test_keys.ts";
import { authenticateClient } from "../../../src/ssh/auth/client/authenticate.ts";

const ACCEPT = messages.ServiceAccept.encode({ service: "ssh-userauth" });
const SUCCESS = messages.UserauthSuccess.encode({});
const PROMPT = messages.InfoRequest.encode({
  name: "N\x1b",
  instruction: "I\u202e\nII",
  language: "",
  prompts: [{ text: "P\x07: ", echo: false }],
});
const CHANGE = messages.PasswordChangeRequest.encode({ prompt: "expired\x07", language: "" });

function failure(methods: string[], partial = false): Bytes {
  return messages.UserauthFailure.encode({ methods, partial });
}

function banner(text: string): Bytes {
  return messages.UserauthBanner.encode({ text, language: "" });
}

function ann(...credentials: Credential[]): ClientAuth {
  return { user: "ann", credentials };
}

function methodsAsked(sent: readonly Bytes[]): string[] {
  return sent.filter((payload) => payload[0] === 50).map((payload) =>
    messages.UserauthRequest.decode(payload).method
  );
}

const signer = await testKey();
const keys: Credential = { method: "publickey", signers: [signer], ask: true };
const password: Credential = { method: "password", password: "secret" };

Deno.test("a server that accepts another service is refused", async () => {
  const { outcome, sent } = await visit(ann(), [
    messages.ServiceAccept.encode({ service: "ssh-connection" }),
  ]);
  assert.equal((outcome as SshError).code, "protocol");
  assert.equal(sent.length, 1);
});

Deno.test("a server that agrees to a key that was not asked about gets no signature", async () => {
  const { publicKey: { blob } } = await testKey("ssh-ed25519", "B");
  const ok = messages.UserauthPkOk.encode({ algorithm: "ssh-ed25519", blob });
  const { outcome, sent } = await visit(ann(keys), [ACCEPT, failure(["publickey"]), ok]);
  assert.equal((outcome as SshError).code, "protocol");
  assert.equal(sent.length, 3);
});

Deno.test("a server that echoes the type of the key instead of the algorithm gets its signature", async () => {
  const rsa = await testKey("ssh-rsa");
  const ok = messages.UserauthPkOk.encode({ algorithm: "ssh-rsa", blob: rsa.publicKey.blob });
  const credential: Credential = { method: "publickey", signers: [rsa], ask: true };
  const { outcome } = await visit(ann(credential), [ACCEPT, failure(["publickey"]), ok, SUCCESS]);
  assert.ok(!(outcome instanceof Error));
});

Deno.test("success is no answer to a question about a key", async () => {
  const { outcome } = await visit(ann(keys), [ACCEPT, failure(["publickey"]), SUCCESS]);
  assert.equal((outcome as SshError).code, "protocol");
});

Deno.test("the certificate is offered first, then the key, each under its own algorithm", async () => {
  const { sent } = await visit(
    ann({ method: "publickey", signers: [await certified(await testKey("ssh-rsa"))] }),
    [ACCEPT, failure(["publickey"]), failure(["publickey"]), failure(["publickey"])],
    (stream) => stream.serverSignatureAlgorithms = ["rsa-sha2-256"],
  );
  const asked = sent.slice(2).map((payload) =>
    messages.PublicKeyQueryFields.decode(messages.UserauthRequest.decode(payload).fields).algorithm
  );
  assert.deepEqual(asked, ["rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-256"]);
});

Deno.test("EXT_INFO that comes while authenticating is heeded", async () => {
  const rsa = await testKey("ssh-rsa");
  const stream = new MemoryStream();
  const client = authenticateClient(stream, ann({ method: "publickey", signers: [rsa] }));
  stream.serverSignatureAlgorithms = ["rsa-sha2-256"];
  stream.publicKeyHostbound = true;
  stream.push(ACCEPT, new Uint8Array([7, 0, 0, 0, 0]), failure(["publickey"]), SUCCESS);
  await client;
  const { method, fields } = messages.UserauthRequest.decode(stream.sent[2]);
  assert.equal(method, "publickey-hostbound-v00@openssh.com");
  const { algorithm, hostKey } = messages.HostboundFields.decode(fields);
  assert.equal(algorithm, "rsa-sha2-256");
  assert.deepEqual(hostKey, stream.hostKey);
});

Deno.test("banners are printable and may come at any time", async () => {
  const seen: string[] = [];
  const { outcome } = await visit({ ...ann(password), onBanner: (text) => seen.push(text) }, [
    ACCEPT,
    banner("one\r\n\x1b]0;title\x07\n"),
    failure(["password"]),
    banner("two\u202e"),
    SUCCESS,
  ]);
  assert.ok(!(outcome instanceof Error));
  assert.deepEqual(seen, ["one\n\\u{1b}]0;title\\u{7}\n", "two\\u{202e}"]);
});

Deno.test("endless banners and endless questions end", async () => {
  const banners = await visit(ann(), [ACCEPT, ...Array.from({ length: MAX_BANNERS + 1 }, () => banner("x"))]);
  assert.equal((banners.outcome as SshError).code, "limit");
  let rounds = 0;
  const answer = () => (rounds++, ["x"]);
  const questions = await visit(ann({ method: "keyboard-interactive", answer }), [
    ACCEPT,
    failure(["keyboard-interactive"]),
    ...Array.from({ length: MAX_ROUNDS + 1 }, () => PROMPT),
  ]);
  assert.equal((questions.outcome as SshError).code, "limit");
  assert.equal(rounds, MAX_ROUNDS);
});

Deno.test("the server's questions are printable", async () => {
  const seen: unknown[] = [];
  await visit(
    ann({ method: "keyboard-interactive", answer: (challenge) => (seen.push(challenge), undefined) }),
    [ACCEPT, failure(["keyboard-interactive"]), PROMPT],
  );
  assert.deepEqual(seen, [{
    name: "N\\u{1b}",
    instruction: "I\\u{202e}\nII",
    prompts: [{ text: "P\\u{7}: ", echo: false }],
  }]);
});

Deno.test("who gives up answering goes on with the next method", async () => {
  const { outcome, sent } = await visit(
    ann({ method: "keyboard-interactive", answer: () => undefined }, password),
    [ACCEPT, failure(["password", "keyboard-interactive"]), PROMPT, SUCCESS],
  );
  assert.ok(!(outcome instanceof Error));
  assert.deepEqual(outcome.methods, ["password"]);
  assert.deepEqual(methodsAsked(sent), ["none", "keyboard-interactive", "password"]);
});

Deno.test("the wrong number of answers is the caller's mistake", async () => {
  const { outcome } = await visit(ann({ method: "keyboard-interactive", answer: () => ["a", "b"] }), [
    ACCEPT,
    failure(["keyboard-interactive"]),
    PROMPT,
  ]);
  assert.ok(outcome instanceof TypeError);
});

Deno.test("a server that wants a new password gets none, and the error says so", async () => {
  const { outcome, sent } = await visit(ann(password), [ACCEPT, failure(["password"]), CHANGE]);
  assert.ok(outcome instanceof AuthenticationError);
  assert.match(
    outcome.message,
    /the server wants a new password \("expired\\u\{7\}"\), which must be set elsewhere/,
  );
  assert.deepEqual(methodsAsked(sent), ["none", "password"]);
  const goesOn = await visit(ann(password, keys), [
    ACCEPT,
    failure(["password", "publickey"]),
    CHANGE,
    failure([]),
  ]);
  assert.equal(methodsAsked(goesOn.sent).length, 3);
});

Deno.test("no password is sent where none is asked for, and none is in the error", async () => {
  const { outcome, sent } = await visit(ann(password), [ACCEPT, failure(["publickey"])]);
  assert.deepEqual(methodsAsked(sent), ["none"]);
  assert.equal(
    (outcome as Error).message,
    'the server does not let "ann" in; tried: nothing that it takes; it accepts: publickey',
  );
  const wrong = await visit(ann(password), [ACCEPT, failure(["password"]), failure(["password"])]);
  assert.doesNotMatch((wrong.outcome as Error).message, /secret/);
});

Deno.test("what the server calls its methods does not reach a terminal as it is", async () => {
  const { outcome } = await visit(ann(), [ACCEPT, failure(["\x1b[2Jpwned"])]);
  assert.ok((outcome as Error).message.endsWith("it accepts: \\u{1b}[2Jpwned"));
});

Deno.test("a server that says partial success for ever is given each credential once", async () => {
  const endless = Array.from({ length: 50 }, () => failure(["password", "publickey"], true));
  const { outcome, sent } = await visit(ann(password, { ...keys, ask: false }), [ACCEPT, ...endless]);
  assert.ok(outcome instanceof AuthenticationError);
  assert.deepEqual(methodsAsked(sent), ["none", "password", "publickey"]);
});

Deno.test("the signal ends waiting for the server and for a person, with its reason", async () => {
  const reason = new Error("changed my mind");
  const early = await visit({ ...ann(password), signal: AbortSignal.abort(reason) }, [ACCEPT]);
  assert.equal(early.outcome, reason);
  const controller = new AbortController();
  const hanging = () => {
    queueMicrotask(() => controller.abort(reason));
    return new Promise<string>(() => {});
  };
  const config = { ...ann({ method: "password", password: hanging }), signal: controller.signal };
  assert.equal((await visit(config, [ACCEPT, failure(["password"])])).outcome, reason);
});

Deno.test("a signer's or a prompt's error is the caller's", async () => {
  const error = new Error("the agent is locked");
  const broken = { publicKey: signer.publicKey, sign: () => Promise.reject(error) };
  const { outcome } = await visit(ann({ method: "publickey", signers: [broken] }), [
    ACCEPT,
    failure(["publickey"]),
  ]);
  assert.equal(outcome, error);
});
