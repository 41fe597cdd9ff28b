/** What a name that an authority wrote may mean: DNS names, workloads of a trust domain, e-mail addresses. Pure. */
import { isDnsLabel, isDnsName, toAsciiName } from "../bytes/dns_name.ts";
import { type Identity, IdentityError, isUnderDomain } from "./principal.ts";

/** Principals of a certificate that begin so name groups: no bearer may be called like one. */
export const GROUP_PREFIX = "group:";
/** Principals of our own certificates that begin so are names that alone could be an account's: `name:root`. */
export const NAME_PREFIX = "name:";

/** What a name tells about its bearer. */
export type Named = Pick<Identity, "name" | "email" | "fqdn" | "trustDomain">;

/** Which names belong to whom. All normalised. */
export interface TrustDomains {
  /** The trust domain that belongs to the authority whose name is read. Nobody else's names may be under it. */
  readonly trustDomain?: string;
  /** Trust domains of everybody: e-mail addresses under any of them are refused. */
  readonly trustDomains?: readonly string[];
}

/**
 * The one spelling of a domain: lower-case, IDNA in ASCII (UTS #46), no trailing dot. Undefined for what is no DNS name,
 * numbers and IP addresses among them.
 */
export function normalizeDomain(text: string): string | undefined {
  const name = toAsciiName(text.replace(/\.$/, ""))?.toLowerCase();
  return name !== undefined && isDnsName(name) ? name : undefined;
}

/**
 * A workload's names, as Istio spells them: `KSA@NS.TD` and the FQDN `KSA.NS.svc.TD`.
 * @param written the name as the credential has it, for the message
 * @throws {IdentityError} `malformed-name` when account or namespace is no label
 */
export function workloadName(
  account: string,
  namespace: string,
  trustDomain: string,
  written: string,
): Named {
  if (!isDnsLabel(account) || !isDnsLabel(namespace)) {
    throw new IdentityError(
      "malformed-name",
      `'${written}' lies under the trust domain ${trustDomain} and is not ACCOUNT@NAMESPACE.${trustDomain}`,
    );
  }
  return {
    name: `${account}@${namespace}.${trustDomain}`,
    fqdn: `${account}.${namespace}.svc.${trustDomain}`,
    trustDomain,
  };
}

/**
 * What `written` means, coming from the authority that `domains.trustDomain` belongs to.
 *
 * | written | becomes |
 * |---|---|
 * | `KSA@NS.TD`, TD the authority's trust domain | workload: FQDN `KSA.NS.svc.TD`, trust domain TD |
 * | `host.TD`, the same | FQDN `host.TD`, trust domain TD |
 * | `ann@mycorp.com` | e-mail address, refused when it lies under anybody's trust domain |
 * | anything else | a name without meaning |
 *
 * @throws {IdentityError} when it names what this authority may not
 */
export function meaningOf(written: string, { trustDomain, trustDomains = [] }: TrustDomains): Named {
  const name = written.toLowerCase();
  const at = name.lastIndexOf("@");
  if (at < 0) {
    const isHost = trustDomain !== undefined && name !== trustDomain && isUnderDomain(name, trustDomain);
    return isHost && isDnsName(name) ? { name, fqdn: name, trustDomain } : { name: written };
  }
  const local = name.slice(0, at);
  const domain = name.slice(at + 1);
  if (trustDomain !== undefined && isUnderDomain(domain, trustDomain)) {
    return workloadName(local, domain.slice(0, -trustDomain.length - 1), trustDomain, written);
  }
  refuseEmailUnder(domain, written, trustDomains);
  const isEmail = /^[^@\s,]+$/.test(local) && isDnsName(domain);
  return isEmail ? { name, email: name } : { name: written };
}

/**
 * Refuses an e-mail address whose domain is a trust domain or below one: it would read as a workload's name.
 * @throws {IdentityError} `email-under-trust-domain`
 */
export function refuseEmailUnder(domain: string, email: string, trustDomains: readonly string[]): void {
  const holder = trustDomains.find((trustDomain) => isUnderDomain(domain, trustDomain));
  if (holder === undefined) return;
  throw new IdentityError(
    "email-under-trust-domain",
    `the e-mail address '${email}' lies under the trust domain ${holder}`,
  );
}
