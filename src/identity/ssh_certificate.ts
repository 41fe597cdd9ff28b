/** From an OpenSSH user certificate that has passed every check to an identity. */
import { FOREVER } from "../cert/certificate.ts";
import type { Certificate } from "../cert/types.ts";
import { type Identity, IdentityError, isUnderDomain, type Restrictions } from "./principal.ts";

/** Principals that begin so name groups. */
const GROUP_PREFIX = "group:";

export interface CertificateContext {
  /** `SHA256:…` of the certified key. */
  readonly fingerprint: string;
  /** `SHA256:…` of the authority's key: the issuer. */
  readonly authority: string;
  /** The trust domain that belongs to this authority, normalised. Nobody else's names may be under it. */
  readonly trustDomain?: string;
  /** Trust domains of everybody: e-mail addresses under any of them are refused. */
  readonly trustDomains?: readonly string[];
  /** The authority is ours, so its `group:NAME` principals are memberships in groups of the policy. */
  readonly ours?: boolean;
  /** `source-address` and `force-command`, as the certificate check decoded them. */
  readonly restrictions?: Restrictions;
}

/**
 * The identity that a user certificate proves. The *first* principal that is no group is subject and name; the others
 * are in `claims.principals`. The key id decides nothing.
 *
 * | principal | becomes |
 * |---|---|
 * | `KSA@NS.TD`, TD the authority's trust domain | workload: FQDN `KSA.NS.svc.TD`, trust domain TD |
 * | `host.TD`, the same | FQDN `host.TD`, trust domain TD |
 * | `ann@mycorp.com` | e-mail address, refused when it lies under anybody's trust domain |
 * | anything else | a name without meaning |
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
  const named = meaningOf(subject, context);
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

type Named = Pick<Identity, "name" | "email" | "fqdn" | "trustDomain">;

function meaningOf(principal: string, context: CertificateContext): Named {
  const name = principal.toLowerCase();
  const { trustDomain } = context;
  const at = name.lastIndexOf("@");
  if (at < 0) {
    const isHost = trustDomain !== undefined && name !== trustDomain && isUnderDomain(name, trustDomain);
    return isHost && DNS_NAME.test(name) ? { name, fqdn: name, trustDomain } : { name: principal };
  }
  const local = name.slice(0, at);
  const domain = name.slice(at + 1);
  if (trustDomain !== undefined && isUnderDomain(domain, trustDomain)) {
    const namespace = domain.slice(0, -trustDomain.length - 1);
    if (!LABEL.test(local) || !LABEL.test(namespace)) {
      throw new IdentityError(
        "malformed-name",
        `'${principal}' lies under the trust domain ${trustDomain} and is not ACCOUNT@NAMESPACE.${trustDomain}`,
      );
    }
    return { name, fqdn: `${local}.${namespace}.svc.${trustDomain}`, trustDomain };
  }
  refuseEmailUnder(domain, principal, context.trustDomains ?? []);
  const isEmail = /^[^@\s,]+$/.test(local) && DNS_NAME.test(domain);
  return isEmail ? { name, email: name } : { name: principal };
}

/**
 * Refuses an e-mail address whose domain is a trust domain or below one: it would read as a workload's name.
 * @throws {IdentityError} `email-under-trust-domain`
 */
function refuseEmailUnder(domain: string, email: string, trustDomains: readonly string[]): void {
  const holder = trustDomains.find((trustDomain) => isUnderDomain(domain, trustDomain));
  if (holder === undefined) return;
  throw new IdentityError(
    "email-under-trust-domain",
    `the e-mail address '${email}' lies under the trust domain ${holder}`,
  );
}

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
