/**
 * What is said to an authority over HTTP, and what it answers: the bodies of `/api/v1/certs/…`, `/api/v1/ca` and
 * `/api/v1/revocations`. The API serves them, {@link RemoteAuthority} asks with them.
 */
import { z } from "zod";
import { type Identity, identityKinds } from "../identity/principal.ts";
import { parseDuration } from "../identity/ranges.ts";
import { rootKinds } from "./local.ts";
import type { Revocation, RevocationRecord } from "./types.ts";

/** Characters of a name, a key id, a sentence: longer ones are a mistake, and would go into records. */
const MAX_TEXT = 1024;
/** Names of one certificate. */
const MAX_NAMES = 256;
/** Characters of a public key or a certificate request: RSA with 16384 bits, in base64, has some 3000. */
const MAX_KEY = 16 * 1024;

const text = z.string().min(1).max(MAX_TEXT);
const instant = z.iso.datetime();

const span = z.string()
  .regex(/^(?:\d{1,9}(?:ms|[smhd]))+$/, { error: "must be a duration: write 30s, 10m, 8h or 7d" });
const oneOf = { error: "must be a duration ('10m') or a number of seconds" };
const duration = z.union([span, z.int().nonnegative()], oneOf);
const ttl = z.union([span, z.int().positive()], oneOf)
  .describe("Lifetime: '10m', or a number of seconds. Default: the profile's.");

/** An identity as one gateway tells another: without its claims, which an authority has no use for. */
export const assertedIdentity = z.strictObject({
  kind: z.enum(identityKinds).exclude(["anonymous", "join"]),
  issuer: text,
  subject: text,
  name: text,
  fqdn: text.optional(),
  email: text.optional(),
  trust_domain: text.optional(),
  groups: z.array(text).max(MAX_NAMES).default([]),
  expires: instant.optional().describe("From when on the credential counts no more."),
  restrictions: z.strictObject({
    source_addresses: z.array(text).max(MAX_NAMES).optional(),
    force_command: z.string().max(MAX_KEY).optional(),
    port_forwarding: z.boolean().optional(),
  }).default({}),
  credential: z.strictObject({
    fingerprint: text.optional(),
    serial: text.optional(),
    key_id: text.optional(),
  }).default({}),
}).describe(
  "Whose certificate it will be. Needs the right 'assert': the asker has judged what that identity may have.",
);

const asked = {
  ttl: ttl.optional(),
  names: z.array(text).min(1).max(MAX_NAMES).optional(),
  on_behalf_of: assertedIdentity.optional(),
  gateway: z.boolean().optional().describe("With on_behalf_of: the names are the asking gateway's own."),
};

/** Body of `POST /api/v1/certs/ssh`. */
export const sshCertificateRequest = z.strictObject({
  public_key: z.string().min(1).max(MAX_KEY).describe("The line of an id.pub file."),
  type: z.enum(["user", "host"]).default("user"),
  ...asked,
  names: asked.names.describe(
    "For type 'host': which of your names. Default: all that you may have certificates for.",
  ),
});

export const sshCertificateAnswer = z.strictObject({
  certificate: z.string().describe("The line of an id-cert.pub file."),
});

/** Body of `POST /api/v1/certs/x509`. */
export const x509CertificateRequest = z.strictObject({
  csr: z.string().min(1).max(MAX_KEY).describe("PKCS #10: PEM, or DER in base64."),
  ...asked,
  names: asked.names.describe(
    "DNS names to serve. Default: all of yours that you may have certificates for.",
  ),
});

export const x509CertificateAnswer = z.strictObject({
  certificate: z.string().describe("PEM."),
  chain: z.array(z.string()).describe("PEM texts, from the issuer to the root."),
  serial: z.string().describe("Hexadecimal."),
  expires: instant,
});

/** Body of `POST /api/v1/join`. */
export const joinRequest = z.strictObject({
  csr: z.string().min(1).max(MAX_KEY).describe("PKCS #10: PEM, or DER in base64. Its key is enrolled."),
});

export const joinAnswer = z.strictObject({ name: z.string(), ...x509CertificateAnswer.shape });

/** Answer of `GET /api/v1/ca`. */
export const authoritiesAnswer = z.strictObject({
  ssh: z.strictObject({
    user: z.array(z.string()).describe("Keys that sign user certificates; the first one signs now."),
    host: z.array(z.string()).describe("Keys that sign host certificates; the first one signs now."),
  }),
  x509: z.array(z.string()).describe("Root certificates, PEM."),
  known_hosts: z.array(z.string()).describe("Lines for a known_hosts file."),
  revocations: z.string().describe("Another text whenever what is revoked has changed."),
});
export type AuthoritiesAnswer = z.infer<typeof authoritiesAnswer>;

const kinds = {
  serial: z.strictObject({ kind: z.literal("serial"), serial: z.string().regex(/^\d{1,20}$/) })
    .describe("Of an SSH certificate, decimal."),
  x509: z.strictObject({ kind: z.literal("x509-serial"), serial: z.string().regex(/^[0-9a-fA-F]{1,64}$/) })
    .describe("Of an X.509 certificate, hexadecimal."),
  keyId: z.strictObject({ kind: z.literal("key-id"), key_id: text }),
  key: z.strictObject({ kind: z.literal("key"), key: z.string().min(1).max(MAX_KEY) })
    .describe("A public key line or its fingerprint: SHA256:…"),
  identity: z.strictObject({ kind: z.literal("identity"), issuer: text, subject: text }),
} as const;

/** What is to count no more. */
export const revocation = z.discriminatedUnion("kind", [
  kinds.serial,
  kinds.x509,
  kinds.keyId,
  kinds.key,
  kinds.identity,
]);

/** Body of `POST /api/v1/revocations`. */
export const revocationRequest = z.strictObject({
  revocation,
  reason: text.optional().describe("For people."),
  by: text.optional().describe("Who wants it. Needs the right 'assert': otherwise it is the asker."),
});

/** Body of `POST /api/v1/withdrawals`. */
export const withdrawalRequest = z.strictObject({
  issuer: text,
  subject: text,
  reason: revocationRequest.shape.reason,
  by: revocationRequest.shape.by,
});

/** Answer of `GET /api/v1/revocations`. */
export const revocationsAnswer = z.strictObject({
  revocations: z.array(
    z.strictObject({ revocation, by: z.string(), at: instant, reason: z.string().optional() }),
  ),
  x509_serials: z.array(z.string()).describe(
    "Every X.509 certificate that counts no more, whatever it was revoked by.",
  ),
});

/** Body of `POST /api/v1/ca/rotations`. */
export const rotationRequest = z.strictObject({
  kind: z.enum(rootKinds).describe("What the root signs."),
  overlap: duration.optional().describe(
    "How long the new root is trusted before it signs: '24h', or a number of seconds, 0 for at once. Default a day.",
  ),
});

/** Milliseconds of a `ttl`. @throws {TypeError} when it is none */
export function lifetimeOf(ttl: string | number): number {
  return typeof ttl === "number" ? ttl * 1000 : parseDuration(ttl);
}

/** As it is said to another authority. */
export function encodeIdentity(identity: Identity): z.input<typeof assertedIdentity> {
  const { kind, issuer, subject, name, fqdn, email, trustDomain, groups, expiresAt } = identity;
  const { sourceAddresses, forceCommand, portForwarding } = identity.restrictions;
  const { fingerprint, serial, keyId } = identity.credential;
  return {
    kind: kind as z.infer<typeof assertedIdentity>["kind"],
    issuer,
    subject,
    name,
    ...(fqdn !== undefined && { fqdn }),
    ...(email !== undefined && { email }),
    ...(trustDomain !== undefined && { trust_domain: trustDomain }),
    groups: [...groups],
    ...(expiresAt !== undefined && { expires: new Date(expiresAt).toISOString() }),
    restrictions: {
      ...(sourceAddresses && { source_addresses: [...sourceAddresses] }),
      ...(forceCommand !== undefined && { force_command: forceCommand }),
      ...(portForwarding !== undefined && { port_forwarding: portForwarding }),
    },
    credential: {
      ...(fingerprint !== undefined && { fingerprint }),
      ...(serial !== undefined && { serial }),
      ...(keyId !== undefined && { key_id: keyId }),
    },
  };
}

/** As another gateway vouches for it: never an owner here. */
export function decodeIdentity(asserted: z.infer<typeof assertedIdentity>): Identity {
  const { kind, issuer, subject, name, fqdn, email, trust_domain, groups, expires } = asserted;
  const { source_addresses, force_command, port_forwarding } = asserted.restrictions;
  const { fingerprint, serial, key_id } = asserted.credential;
  return {
    kind,
    issuer,
    subject,
    name,
    ...(fqdn !== undefined && { fqdn }),
    ...(email !== undefined && { email }),
    ...(trust_domain !== undefined && { trustDomain: trust_domain }),
    groups,
    claims: {},
    owner: false,
    ...(expires !== undefined && { expiresAt: Date.parse(expires) }),
    restrictions: {
      ...(source_addresses && { sourceAddresses: source_addresses }),
      ...(force_command !== undefined && { forceCommand: force_command }),
      ...(port_forwarding !== undefined && { portForwarding: port_forwarding }),
    },
    credential: {
      ...(fingerprint !== undefined && { fingerprint }),
      ...(serial !== undefined && { serial }),
      ...(key_id !== undefined && { keyId: key_id }),
    },
  };
}

export function encodeRevocation(value: Revocation): z.infer<typeof revocation> {
  return value.kind === "key-id" ? { kind: value.kind, key_id: value.keyId } : value;
}

export function decodeRevocation(value: z.infer<typeof revocation>): Revocation {
  return value.kind === "key-id" ? { kind: value.kind, keyId: value.key_id } : value;
}

/** One entry of `GET /api/v1/revocations`. */
export function encodeRecord(record: RevocationRecord) {
  const { by, at, reason } = record;
  return {
    revocation: encodeRevocation(record.revocation),
    by,
    at: new Date(at).toISOString(),
    ...(reason !== undefined && { reason }),
  };
}
