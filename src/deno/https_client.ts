/** HTTPS by Node's client: Deno's `fetch` has no private roots and client certificates that change while it runs. */
import { Agent, request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import type { Buffer } from "node:buffer";
import { type Bytes, concat } from "../bytes/bytes.ts";
import type { HttpsClient, HttpsClientOptions, HttpsRequest } from "../platform/https.ts";
import { NetError } from "../platform/net.ts";

/** Connections to one server that are kept: requests are few. */
const MAX_IDLE = 2;
/** Milliseconds without a byte after which a connection is given up. */
const SILENCE = 10_000;

export function httpsClient(options: HttpsClientOptions): HttpsClient {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: MAX_IDLE });
  return {
    // A wrong URL or a signal that has fired rejects, and never throws.
    fetch: async (url, request) => await send(agent, options, url, request),
    close: () => agent.destroy(),
  };
}

function send(
  agent: Agent,
  { roots, identity, unverified, maxAnswer }: HttpsClientOptions,
  url: string,
  { method, headers, body, signal }: HttpsRequest,
): Promise<Response> {
  signal?.throwIfAborted();
  const ca = roots();
  const own = identity?.();
  return new Promise((resolve, reject) => {
    const fail = (error: Error & { code?: string }) => {
      reject(
        signal?.aborted
          ? signal.reason
          : new NetError(codeOf(error), sentenceOf(url, error), { cause: error }),
      );
    };
    // Connections are pooled by these options: a new credential makes new ones.
    const outgoing = httpsRequest(url, {
      agent,
      method,
      headers: { ...headers, ...(body !== undefined && { "content-length": new Blob([body]).size }) },
      ...(ca && { ca: [...ca] }),
      ...(own && { cert: own.certificate, key: own.privateKey }),
      rejectUnauthorized: !unverified,
      timeout: SILENCE,
    }, (incoming) => {
      incoming.once("error", fail);
      read(incoming, maxAnswer).then(resolve, fail);
    });
    const abort = () => outgoing.destroy(new Error("given up"));
    signal?.addEventListener("abort", abort, { once: true });
    outgoing.once("close", () => signal?.removeEventListener("abort", abort));
    outgoing.once("timeout", () => outgoing.destroy(new Error("the server says nothing")));
    outgoing.once("error", fail);
    outgoing.end(body);
  });
}

async function read(incoming: IncomingMessage, maxAnswer: number): Promise<Response> {
  const parts: Bytes[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxAnswer) {
      incoming.destroy();
      throw new Error(`the answer has more than ${maxAnswer} bytes`);
    }
    parts.push(new Uint8Array(chunk));
  }
  const headers = new Headers();
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  const status = incoming.statusCode ?? 0;
  const bodiless = status === 204 || status === 304;
  return new Response(bodiless ? null : concat(...parts), { status, headers });
}

const CODES: Readonly<Record<string, NetError["code"]>> = {
  ECONNREFUSED: "refused",
  ENOTFOUND: "not-found",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  ETIMEDOUT: "timeout",
};

function codeOf({ code }: { readonly code?: string }): NetError["code"] {
  return CODES[code ?? ""] ?? "failed";
}

function sentenceOf(url: string, { message, code }: Error & { code?: string }): string {
  const why = message || code || "the connection failed";
  return `${new URL(url).host}: ${why}`;
}
