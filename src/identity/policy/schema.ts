/** The grammar of a policy document: structure here, meaning in `compile.ts`. */
import { z } from "zod";
import { identityKinds } from "../principal.ts";
import { rights } from "./rights.ts";

const oneOrMore = (of: z.ZodString, expected: string) =>
  z.union([of, z.array(of).min(1)], { error: `must be ${expected}, or a list of such` });

const text = z.string().min(1);
const patterns = (noun: string) => oneOrMore(text, noun);

const claims = z.record(
  z.string(),
  z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.array(z.union([z.string(), z.number(), z.boolean()])).min(1),
  ], {
    error: "must be a value (text may have '*'), or a list of such",
  }),
).describe(
  "Claims of the credential, by path: 'repository', 'realm_access.roles', 'kubernetes.io.namespace'. " +
    "A claim that is a list matches when one of its values does.",
);

const conditions = {
  email: patterns("an e-mail pattern such as '*@mycorp.com'").optional()
    .describe("Verified e-mail address; '*' stands for any characters but '@'."),
  name: patterns("a name pattern").optional()
    .describe("The identity's name as whoami prints it; '*' stands for any characters but '@'."),
  issuer: oneOrMore(text, "an issuer").optional()
    .describe("Exactly the issuer: a token's iss, 'ssh-ca:SHA256:…', or 'key'."),
  subject: oneOrMore(text, "a subject").optional().describe("Exactly the subject within the issuer."),
  key: oneOrMore(text, "a key fingerprint such as SHA256:…").optional()
    .describe("Fingerprint of the bare key or of the certified key: SHA256:…"),
  trust_domain: oneOrMore(text, "a trust domain").optional().describe("Exactly the trust domain."),
  kind: z.union([z.enum(identityKinds), z.array(z.enum(identityKinds)).min(1)], {
    error: `must be one of ${identityKinds.join(", ")}, or a list of such`,
  }).optional().describe("Kind of credential."),
  claims: claims.optional(),
};

const groupConditions = z.strictObject(conditions)
  .describe("All conditions must hold; of the values in a list, one.");
const whoConditions = z.strictObject({
  ...conditions,
  group: oneOrMore(text, "the name of a group").optional().describe("A group defined under 'groups'."),
}).describe("All conditions must hold; of the values in a list, one.");

const port = z.union([z.int(), text], { error: "must be a port (22) or a range of ports ('8000-8100')" });
const ports = z.union([port, z.array(port).min(1)], {
  error: "must be a port (22), a range of ports ('8000-8100'), or a list of such",
});

const what = z.strictObject({
  node: patterns("a node's name, a pattern or 'self'").optional()
    .describe(
      "Names: 'self' is the credential's own; '*.x' any name below x; '*' in a label stays in it; '*' alone is every name.",
    ),
  port: ports.optional().describe("Ports of the node; without it all that it registered."),
  dial: oneOrMore(text, "a destination such as '10.0.0.0/8:5432'").optional()
    .describe("Where to: '10.0.0.0/8:5432', '[fd00::/8]:443', 'db.internal:8000-8100', '*.internal:443'."),
  via: patterns("'gateway', a node's name or a pattern").optional()
    .describe("Who dials: 'gateway' or nodes by name; without it whoever reaches the destination."),
  listen: ports.optional().describe("Ports that may be opened on the gateway."),
}).describe("What the rights are for. A part that no right of the rule uses is a mistake.");

const rule = z.strictObject({
  name: text.optional().describe("For logs and answers; unique. Default: 'rule N'."),
  who: z.union([z.enum(["anyone", "authenticated"]), whoConditions, z.array(whoConditions).min(1)], {
    error: "must be conditions such as { group: sre }, a list of such, 'authenticated' or 'anyone'",
  }).describe("'anyone' includes those without a credential."),
  may: z.union([z.enum(rights), z.array(z.enum(rights)).min(1)], {
    error: `must be rights: ${rights.join(", ")}`,
  }).optional().describe("Rights. Only a deny rule may leave it out: it then denies all."),
  what: what.optional(),
  as: oneOrMore(text, "a login name").optional().describe(
    "Login names on the nodes; without it the node alone decides.",
  ),
  from: oneOrMore(text, "an address range such as 10.0.0.0/8").optional().describe("Source addresses."),
  until: z.string({ error: "must be a time such as 2027-01-31T00:00:00Z" }).optional()
    .describe("From this time on the rule opens nothing new (RFC 3339)."),
  max_session: z.string({ error: "must be a duration such as 8h" }).optional()
    .describe("How long what was opened by the rule may last: 30s, 15m, 8h, 1h30m, 7d."),
  shared: z.boolean({ error: "must be true or false" }).optional()
    .describe("Gives the right 'shared' on the same nodes."),
  deny: z.boolean({ error: "must be true or false" }).optional()
    .describe("The rule forbids; it wins over every rule that allows and over ownership."),
});

/** Shape of a policy file. */
export const policySchema = z.strictObject({
  groups: z.record(
    z.string().regex(/^[A-Za-z0-9_.-]+$/, "a group's name has letters, digits, '_', '.' and '-' only"),
    z.union([groupConditions, z.array(groupConditions).min(1)], {
      error: "must be conditions such as { email: '*@mycorp.com' }, or a list of such",
    }),
  ).optional().describe("Who is meant by a name. A list matches when one of its entries does."),
  rules: z.array(rule, { error: "must be a list of rules" }).optional().describe(
    "Default is deny; order does not matter.",
  ),
});

/** The keys that each level knows, for suggestions. */
export const knownKeys = {
  top: Object.keys(policySchema.shape),
  rule: Object.keys(rule.shape),
  what: Object.keys(what.shape),
  who: Object.keys(whoConditions.shape),
} as const;

/** A policy file of the right structure; {@link RuleDocument} and {@link ConditionsDocument} are parts of it. */
export type PolicyDocument = z.infer<typeof policySchema>;
export type RuleDocument = z.infer<typeof rule>;
export type ConditionsDocument = z.infer<typeof whoConditions>;

/** The JSON Schema (2020-12) of a policy file, for editors. */
export function policyJsonSchema(): Record<string, unknown> {
  return {
    title: "ssh-mesh policy",
    description: "Who may what, from where, until when. Default deny.",
    ...z.toJSONSchema(policySchema),
  };
}
