/** Tokens of Google's metadata server, which every machine there has: the `--token-metadata` flag. */
import { type Bytes, concat, decodeText } from "../bytes/bytes.ts";
import { MAX_TOKEN_LENGTH } from "../mesh/token_words.ts";
import type { Clock } from "../platform/clock.ts";
import { AgentError } from "./exit_codes.ts";
import { requireToken, type TokenSource } from "./token_source.ts";

/** The address, not the name: a name could be answered by somebody else. */
export const METADATA_HOST = "169.254.169.254";

const PATH = "/computeMetadata/v1/instance/service-accounts/default/identity";

/** The server is on the same machine, or nearly; while that boots it may take a moment. In milliseconds. */
const METADATA_TIMEOUT_MS = 10_000;

/** What tells it from any other web server, in requests and answers. */
const FLAVOR = "Metadata-Flavor";

/** The part of `fetch` that is used. */
export type Fetch = (
  url: string,
  init: {
    readonly headers: Readonly<Record<string, string>>;
    readonly redirect: "error";
    readonly signal: AbortSignal;
  },
) => Promise<Response>;

/** @param host host of the server, with a port where it is not 80 */
export function tokenMetadata(host: string, clock: Clock, fetch: Fetch = globalThis.fetch): TokenSource {
  const label = `--token-metadata (${host})`;
  return {
    label,
    async read(audience, signal) {
      const late = new AbortController();
      const cancel = clock.after(METADATA_TIMEOUT_MS, () => late.abort(new Error("no answer in time")));
      const url = `http://${host}${PATH}?audience=${encodeURIComponent(audience)}&format=full`;
      try {
        const response = await fetch(url, {
          headers: { [FLAVOR]: "Google" },
          redirect: "error",
          signal: AbortSignal.any([signal, late.signal]),
        });
        return requireToken(await readToken(response, label), label);
      } catch (cause) {
        signal.throwIfAborted();
        if (cause instanceof AgentError) throw cause;
        const why = late.signal.aborted ? "no answer in time" : sentenceOf(cause);
        throw new Error(`${label} gives no token: ${why}`, { cause });
      } finally {
        cancel();
      }
    },
  };
}

async function readToken(response: Response, label: string): Promise<string> {
  const { body, headers, status } = response;
  try {
    // Somebody else's server, or a proxy in between: what it says is no token of this machine.
    if (headers.get(FLAVOR) !== "Google") {
      throw new AgentError("credential", `${label} is no metadata server: its answer has no ${FLAVOR}`);
    }
    if (status === 404) {
      throw new AgentError("credential", `${label}: this machine has no service account (404)`);
    }
    if (status !== 200) throw new Error(`it answers with status ${status}`);
    const chunks: Bytes[] = [];
    let length = 0;
    for await (const chunk of body ?? []) {
      length += chunk.length;
      if (length > MAX_TOKEN_LENGTH) break;
      chunks.push(chunk as Bytes);
    }
    return length > MAX_TOKEN_LENGTH ? "x".repeat(length) : decodeText(concat(...chunks));
  } finally {
    if (body && !body.locked) await body.cancel().catch(() => {});
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
