/** From an OpenSSH user certificate that has passed every check to an identity. */
import { FOREVER } from "../cert/certificate.ts";
import type { Certificate } from "../cert/types.ts";
import { GROUP_PREFIX, meaningOf, NAME_PREFIX, type TrustDomains } from "./names.ts";
import { type CredentialLimits, type Identity, IdentityError } from "./principal.ts";

/** What is known of a certificate beside what it says. */
export interface CertificateContext extends TrustDomains {
  /** `SHA256:…` of the certified key. */
  readonly fingerprint: string;
  /** `SHA256:…` of the authority's key: the issuer. */
  readonly authority: string;
  /** The authority is ours, so its `group:NAME` principals are memberships in groups of the policy. */
  readonly ours?: boolean;
  /** `source-address` and `force-command`, as the certificate check decoded them. */
  readonly restrictions?: CredentialLimits;
}

/**
 * The identity that a user certificate proves. The *first* principal that is no group is subject and name; the others
 * are in `claims.principals`. The key id decides nothing.
 * What a principal means: {@link meaningOf}; `name:` in front of one of our own authority's is no part of the name.
 *
 * @param certificate checked: authority, signature, role, time, critical options, revocation
 * @throws {IdentityError} when no principal names anybody, or the first one names what this authority may not
 */
export function certificateIdentity(
  certificate: Pick<Certificate, "principals" | "validBefore" | "extensions" | "serial" | "keyId">,
  context: CertificateContext,
): Identity {
  const principals = certificate.principals.filter((principal) => !principal.startsWith(GROUP_PREFIX));
  const groups = certificate.principals
    .filter((principal) => principal.startsWith(GROUP_PREFIX))
    .map((principal) => principal.slice(GROUP_PREFIX.length));
  const [subject] = principals;
  if (!subject) throw new IdentityError("no-name", "the certificate names nobody: it has no principal");
  const isBareName = context.ours && subject.startsWith(NAME_PREFIX);
  const named = isBareName ? { name: subject.slice(NAME_PREFIX.length) } : meaningOf(subject, context);
  return {
    kind: "ssh-cert",
    issuer: `ssh-ca:${context.authority}`,
    subject,
    ...named,
    groups: context.ours ? groups : [],
    claims: { principals, groups },
    owner: false,
    ...(certificate.validBefore !== FOREVER && { expiresAt: Number(certificate.validBefore) * 1000 }),
    restrictions: {
      ...context.restrictions,
      portForwarding: certificate.extensions.has("permit-port-forwarding"),
    },
    credential: {
      fingerprint: context.fingerprint,
      serial: certificate.serial.toString(),
      keyId: certificate.keyId,
    },
  };
}
