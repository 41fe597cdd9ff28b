/** Bodies of requests: JSON, small, and strict. */
import type { z } from "zod";
import { type Bytes, concat, decodeTextStrictly } from "../bytes/bytes.ts";
import { lifetimeOf } from "../ca/messages.ts";
import { Problem } from "./problem.ts";

/** Bytes of a body: a certificate request with a key of RSA 16384 and a few hundred names fit. */
const MAX_BODY = 64 * 1024;

/**
 * Reads the body as `schema` has it. Unknown keys are an error: what is not understood is not done by half.
 *
 * Only `application/json` is read, which no page of another origin can send without being asked (and nobody is told yes):
 * so a client certificate in a browser is not used by strangers.
 * @throws {Problem} `unsupported-media-type`, `too-large`, `malformed-request` with the path of the mistake
 */
export async function readBody<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  const [mediaType] = (request.headers.get("content-type") ?? "").split(";");
  if (mediaType.trim().toLowerCase() !== "application/json") {
    throw new Problem("unsupported-media-type", "the body must be application/json", {
      accept: "application/json",
    });
  }
  const parsed = schema.safeParse(parseJson(await readBytes(request)));
  if (parsed.success) return parsed.data;
  throw new Problem("malformed-request", mistakeOf(parsed.error.issues[0]));
}

function parseJson(bytes: Bytes): unknown {
  try {
    return JSON.parse(decodeTextStrictly(bytes));
  } catch {
    throw new Problem("malformed-request", "the body is not JSON in UTF-8");
  }
}

async function readBytes(request: Request): Promise<Bytes> {
  const tooLarge = () => new Problem("too-large", `the body may have ${MAX_BODY} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY) throw tooLarge();
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  for (let read = await reader?.read(); read && !read.done; read = await reader!.read()) {
    length += read.value.length;
    if (length > MAX_BODY) {
      await reader!.cancel().catch(() => {});
      throw tooLarge();
    }
    parts.push(read.value);
  }
  return concat(...parts);
}

/** Milliseconds of a duration or a number of seconds under `key`. @throws {Problem} `malformed-request` */
export function readDuration(key: string, value: string | number): number {
  try {
    return lifetimeOf(value);
  } catch (error) {
    throw new Problem("malformed-request", `${key}: ${(error as Error).message}`);
  }
}

/** `on_behalf_of.issuer: must be …` */
function mistakeOf({ path, message, ...issue }: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => [...path, key].map(String).join("."));
    return `${names.join(", ")}: there is no such key`;
  }
  return `${path.length === 0 ? "the body" : path.map(String).join(".")}: ${message}`;
}
