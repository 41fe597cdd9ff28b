/** Node's requests and responses as the web platform's. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { concat } from "../bytes/bytes.ts";
import type { Bytes } from "../bytes/bytes.ts";

/**
 * All of a request's body.
 * @param limit in bytes
 * @returns undefined when there is more
 * @throws when the client goes away or is cut off
 */
export async function readBody(incoming: IncomingMessage, limit: number): Promise<Bytes | undefined> {
  if (Number(incoming.headers["content-length"] ?? 0) > limit) return undefined;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of incoming) {
    length += chunk.length;
    if (length > limit) return undefined;
    chunks.push(chunk);
  }
  return concat(...chunks);
}

/** The request as `fetch` knows it. `signal` aborts when the client has gone. */
export function toRequest(incoming: IncomingMessage, url: URL, body: Bytes, signal: AbortSignal): Request {
  const headers = new Headers();
  const { rawHeaders, method } = incoming;
  for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at], rawHeaders[at + 1]);
  const hasBody = body.length > 0 && method !== "GET" && method !== "HEAD";
  return new Request(url, { method, headers, signal, ...(hasBody && { body }) });
}

/**
 * Sends `response`, its body chunk by chunk as the client takes it.
 * @param options.headOnly no body: the request was HEAD
 * @param options.last tell the client that no further request is taken
 * @param options.stall milliseconds that the client may take nothing
 * @throws when the client goes away or takes nothing for too long, or the body fails
 */
export async function sendResponse(
  outgoing: ServerResponse,
  response: Response,
  options: { readonly headOnly: boolean; readonly last: boolean; readonly stall: number },
): Promise<void> {
  for (const [name, value] of response.headers) {
    if (!HOP_BY_HOP.has(name)) outgoing.appendHeader(name, value);
  }
  if (options.last) outgoing.setHeader("connection", "close");
  outgoing.writeHead(response.status);
  const body = options.headOnly ? null : response.body;
  if (!body) await response.body?.cancel();
  for await (const chunk of body ?? []) {
    if (!outgoing.write(chunk)) await drained(outgoing, options.stall);
  }
  await finished(outgoing, options.stall);
}

/** Of one connection (RFC 9110 §7.6.1): not a handler's to say. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "trailer"]);

function drained(outgoing: ServerResponse, stall: number): Promise<void> {
  return settles(outgoing, stall, (done) => {
    outgoing.once("drain", done);
    return () => outgoing.off("drain", done);
  });
}

function finished(outgoing: ServerResponse, stall: number): Promise<void> {
  return settles(outgoing, stall, (done) => {
    outgoing.end(done);
    return () => {};
  });
}

/** Waits for what `begin` starts, until the client goes or `stall` milliseconds have passed. */
function settles(
  outgoing: ServerResponse,
  stall: number,
  begin: (done: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (how: () => void) => {
      clearTimeout(timer);
      outgoing.off("close", gone);
      forget();
      how();
    };
    const gone = () => settle(() => reject(new Error("the client has gone")));
    const timer = setTimeout(
      () => settle(() => reject(new Error(`the client took nothing for ${stall} ms`))),
      stall,
    );
    outgoing.once("close", gone);
    const forget = begin(() => settle(resolve));
    if (outgoing.destroyed) gone();
  });
}
