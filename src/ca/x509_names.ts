/**
 * Names in X.509 certificates of the authority.
 *
 * | identity | name in the certificate |
 * |---|---|
 * | workload `KSA@NS.TD` of a trust domain TD | URI `spiffe://TD/ns/NS/sa/KSA` |
 * | any other with a full name of its own | that DNS name |
 * | a person | the e-mail address |
 *
 * Beside it stand the DNS names that the certificate serves: never `localhost` or an IP address but for the gateway.
 */
import { isDnsName } from "../bytes/dns_name.ts";
import { parseIp } from "../bytes/ip_address.ts";
import { printable } from "../bytes/printable.ts";
import { type Identity, isUnderDomain } from "../identity/principal.ts";
import type { JsonGeneralNames } from "../x509/library.ts";
import { isEmailAddress } from "../x509/names.ts";
import { type ServiceAccount, serviceAccountId } from "../x509/spiffe.ts";
import { CaError } from "./types.ts";

export type JsonGeneralName = JsonGeneralNames[number];

/** What a certificate is asked to say. */
interface NameRequest {
  readonly identity: Identity;
  /** DNS names that it serves. */
  readonly names: readonly string[];
  readonly gateway?: boolean;
  readonly trustDomains: readonly string[];
}

/**
 * Alternative names of a certificate, first the identity's own.
 * @throws {CaError} `refused` when the identity has none that fits, or one may not be there
 */
export function x509Names(
  { identity, names, gateway = false, trustDomains }: NameRequest,
): JsonGeneralName[] {
  const own = ownName({ identity, trustDomains, gateway });
  const served = names.map((name) => servedName(name, gateway));
  const all = [...(own ? [own] : []), ...served.filter((name) => name.value !== own?.value)];
  if (all.length === 0) {
    throw new CaError(
      "refused",
      `'${printable(identity.name)}' is no name that an X.509 certificate can carry`,
    );
  }
  return all;
}

/** What a client with the certificate is called; undefined for who has no name that fits. @throws {CaError} `refused` */
export function ownName(
  { identity, trustDomains, gateway = false }: Omit<NameRequest, "names">,
): JsonGeneralName | undefined {
  const { trustDomain, fqdn, email, name } = identity;
  if (trustDomain !== undefined && !trustDomains.includes(trustDomain)) {
    throw new CaError("refused", `this authority names nobody of the trust domain ${printable(trustDomain)}`);
  }
  const account = trustDomain === undefined ? undefined : serviceAccountIn(name, trustDomain);
  if (account) return { type: "url", value: serviceAccountId(trustDomain!, account) };
  if (fqdn !== undefined) return servedName(fqdn, gateway);
  if (email === undefined) return undefined;
  if (trustDomains.some((domain) => isUnderDomain(email.slice(email.lastIndexOf("@") + 1), domain))) {
    throw new CaError("refused", "the e-mail address lies under a trust domain");
  }
  if (!isEmailAddress(email)) {
    throw new CaError("refused", `the e-mail address ${printable(email)} cannot be in an X.509 certificate`);
  }
  return { type: "email", value: email };
}

/** `KSA@NS.TD` → KSA and NS. */
function serviceAccountIn(name: string, trustDomain: string): ServiceAccount | undefined {
  const match = /^([a-z0-9-]+)@([a-z0-9-]+)\.(.+)$/.exec(name);
  return match?.[3] === trustDomain ? { account: match[1], namespace: match[2] } : undefined;
}

function servedName(name: string, gateway: boolean): JsonGeneralName {
  const address = parseIp(name);
  if (address && gateway) return { type: "ip", value: `${address}` };
  if (isDnsName(name) && (gateway || name !== "localhost")) return { type: "dns", value: name };
  throw new CaError("refused", `${printable(name)} is no name that a certificate is made for`);
}
