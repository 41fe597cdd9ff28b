/** Requests to the API of another authority: time limits, retries, and what its problems mean here. */
import { z } from "zod";
import { printable } from "../bytes/printable.ts";
import type { Clock } from "../platform/clock.ts";
import type { HttpsClient } from "../platform/https.ts";
import { CaError } from "./types.ts";

/** Milliseconds for one attempt. */
const ATTEMPT_TIMEOUT = 5_000;
/** Milliseconds before each further attempt. Whoever asked is waiting: there are few. */
const PAUSES: readonly number[] = [250, 1000];

/** Answers that another attempt may turn out otherwise (RFC 9110 §15.6). */
const AGAIN: ReadonlySet<number> = new Set([502, 503, 504]);

const PROBLEM_PREFIX = "urn:ssh-mesh:problem:";
const problem = z.looseObject({ type: z.string(), detail: z.string() });

export interface LinkOptions {
  /** `https://ca.example.com:15443`, without a path. */
  readonly url: string;
  readonly clock: Clock;
  /** For what anyone may ask. It has no credential: one that has expired would get no answer at all. */
  readonly anyone: Pick<HttpsClient, "fetch">;
  /** For all else: it proves who asks. */
  readonly self: Pick<HttpsClient, "fetch">;
}

export interface LinkRequest {
  readonly as: "anyone" | "self";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One authority elsewhere. */
export class AuthorityLink {
  readonly #options: LinkOptions;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get url(): string {
    return this.#options.url;
  }

  /**
   * Sends a request, again where it could not be delivered. A certificate that is made twice because an answer was lost is
   * one that nobody has.
   * @returns an answer with a status below 400
   * @throws {CaError} `refused` and `invalid` as the authority says; `unavailable` for all else
   */
  async send(path: string, request: LinkRequest): Promise<Response> {
    for (const pause of PAUSES) {
      const answer = await this.#attempt(path, request);
      if (answer instanceof Response && !AGAIN.has(answer.status)) return await accept(this.url, answer);
      await this.#options.clock.sleep(pause);
    }
    return await this.once(path, request);
  }

  /** As {@link send}, without a second attempt: for whoever asks again anyway. */
  async once(path: string, request: LinkRequest): Promise<Response> {
    const answer = await this.#attempt(path, request);
    if (answer instanceof Response) return await accept(this.url, answer);
    const why = answer instanceof Error ? answer.message : String(answer);
    throw new CaError("unavailable", `the authority at ${this.url} cannot be reached: ${why}`, {
      cause: answer,
    });
  }

  /** The answer, or why there is none. */
  async #attempt(path: string, { as, body, headers }: LinkRequest): Promise<unknown> {
    const { clock, url } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(ATTEMPT_TIMEOUT, () => late.abort(new Error("it does not answer")));
    try {
      return await this.#options[as].fetch(url + path, {
        method: body === undefined ? "GET" : "POST",
        headers: { ...headers, ...(body !== undefined && { "content-type": "application/json" }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: late.signal,
      });
    } catch (error) {
      return error ?? new Error("it failed");
    } finally {
      cancel();
    }
  }
}

/** @throws {CaError} for what is no success */
async function accept(url: string, answer: Response): Promise<Response> {
  if (answer.status < 300 || answer.status === 304) return answer;
  const { kind, detail } = await readProblem(answer);
  if (kind === "certificate-refused") throw new CaError("refused", detail);
  if (kind === "malformed-request" || kind === "too-large") throw new CaError("invalid", detail);
  throw new CaError("unavailable", `the authority at ${url} does not accept this gateway: ${detail}`);
}

async function readProblem(answer: Response): Promise<{ readonly kind?: string; readonly detail: string }> {
  const text = await answer.text();
  try {
    const { type, detail } = problem.parse(JSON.parse(text));
    if (type.startsWith(PROBLEM_PREFIX)) {
      return { kind: type.slice(PROBLEM_PREFIX.length), detail: printable(detail) };
    }
  } catch {
    // Something else stands where the authority should be, or in between.
  }
  return { detail: `${answer.status} ${printable(text.split("\n", 1)[0])}` };
}

/** The JSON of an answer, as `schema` has it. @throws {CaError} `unavailable` */
export async function readAnswer<T>(link: AuthorityLink, answer: Response, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse(await answer.json());
  } catch (cause) {
    throw new CaError("unavailable", `the authority at ${link.url} gives an answer that is not understood`, {
      cause,
    });
  }
}
