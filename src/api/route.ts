/** One resource and method of the API: what the handler, the OpenAPI document and the tests are made from. */
import type { z } from "zod";
import type { Identity } from "../identity/principal.ts";
import type { DecisionContext } from "../identity/policy/mod.ts";
import type { ProblemKind } from "./problem.ts";

/** What one answer holds. */
export interface Answer {
  readonly description: string;
  /** Of a JSON answer. */
  readonly schema?: z.ZodType;
  /** Media type of an answer that is not JSON. */
  readonly mediaType?: string;
}

/** One request that has passed whatever its route asks for. */
export interface Call<Body = unknown> {
  readonly request: Request;
  /** `anonymous` on routes for anyone. */
  readonly identity: Identity;
  readonly body: Body;
  /** Of the path. */
  readonly parameters: Readonly<Record<string, string>>;
  /** `10.0.0.7:40100` */
  readonly remote: string;
  readonly context: DecisionContext;
  /** Token of an `Authorization: Bearer` header, on routes for bearers of join tokens. */
  readonly bearer?: string;
}

/**
 * Whom a route lets in: anyone, whose credentials are then not even looked at; whoever has proved an identity; bearers of
 * a join token.
 */
export type Access = "anyone" | "identified" | "join-token";

export interface Route<Body = unknown> {
  readonly method: "GET" | "POST" | "DELETE";
  /** As OpenAPI writes it: `/api/v1/join-tokens/{id}`. */
  readonly path: string;
  /** Names the operation. */
  readonly operation: string;
  readonly summary: string;
  readonly access: Access;
  readonly body?: z.ZodType<Body>;
  /** Successful answers by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Problems beyond those that every route may answer with. */
  readonly problems?: readonly ProblemKind[];
  /** @throws {Problem} @throws {CaError} */
  readonly handle: (call: Call<Body>) => Response | Promise<Response>;
}

/** Lets a route's body have its type where it is written, and none in the table. */
export function route<Body>(definition: Route<Body>): Route {
  return definition as unknown as Route;
}

/** A JSON answer. */
export function json(value: unknown, init: ResponseInit = {}): Response {
  const headers = new Headers(init.headers);
  headers.set("content-type", "application/json");
  return new Response(JSON.stringify(value), { ...init, headers });
}

/** What changes seldom and is asked for often: answered with 304 to who has it already (RFC 9110 §13.1.2). */
export function cached(request: Request, etag: string, make: () => Response): Response {
  const known = (request.headers.get("if-none-match") ?? "").split(",").map((tag) =>
    tag.trim().replace(/^W\//, "")
  );
  const response = known.includes(etag) ? new Response(null, { status: 304 }) : make();
  response.headers.set("etag", etag);
  response.headers.set("cache-control", "no-cache");
  return response;
}
