/** The OpenAPI 3.1 document of the API, made from its routes. */
import { z } from "zod";
import { PROBLEM_MEDIA_TYPE, type ProblemKind, problemKinds } from "./problem.ts";
import { type Access, type Answer, json, type Route, route } from "./route.ts";

const PATH = "/api/v1/openapi.json";

/** What an answer of RFC 9457 holds. */
export const problemAnswer = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
});

const ANYWHERE: readonly ProblemKind[] = ["misdirected", "failed", "unavailable"];
const OF_ACCESS: Readonly<Record<Access, readonly ProblemKind[]>> = {
  anyone: [],
  identified: ["unauthenticated", "not-permitted"],
  "join-token": ["unauthenticated"],
};
const OF_BODY: readonly ProblemKind[] = ["malformed-request", "too-large", "unsupported-media-type"];

const SECURITY: Readonly<Record<Access, readonly Record<string, readonly string[]>[]>> = {
  anyone: [],
  identified: [{ bearer: [] }, { certificate: [] }],
  "join-token": [{ joinToken: [] }],
};

/** The document's own route. @param routes the others */
export function openApiRoute(routes: readonly Route[], version: string): Route {
  const self = route({
    method: "GET",
    path: PATH,
    operation: "getOpenApi",
    summary: "This document",
    access: "anyone",
    answers: { 200: { description: "OpenAPI 3.1", schema: z.looseObject({ openapi: z.string() }) } },
    handle: () => json(document),
  });
  const document = openApiDocument([...routes, self], version);
  return self;
}

/** @param version of the program */
export function openApiDocument(routes: readonly Route[], version: string) {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: describe(route) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "ssh-mesh", version },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
        certificate: { type: "mutualTLS" },
        joinToken: { type: "http", scheme: "bearer", bearerFormat: "one-time join token" },
      },
      schemas: { Problem: schemaOf(problemAnswer, "output") },
    },
  };
}

function describe(route: Route): Record<string, unknown> {
  const { operation, summary, access, body, path } = route;
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  return {
    operationId: operation,
    summary,
    security: SECURITY[access],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: { required: true, content: { "application/json": { schema: schemaOf(body, "input") } } },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, describeAnswer(answer)]),
      ),
      ...describeProblems(problemsOf(route)),
    },
  };
}

/** Every kind of problem that `route` may answer with. */
export function problemsOf({ access, body, problems = [], path }: Route): ProblemKind[] {
  const known = path.includes("{") ? ["not-found" as const] : [];
  return [...ANYWHERE, ...OF_ACCESS[access], ...body ? OF_BODY : [], ...known, ...problems];
}

function describeAnswer({ description, schema, mediaType }: Answer): Record<string, unknown> {
  if (schema) {
    return { description, content: { "application/json": { schema: schemaOf(schema, "output") } } };
  }
  return { description, ...(mediaType && { content: { [mediaType]: {} } }) };
}

function describeProblems(kinds: readonly ProblemKind[]): Record<string, unknown> {
  const content = { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } };
  const titles = new Map<number, string[]>();
  for (const kind of kinds) {
    const { status, title } = problemKinds[kind];
    titles.set(status, [...titles.get(status) ?? [], title]);
  }
  return Object.fromEntries(
    [...titles].map(([status, titles]) => [status, { description: titles.join("; "), content }]),
  );
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
