/** `/api/v1/join-tokens` and `/api/v1/join`: machines that have no identity at all. */
import { z } from "zod";
import { joinAnswer, joinRequest } from "../ca/messages.ts";
import { readDuration } from "./body.ts";
import { describeX509, readCsr } from "./certificates.ts";
import { type ApiOptions, JoinError, type JoinToken } from "./options.ts";
import { requireRight } from "./permission.ts";
import { Problem } from "./problem.ts";
import { type Call, json, type Route, route } from "./route.ts";

const joinToken = z.strictObject({
  id: z.string(),
  name: z.string().describe("The full name that it gives."),
  expires: z.iso.datetime(),
  used: z.iso.datetime().optional(),
});

const joinTokenRequest = z.strictObject({
  name: z.string().min(1).max(253).describe("What the machine will be called: a label, or a full name."),
  ttl: z.union([z.string(), z.int().positive()]).optional()
    .describe("How long it may be used: '1h', or a number of seconds. Default an hour."),
});

const newJoinToken = z.strictObject({
  ...joinToken.shape,
  token: z.string().describe("Shown this once: only its digest is kept."),
});

export function joiningRoutes(options: ApiOptions): Route[] {
  const { joinTokens, joining } = options;
  return [
    ...(joinTokens ? tokenRoutes(options, joinTokens) : []),
    ...(joining ? [joinRoute(options, joining)] : []),
  ];
}

function tokenRoutes(options: ApiOptions, tokens: NonNullable<ApiOptions["joinTokens"]>): Route[] {
  return [
    route({
      method: "GET",
      path: "/api/v1/join-tokens",
      operation: "listJoinTokens",
      summary: "One-time tokens for machines with no identity, used ones too (needs the right 'admin')",
      access: "identified",
      answers: {
        200: { description: "All of them", schema: z.strictObject({ join_tokens: z.array(joinToken) }) },
      },
      async handle(call) {
        requireRight(options, call, "admin");
        return json({ join_tokens: (await tokens.list()).map(describe) });
      },
    }),
    route<z.infer<typeof joinTokenRequest>>({
      method: "POST",
      path: "/api/v1/join-tokens",
      operation: "createJoinToken",
      summary: "Make a one-time token (needs the right 'admin')",
      access: "identified",
      body: joinTokenRequest,
      answers: { 201: { description: "The token", schema: newJoinToken } },
      problems: ["conflict"],
      async handle(call) {
        requireRight(options, call, "admin");
        const { identity, remote, body: { name, ttl } } = call;
        const lifetime = ttl === undefined ? {} : { lifetime: readDuration("ttl", ttl) };
        const made = await tokens.create({ name, ...lifetime }, { identity, remote });
        return json({ ...describe(made), token: made.token }, { status: 201 });
      },
    }),
    route({
      method: "DELETE",
      path: "/api/v1/join-tokens/{id}",
      operation: "removeJoinToken",
      summary: "Take back a token and whatever was enrolled with it (needs the right 'admin')",
      access: "identified",
      answers: { 204: { description: "It counts no more" } },
      async handle(call) {
        requireRight(options, call, "admin");
        const { identity, remote, parameters: { id } } = call;
        if (!await tokens.remove(id, { identity, remote })) {
          throw new Problem("not-found", "there is no join token with this id");
        }
        return new Response(null, { status: 204 });
      },
    }),
  ];
}

function joinRoute(options: ApiOptions, joining: NonNullable<ApiOptions["joining"]>): Route {
  return route<z.infer<typeof joinRequest>>({
    method: "POST",
    path: "/api/v1/join",
    operation: "join",
    summary: "Spend a join token: enrol a key, and get a client certificate for it",
    access: "join-token",
    body: joinRequest,
    answers: { 200: { description: "The certificate, and those above it", schema: joinAnswer } },
    problems: ["certificate-refused", "conflict"],
    async handle({ bearer, body, remote }: Call<z.infer<typeof joinRequest>>) {
      try {
        const { identity, issued } = await joining.join(bearer!, readCsr(body.csr), remote);
        options.audit.record("auth.accepted", { method: "join-token" }, { actor: identity, remote });
        return json({ name: identity.name, ...describeX509(issued) });
      } catch (error) {
        if (error instanceof JoinError && error.code === "token") {
          options.audit.record("auth.refused", { method: "join-token", reason: error.message }, { remote });
        }
        throw error;
      }
    },
  });
}

function describe({ id, name, expiresAt, usedAt }: JoinToken): z.infer<typeof joinToken> {
  return {
    id,
    name,
    expires: new Date(expiresAt).toISOString(),
    ...(usedAt !== undefined && { used: new Date(usedAt).toISOString() }),
  };
}
