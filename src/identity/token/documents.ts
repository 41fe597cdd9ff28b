/** Small JSON documents of issuers, fetched with bounds on everything. */
import { concat, decodeTextStrictly } from "../../bytes/bytes.ts";
import { isLoopback } from "../../bytes/ip_range.ts";
import { parseIp } from "../../bytes/ip_address.ts";
import type { Clock } from "../../platform/clock.ts";
import { untilAborted } from "../../streams/until_aborted.ts";

/** Bytes of one document: key sets with certificate chains have some 20 KiB. */
export const MAX_DOCUMENT_SIZE = 512 * 1024;
/** Milliseconds for one document, redirects and body included: a login waits for it. */
export const FETCH_TIMEOUT = 10_000;
/** Redirects within the origin. */
const MAX_REDIRECTS = 3;

/** A document as it came. */
export interface FetchedDocument {
  readonly content: unknown;
  /** `max-age` of its `Cache-Control`, in milliseconds; 0 where that says not to keep it; undefined where it says nothing. */
  readonly maxAge?: number;
}

/** Whether a URL's host is this machine: plain HTTP may be spoken to it. */
export function isLoopbackHost({ hostname }: URL): boolean {
  const address = parseIp(hostname.replace(/^\[(.*)\]$/, "$1"));
  return address ? isLoopback(address) : hostname === "localhost" || hostname.endsWith(".localhost");
}

/** Whether nobody on the way can change what is fetched from it. */
export function isSafeUrl(url: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopbackHost(url));
}

/**
 * Fetches JSON from `url`, which {@link isSafeUrl}. Redirects are followed within its origin.
 * @throws {DocumentError}
 */
export async function fetchDocument(
  url: URL,
  fetch: typeof globalThis.fetch,
  clock: Clock,
): Promise<FetchedDocument> {
  const timeout = new AbortController();
  const cancel = clock.after(FETCH_TIMEOUT, () => {
    timeout.abort(new DocumentError(`${url} did not answer within ${FETCH_TIMEOUT / 1000} s`));
  });
  try {
    const response = await follow(url, fetch, timeout.signal);
    const text = decodeTextStrictly(await boundedBody(response, url, timeout.signal));
    return { content: JSON.parse(text), maxAge: maxAgeOf(response.headers.get("cache-control")) };
  } catch (error) {
    if (timeout.signal.aborted) throw timeout.signal.reason;
    if (error instanceof DocumentError) throw error;
    if (error instanceof SyntaxError) throw new DocumentError(`${url} gave no JSON`);
    throw new DocumentError(`${url} cannot be fetched: ${(error as Error).message}`, { cause: error });
  } finally {
    cancel();
  }
}

/** A document that cannot be had or is not what it should be, with a sentence for the log. */
export class DocumentError extends Error {
  override readonly name = "DocumentError";
}

async function follow(start: URL, fetch: typeof globalThis.fetch, signal: AbortSignal): Promise<Response> {
  let url = start;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const init: RequestInit = { redirect: "manual", signal, headers: { accept: "application/json" } };
    // Not every fetch and body heeds its signal while it waits.
    const response = await untilAborted(fetch(url.href, init), signal);
    if (response.status === 200) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
      throw new DocumentError(`${url} answered with status ${response.status}`);
    }
    const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
    // An open redirect of an issuer must not choose who gives its keys.
    if (next?.origin !== start.origin) throw new DocumentError(`${url} redirects to another origin`);
    url = next;
  }
  throw new DocumentError(`${start} redirects more than ${MAX_REDIRECTS} times`);
}

async function boundedBody(response: Response, url: URL, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  if (!response.body) return concat();
  const reader = response.body.getReader();
  try {
    for (let size = 0;;) {
      const { done, value } = await untilAborted(reader.read(), signal);
      if (done) return concat(...chunks);
      size += value.length;
      if (size > MAX_DOCUMENT_SIZE) {
        throw new DocumentError(`${url} gives more than ${MAX_DOCUMENT_SIZE} bytes`);
      }
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  }
}

/** RFC 9111 §5.2.2. */
function maxAgeOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/\bno-(store|cache)\b/i.test(header)) return 0;
  const match = /(?:^|[,\s])max-age="?(\d{1,10})/i.exec(header);
  return match ? Number(match[1]) * 1000 : undefined;
}
