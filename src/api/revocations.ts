/** `/api/v1/revocations` and `…/withdrawals`: what counts no more. */
import type { z } from "zod";
import {
  decodeRevocation,
  encodeRecord,
  revocationRequest,
  revocationsAnswer,
  withdrawalRequest,
} from "../ca/messages.ts";
import { bearerFrom, revocationFor, revocationFrom } from "./asserted.ts";
import type { ApiOptions } from "./options.ts";
import { requireRight } from "./permission.ts";
import { type Call, json, type Route, route } from "./route.ts";

export function revocationRoutes(options: ApiOptions): Route[] {
  return [
    route({
      method: "GET",
      path: "/api/v1/revocations",
      operation: "listRevocations",
      summary: "What is revoked, by whom and why (needs the right 'admin', 'audit' or 'assert')",
      access: "identified",
      answers: { 200: { description: "All of it", schema: revocationsAnswer } },
      async handle(call) {
        const { action } = requireRight(options, call, ["assert", "audit", "admin"]);
        const [revoked, records] = await Promise.all([options.authority.revoked(), options.revocations()]);
        const told = action !== "assert" ? records : records.map((record) => ({
          ...record,
          revocation: revocationFor(record.revocation, call.identity),
        }));
        return json({ revocations: told.map(encodeRecord), x509_serials: [...revoked.x509Serials].sort() });
      },
    }),
    route<z.infer<typeof revocationRequest>>({
      method: "POST",
      path: "/api/v1/revocations",
      operation: "revoke",
      summary: "Let something count no more (needs the right 'admin'; for another, 'assert')",
      access: "identified",
      body: revocationRequest,
      answers: { 204: { description: "It counts no more" } },
      handle: (call) => revoke(options, call),
    }),
    route<z.infer<typeof withdrawalRequest>>({
      method: "POST",
      path: "/api/v1/withdrawals",
      operation: "withdraw",
      summary: "Revoke the certificates that a bearer has, and none that it gets later (as revoke)",
      access: "identified",
      body: withdrawalRequest,
      answers: { 204: { description: "They count no more" } },
      handle: (call) => withdraw(options, call),
    }),
  ];
}

async function revoke(options: ApiOptions, call: Call<z.infer<typeof revocationRequest>>): Promise<Response> {
  const { identity, body: { reason } } = call;
  const revocation = decodeRevocation(call.body.revocation);
  const { by, asserted } = whoTakesBack(options, call);
  await options.authority.revoke(asserted ? revocationFrom(revocation, identity) : revocation, by, reason);
  return new Response(null, { status: 204 });
}

async function withdraw(
  options: ApiOptions,
  call: Call<z.infer<typeof withdrawalRequest>>,
): Promise<Response> {
  const { identity, body: { issuer, subject, reason } } = call;
  const bearer = { issuer, subject };
  const { by, asserted } = whoTakesBack(options, call);
  await options.authority.withdraw(asserted ? bearerFrom(bearer, identity) : bearer, by, reason);
  return new Response(null, { status: 204 });
}

/** @returns for the record, and whether a gateway asks for another @throws {Problem} `not-permitted` */
function whoTakesBack(options: ApiOptions, call: Call<{ readonly by?: string }>) {
  const { identity: { name }, remote, body: { by } } = call;
  if (by === undefined) {
    requireRight(options, call, "admin");
    return { by: { name, remote }, asserted: false };
  }
  // Whoever speaks for another is a gateway that has asked its own policy.
  requireRight(options, call, "assert");
  return { by: { name: `${by} by ${name}`, remote }, asserted: true };
}
