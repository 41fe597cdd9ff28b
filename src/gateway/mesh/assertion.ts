/** Who a user is, as one gateway tells another. */
import { z } from "zod";
import { type Identity, identityKinds } from "../../identity/principal.ts";

const text = z.string().max(4096);
const texts = z.array(text).max(256);

/** Members of an identity that travel. Owner is none of them: who owns a gateway is for that gateway to know. */
const schema = z.strictObject({
  kind: z.enum(identityKinds),
  issuer: text,
  subject: text,
  name: text,
  fqdn: text.optional(),
  email: text.optional(),
  trustDomain: text.optional(),
  groups: texts,
  claims: z.record(z.string(), z.unknown()),
  expiresAt: z.number().optional(),
  restrictions: z.strictObject({
    sourceAddresses: texts.optional(),
    forceCommand: text.optional(),
    portForwarding: z.boolean().optional(),
  }),
  credential: z.strictObject({
    fingerprint: text.optional(),
    serial: text.optional(),
    keyId: text.optional(),
  }),
  /** Address of the client, as the first gateway saw it. */
  source: z.union([z.ipv4(), z.ipv6()]).optional(),
});

export interface Assertion {
  readonly identity: Identity;
  readonly source: string | undefined;
}

/** As JSON. */
export function writeAssertion({ identity, source }: Assertion): string {
  const { owner: _owner, ...members } = identity;
  return JSON.stringify({ ...members, ...(source !== undefined && { source }) });
}

/**
 * Undefined when it is none. The identity is nobody's owner, and in groups by the rules of this gateway alone: those that the
 * other one's authority vouches for are the other one's, and become claims.
 */
export function readAssertion(json: string): Assertion | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) return undefined;
  const { source, groups, ...members } = parsed.data;
  const claims = groups.length > 0 ? { ...members.claims, groups } : members.claims;
  return { identity: { ...members, groups: [], claims, owner: false }, source };
}
