/** HTTPS to other servers, with roots and a credential of one's own. */
import type { TlsIdentity } from "./web.ts";

export interface HttpsClientOptions {
  /** PEM of the roots that servers are trusted by, asked for each connection. Undefined: those of the system. */
  readonly roots: () => readonly string[] | undefined;
  /** What the client proves itself with, asked for each connection. */
  readonly identity?: () => TlsIdentity | undefined;
  /**
   * True: the server is whoever answers. Only for what is checked by other means before it is used; nothing secret may
   * be sent.
   */
  readonly unverified?: boolean;
  /** Bytes of an answer: more is an error. */
  readonly maxAnswer: number;
}

export interface HttpsRequest {
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** Sends requests over connections that it keeps. Redirects are answers like any other: they are not followed. */
export interface HttpsClient {
  /** @param url `https:` @throws {NetError} the connection, TLS or the answer failed; the signal's reason */
  fetch(url: string, request: HttpsRequest): Promise<Response>;
  /** Ends its connections. */
  close(): void;
}

/** Makes clients. */
export type Https = (options: HttpsClientOptions) => HttpsClient;
