/** What somebody on the way learns from the length of what is sent while a user logs in. */
import assert from "node:assert/strict";
import type { Credential } from "../../../src/ssh/auth/client/types.ts";
import { connectPair } from "../handshake.ts";

/** Bytes that a client sends to log in with a secret of `length` letters. */
async function sentWith(credential: (secret: string) => Credential, length: number): Promise<number> {
  let sent = 0;
  const accepted = { result: "accepted", identity: "ann" } as const;
  await using _ = await connectPair({
    client: { auth: { user: "ann", credentials: [credential("x".repeat(length))] } },
    server: {
      auth: {
        password: () => accepted,
        keyboardInteractive: async ({ prompt }) => {
          await prompt({ prompts: [{ text: "Password: ", echo: false }] });
          return accepted;
        },
      },
    },
    aroundClient: (duplex) => {
      const write = duplex.write.bind(duplex);
      duplex.write = (from) => {
        sent += from.length;
        return write(from);
      };
      return duplex;
    },
  });
  return sent;
}

const credentials: Record<string, (secret: string) => Credential> = {
  "password": (password) => ({ method: "password", password }),
  "keyboard-interactive": (secret) => ({ method: "keyboard-interactive", answer: () => [secret] }),
};

for (const [method, credential] of Object.entries(credentials)) {
  Deno.test(`${method}: secrets of nearly the same length cannot be told apart`, async () => {
    const sizes = new Set<number>();
    for (let length = 0; length <= 60; length += 4) sizes.add(await sentWith(credential, length));
    const [short, long = short] = [...sizes].sort((a, b) => a - b);
    // Where a boundary lies between them there are two sizes, never more.
    assert.ok(sizes.size <= 2, [...sizes].join(" "));
    assert.equal((long - short) % 64, 0);
  });
}
