import assert from "node:assert/strict";
import { piecesOf, tokenCredentials } from "../../src/agent/token_login.ts";
import { nodeCrypto } from "../../src/deno/crypto_node.ts";
import { generatePrivateKey } from "../../src/keys/private_key.ts";
import type { ServerAuth } from "../../src/ssh/auth/server/types.ts";
import { connectSsh } from "../../src/ssh/client.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import { duplexPair } from "../../src/streams/pair.ts";

const hostKey = await generatePrivateKey("ssh-ed25519");

/** Logs in with `token`; resolves to the method that let it in. */
async function logIn(token: string, auth: ServerAuth<string>): Promise<string | undefined> {
  const [near, far] = duplexPair();
  const serving = acceptSsh(far, {
    crypto: nodeCrypto,
    hostKeys: [hostKey],
    auth: { failureQuantum: 0, ...auth },
  });
  serving.catch(() => {});
  try {
    const connection = await connectSsh(near, {
      crypto: nodeCrypto,
      verifyHostKey: () => true,
      auth: { user: "agent", credentials: tokenCredentials(token) },
    });
    connection.close();
    await connection.gone;
    await (await serving).closed;
    return connection.authenticated.methods.at(-1);
  } catch {
    return undefined;
  }
}

/** Takes `token` as a password of at most `longest` characters, or in pieces. */
function server(token: string, longest = Infinity) {
  const seen: string[] = [];
  const verdict = (answer: string) =>
    answer === token ? { result: "accepted" as const, identity: "agent" } : { result: "refused" as const };
  const auth: ServerAuth<string> = {
    password: ({ password }) => {
      seen.push(`password of ${password.length}`);
      return verdict(password.slice(0, longest));
    },
    keyboardInteractive: async ({ prompt }) => {
      let whole = "";
      for (let text = "Token, or its first part ending in +: ";; text = "Next part: ") {
        const [part] = await prompt({ prompts: [{ text, echo: false }] });
        seen.push(`part of ${part.length}`);
        whole += part.replace(/\+$/, "");
        if (!part.endsWith("+")) return verdict(whole);
      }
    },
  };
  return { auth, seen };
}

Deno.test("a token is a password, however long", async () => {
  for (const length of [10, 1023, 1024, 9000]) {
    const token = "t".repeat(length);
    const { auth, seen } = server(token);
    assert.equal(await logIn(token, auth), "password");
    assert.deepEqual(seen, [`password of ${length}`]);
  }
});

Deno.test("a long token that a server cut goes in pieces, none over 1023 bytes", async () => {
  const token = "t".repeat(2500);
  const { auth, seen } = server(token, 1023);
  assert.equal(await logIn(token, auth), "keyboard-interactive");
  assert.deepEqual(seen, ["password of 2500", "part of 1001", "part of 1001", "part of 500"]);
});

Deno.test("where there is no password the questions are answered, for short tokens as well", async () => {
  const { auth, seen } = server("short");
  assert.equal(
    await logIn("short", { keyboardInteractive: auth.keyboardInteractive }),
    "keyboard-interactive",
  );
  assert.deepEqual(seen, ["part of 5"]);
});

Deno.test("a short token that was refused is not sent a second time", async () => {
  const { auth, seen } = server("another");
  assert.equal(await logIn("short", auth), undefined);
  assert.deepEqual(seen, ["password of 5"]);
});

for (const text of ["Password: ", "Verification code: ", "token please", "Next part: ", ""]) {
  Deno.test(`the question '${text}' is nobody's who asks for a token: it gets none`, async () => {
    const answers: (readonly string[])[] = [];
    const keyboardInteractive: ServerAuth<string>["keyboardInteractive"] = async ({ prompt }) => {
      answers.push(await prompt({ prompts: [{ text, echo: false }] }));
      return { result: "refused" };
    };
    assert.equal(await logIn("secret", { keyboardInteractive }), undefined);
    assert.deepEqual(answers, []);
  });
}

Deno.test("two questions at once are not the gateway's", async () => {
  const prompt = { text: "Token: ", echo: false };
  let answered = false;
  await logIn("secret", {
    keyboardInteractive: async ({ prompt: ask }) => {
      await ask({ prompts: [prompt, prompt] });
      answered = true;
      return { result: "refused" };
    },
  });
  assert.equal(answered, false);
});

Deno.test("pieces joined are the token, and all but the last end in +", () => {
  for (const length of [1, 999, 1000, 1001, 2000, 4321]) {
    const token = Array.from({ length }, (_, at) => String.fromCharCode(97 + at % 26)).join("");
    const pieces = piecesOf(token);
    assert.equal(pieces.map((piece) => piece.replace(/\+$/, "")).join(""), token);
    assert.ok(pieces.every((piece, at) => piece.endsWith("+") === (at < pieces.length - 1)));
    assert.ok(pieces.every((piece) => piece.length <= 1023));
  }
});
