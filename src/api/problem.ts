/** What went wrong, as HTTP answers tell it: problem details (RFC 9457). */

/** Every kind of problem. `type` of an answer is `urn:ssh-mesh:problem:` and the kind. */
export const problemKinds = {
  "malformed-request": { status: 400, title: "The request is not understood" },
  "unauthenticated": { status: 401, title: "A credential is needed" },
  "not-permitted": { status: 403, title: "Not permitted" },
  "certificate-refused": { status: 403, title: "The authority does not give this certificate" },
  "not-found": { status: 404, title: "There is nothing here" },
  "method-not-allowed": { status: 405, title: "The method is not for this resource" },
  "conflict": { status: 409, title: "It cannot be so" },
  "too-large": { status: 413, title: "The request is too large" },
  "unsupported-media-type": { status: 415, title: "The body has another media type" },
  "misdirected": { status: 421, title: "The request is for another host" },
  "failed": { status: 500, title: "Something unexpected went wrong" },
  "unavailable": { status: 503, title: "Not available at the moment" },
} as const;

export type ProblemKind = keyof typeof problemKinds;

const TYPE_PREFIX = "urn:ssh-mesh:problem:";
export const PROBLEM_MEDIA_TYPE = "application/problem+json";

/** Seconds after which a client may try again what was not available. */
const RETRY_AFTER = 2;

/** Thrown wherever a request is answered with a problem. The message is the detail: a sentence for the asker. */
export class Problem extends Error {
  override readonly name = "Problem";
  constructor(
    readonly kind: ProblemKind,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get status(): number {
    return problemKinds[this.kind].status;
  }

  toResponse(): Response {
    const { status, title } = problemKinds[this.kind];
    const body = { type: TYPE_PREFIX + this.kind, title, status, detail: this.message };
    return new Response(JSON.stringify(body), {
      status,
      headers: {
        "content-type": PROBLEM_MEDIA_TYPE,
        ...(status === 401 && { "www-authenticate": "Bearer" }),
        ...(status === 503 && { "retry-after": String(RETRY_AFTER) }),
        ...this.headers,
      },
    });
  }
}
