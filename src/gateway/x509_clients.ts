/** Whose client certificates count: those of our own authority, and of roots from files. */
import { enrolledIdentity } from "../api/enrolled_clients.ts";
import type { Bytes } from "../bytes/bytes.ts";
import type { Identity } from "../identity/principal.ts";
import { type TrustedX509Root, trustedX509Roots, x509Identity } from "../identity/x509.ts";
import type { Files } from "../platform/files.ts";
import { X509Error } from "../x509/error.ts";
import { StartError } from "./exit_codes.ts";
import type { AuthorityFile } from "./settings.ts";
import { readTrustedText } from "./text_file.ts";
import { type Trust, trustDomainsOf } from "./trust.ts";

/** Roots of other people's authorities, as `--trust-x509` names them. */
export interface X509Roots {
  /** PEM texts, for TLS. */
  readonly pem: readonly string[];
  readonly roots: readonly TrustedX509Root[];
}

/** @throws {StartError} `files` */
export async function readX509Files(files: Files, sources: readonly AuthorityFile[]): Promise<X509Roots> {
  const read = await Promise.all(sources.map(async ({ file, trustDomain }) => {
    try {
      const pem = await readTrustedText(files, file);
      const roots = trustedX509Roots(pem, { trustDomains: trustDomain === undefined ? [] : [trustDomain] });
      if (roots.length === 0) throw new X509Error("malformed", "there is no certificate in it");
      return { pem, roots };
    } catch (cause) {
      throw new StartError("files", `${file} cannot be used: ${(cause as Error).message}`, { cause });
    }
  }));
  return { pem: read.map(({ pem }) => pem), roots: read.flatMap(({ roots }) => roots) };
}

/**
 * Tells whose a client certificate is.
 * @param others as they are now
 */
export function clientIdentityOf(
  trust: () => Trust,
  others: () => X509Roots,
  clock: { now(): number },
): (certificates: readonly Bytes[]) => Promise<Identity> {
  return async (certificates) => {
    const now = trust();
    const { authority, enrolment } = now;
    const domains = authority ? [...authority.trustDomains, authority.domain] : [];
    const own = (authority?.x509 ?? []).flatMap((pem) => trustedX509Roots(pem, { trustDomains: domains }));
    const identity = await x509Identity(certificates, {
      now: clock.now(),
      roots: [...own, ...others().roots],
      trustDomains: [...new Set([...trustDomainsOf(now), ...domains])],
    });
    return enrolment ? await enrolledIdentity(certificates, identity, enrolment) : identity;
  };
}
