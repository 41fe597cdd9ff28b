/** `GET /api/v1/whoami`: what is known of the asker. */
import { z } from "zod";
import { type Identity, identityKinds } from "../identity/principal.ts";
import type { ApiOptions } from "./options.ts";
import { requireRight } from "./permission.ts";
import { json, type Route, route } from "./route.ts";

const answer = z.strictObject({
  name: z.string(),
  kind: z.enum(identityKinds),
  issuer: z.string(),
  subject: z.string(),
  owner: z.boolean(),
  fqdn: z.string().optional(),
  email: z.string().optional(),
  trust_domain: z.string().optional(),
  groups: z.array(z.string()),
  fingerprint: z.string().optional(),
  serial: z.string().optional(),
  key_id: z.string().optional(),
  expires: z.iso.datetime().optional(),
  from: z.string(),
});

/**
 * An identity as its bearer is told of it, over SSH and over HTTPS alike. What is undefined is left out of JSON.
 * @param groups of the policy
 * @param from `10.0.0.7:40100`
 */
export function describeIdentity(
  { name, kind, issuer, subject, owner, fqdn, email, trustDomain, expiresAt, credential }: Identity,
  groups: readonly string[],
  from: string,
) {
  return {
    name,
    kind,
    issuer,
    subject,
    owner,
    fqdn,
    email,
    trust_domain: trustDomain,
    groups: [...groups],
    fingerprint: credential.fingerprint,
    serial: credential.serial,
    key_id: credential.keyId,
    expires: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
    from,
  } satisfies z.infer<typeof answer>;
}

export function whoamiRoute(options: ApiOptions): Route {
  return route({
    method: "GET",
    path: "/api/v1/whoami",
    operation: "whoami",
    summary: "Who you are here, and by which credential",
    access: "identified",
    answers: { 200: { description: "You", schema: answer } },
    handle(call) {
      requireRight(options, call, "whoami");
      return json(describeIdentity(call.identity, options.groupsOf(call.identity), call.remote));
    },
  });
}
