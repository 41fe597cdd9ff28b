/** An SSH server that asks whoever comes for a token, in the gateway's words or others, and writes down what it is told. */
import { chooseCrypto } from "../../src/deno/crypto.ts";
import { denoNet } from "../../src/deno/net.ts";
import { acceptSsh } from "../../src/ssh/server.ts";
import type { KeyFile } from "./keygen.ts";
import { readSigner } from "./library_server.ts";

/** The gateway's questions. */
export const FIRST = "Token, or its first part ending in +: ";
export const NEXT = "Next part: ";

/** Loaded outside any test: see library_server.ts. */
const systemCrypto = (await chooseCrypto()).provider;

/** What it was told. It lets nobody in. */
export interface AskingServer extends AsyncDisposable {
  readonly port: number;
  /** Answers to its questions, each with its parts joined. */
  readonly given: readonly string[];
  /** By the method password. */
  readonly passwords: readonly string[];
}

/** Starts one on a free port of 127.0.0.1. @param words its questions; those of the gateway unless told otherwise */
export async function startAskingServer(
  hostKey: KeyFile,
  words: { readonly first: string; readonly next: string } = { first: FIRST, next: NEXT },
): Promise<AskingServer> {
  const listener = await denoNet.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const given: string[] = [];
  const passwords: string[] = [];
  const life = new AbortController();
  const open = new Set<Promise<unknown>>();
  const serve = async (duplex: Parameters<typeof acceptSsh>[0]) => {
    const connection = await acceptSsh<string>(duplex, {
      crypto: systemCrypto,
      hostKeys: [await readSigner(hostKey)],
      signal: life.signal,
      auth: {
        password: ({ password }) => {
          passwords.push(password);
          return { result: "refused" };
        },
        keyboardInteractive: async ({ prompt }) => {
          let token = "";
          for (let text = words.first;; text = words.next) {
            const [answer] = await prompt({ prompts: [{ text, echo: false }] });
            if (!answer.endsWith("+")) {
              given.push(token + answer);
              return { result: "refused" };
            }
            token += answer.slice(0, -1);
          }
        },
      },
    });
    await connection.closed;
  };
  const accepting = (async () => {
    for await (const duplex of listener) {
      const served = serve(duplex).catch(() => {}).finally(() => open.delete(served));
      open.add(served);
    }
  })();
  return {
    port: listener.address.transport === "tcp" ? listener.address.port : 0,
    given,
    passwords,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      life.abort(new Error("the test is over"));
      await Promise.all(open);
    },
  };
}
