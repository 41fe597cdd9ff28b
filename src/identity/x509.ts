/**
 * From the certificate that a TLS client proved itself with to an identity.
 *
 * | name in the certificate | identity |
 * |---|---|
 * | URI `spiffe://TD/ns/NS/sa/KSA`, TD a trust domain of the root | workload `KSA@NS.TD`, FQDN `KSA.NS.svc.TD` |
 * | URI `spiffe://TD/…`, any other path | that URI; no FQDN |
 * | e-mail address, where the root may name people | that address, refused under anybody's trust domain |
 * | DNS name, where the root may name machines | that name, refused under somebody else's trust domain |
 *
 * The first of these rows that fits decides. The subject (CN) never does.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import { keyFingerprint, readCertificates, sameCertificate, serialOf } from "../x509/certificate.ts";
import { verifyClientChain } from "../x509/chain.ts";
import type { X509Certificate } from "../x509/library.ts";
import { type SubjectNames, subjectNames } from "../x509/names.ts";
import { parseSpiffeId, serviceAccountOf } from "../x509/spiffe.ts";
import { sshPublicKey } from "../x509/ssh_key.ts";
import { type Named, refuseEmailUnder, workloadName } from "./names.ts";
import { type Identity, IdentityError, isUnderDomain } from "./principal.ts";

/** Kinds of names beside SPIFFE IDs that a root may name clients by. */
export type ClientNames = "email" | "dns";

/** A root, and what it may say of those below it. */
export interface TrustedX509Root {
  readonly certificate: X509Certificate;
  /** Workloads of these it may name, and of no other. The first one is also the issuer of its people and machines. Normalised. */
  readonly trustDomains: readonly string[];
  readonly names: readonly ClientNames[];
}

/**
 * Roots from a PEM text, all with the same rights.
 * @param rights.names default both
 * @throws {X509Error} `malformed`
 */
export function trustedX509Roots(
  pem: string,
  rights: { readonly trustDomains?: readonly string[]; readonly names?: readonly ClientNames[] } = {},
): TrustedX509Root[] {
  const { trustDomains = [], names = ["email", "dns"] } = rights;
  return readCertificates(pem).map((certificate) => ({ certificate, trustDomains, names }));
}

/** Whom to believe, and when. */
export interface X509Context {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly roots: readonly TrustedX509Root[];
  /** Trust domains of everybody, and the gateway's own domain: names under them are their owners' alone. Normalised. */
  readonly trustDomains: readonly string[];
}

/**
 * Verifies the chain and tells whose it is: issuer is the root's trust domain, or `x509:SHA256:…` of its key where it has
 * none; subject is the SPIFFE ID, e-mail address or DNS name. That the client holds the key is what TLS has proved. Whether
 * the serial is revoked is the caller's to ask.
 * @param certificates DER, the client's own first
 * @throws {X509Error} when the chain does not verify
 * @throws {IdentityError} when it names nobody we can accept
 */
export async function x509Identity(
  certificates: readonly Bytes[],
  { now, roots, trustDomains }: X509Context,
): Promise<Identity> {
  const chain = await verifyClientChain(certificates, {
    now,
    roots: roots.map(({ certificate }) => certificate),
  });
  const root = roots.find(({ certificate }) => sameCertificate(certificate, chain.root))!;
  const names = subjectNames(chain.leaf.extensions);
  const { subject, ...named } = bearer(names, root, [...trustDomains, ...root.trustDomains]);
  const key = await sshPublicKey(chain.leaf.publicKey);
  return {
    kind: "x509",
    issuer: named.trustDomain ?? root.trustDomains[0] ?? `x509:${await keyFingerprint(chain.root)}`,
    subject,
    ...named,
    groups: [],
    claims: { uri: names.uris, email: names.emails, dns: names.dns },
    owner: false,
    expiresAt: chain.expiresAt,
    restrictions: {},
    credential: { fingerprint: await key.fingerprint(), serial: serialOf(chain.leaf) },
  };
}

type Bearer = Named & { readonly subject: string };

function bearer(names: SubjectNames, root: TrustedX509Root, trustDomains: readonly string[]): Bearer {
  const spiffe = names.uris.find((uri) => /^spiffe:/i.test(uri));
  if (spiffe !== undefined) {
    // X.509-SVID §2: exactly one URI.
    if (names.uris.length > 1) {
      throw new IdentityError("malformed-name", "there is a URI beside the SPIFFE ID");
    }
    return spiffeBearer(spiffe, root);
  }
  const [email, second] = names.emails;
  if (email !== undefined && root.names.includes("email")) {
    if (second !== undefined) {
      throw new IdentityError("malformed-name", "there is more than one e-mail address");
    }
    const address = email.toLowerCase();
    refuseEmailUnder(address.slice(address.lastIndexOf("@") + 1), printable(address), trustDomains);
    return { subject: address, name: address, email: address };
  }
  const [dns] = names.dns;
  if (dns !== undefined && root.names.includes("dns")) return dnsBearer(dns, root, trustDomains);
  throw new IdentityError("no-name", "the certificate has no name that its root may give to a client");
}

function spiffeBearer(uri: string, { trustDomains }: TrustedX509Root): Bearer {
  const id = parseSpiffeId(uri);
  const { trustDomain } = id;
  if (!trustDomains.includes(trustDomain)) {
    throw new IdentityError(
      "malformed-name",
      `the root that signed the certificate names nobody of the trust domain ${trustDomain}`,
    );
  }
  if (id.path.length === 0) throw new IdentityError("no-name", "the SPIFFE ID names no workload");
  const account = serviceAccountOf(id);
  if (!account) return { subject: uri, name: uri, trustDomain };
  return { subject: uri, ...workloadName(account.account, account.namespace, trustDomain, uri) };
}

function dnsBearer(dns: string, root: TrustedX509Root, trustDomains: readonly string[]): Bearer {
  if (dns.startsWith("*")) throw new IdentityError("malformed-name", "a wildcard names nobody in particular");
  const own = root.trustDomains.find((trustDomain) => isUnderDomain(dns, trustDomain));
  const others = trustDomains.find((trustDomain) => isUnderDomain(dns, trustDomain));
  if (own === undefined && others !== undefined) {
    throw new IdentityError(
      "malformed-name",
      `'${dns}' lies under the domain ${others}, which is not the root's`,
    );
  }
  return {
    subject: dns,
    name: dns,
    fqdn: dns,
    ...(own !== undefined && own !== dns && { trustDomain: own }),
  };
}
