/** Machines that were enrolled with a join token, as clients of the API: they join, come back, and renew. */
import type { Bytes } from "../bytes/bytes.ts";
import { CaError, type CertificateAuthority } from "../ca/types.ts";
import { type Identity, sameIdentity } from "../identity/principal.ts";
import type { PublicKey } from "../keys/types.ts";
import { readCertificate } from "../x509/certificate.ts";
import { X509Error } from "../x509/error.ts";
import { readCertificateRequest } from "../x509/request.ts";
import { sshPublicKey } from "../x509/ssh_key.ts";
import { JoinError, type Joining } from "./options.ts";

const TOKEN_PREFIX = "sshm1.";

/** Keys that were enrolled, and the tokens that do it. */
export interface EnrolledKeys {
  /** Whose the key is; undefined when it is not enrolled (any more). */
  identityOf(key: PublicKey): Promise<Identity | undefined>;
  /**
   * The identity, of kind `join`, of whoever has this token. It is not used up.
   * @throws {Error} with a sentence for the log when it is unknown, used or over
   */
  holderOf(token: string): Promise<Identity>;
  /** Uses up the token of `holder` and enrols the key. @throws {JoinError} */
  enrol(holder: Identity, key: PublicKey, remote: string): Promise<Identity>;
}

/** Joining for {@link ApiOptions}: certificates are given by `authority`. */
export function joiningOf(enrolled: EnrolledKeys, authority: CertificateAuthority): Joining {
  return {
    isJoinToken: (token) => token.startsWith(TOKEN_PREFIX),
    async join(token, csr, remote) {
      const key = await keyOf(csr);
      const holder = await enrolled.holderOf(token).catch((cause) => {
        throw new JoinError("token", "the join token is unknown, used or over; ask for a new one", { cause });
      });
      const identity = await enrolled.enrol(holder, key, remote);
      return { identity, issued: await authority.issueX509({ identity, csr, names: [], remote }) };
    },
    async renewalOf(identity, csr) {
      const bearer = await enrolled.identityOf(await keyOf(csr));
      return bearer && sameIdentity(bearer, identity) ? bearer : undefined;
    },
  };
}

/**
 * Whom a client certificate was enrolled as: by its key, whatever names it has. The certificate has been verified, to
 * `identity`, which it is without having been enrolled.
 */
export async function enrolledIdentity(
  [leaf]: readonly Bytes[],
  identity: Identity,
  enrolled: Pick<EnrolledKeys, "identityOf">,
): Promise<Identity> {
  const key = await sshPublicKey(readCertificate(leaf).publicKey);
  const bearer = await enrolled.identityOf(key);
  if (!bearer) return identity;
  const { kind, credential, expiresAt } = identity;
  return { ...bearer, kind, credential, ...(expiresAt !== undefined && { expiresAt }) };
}

/** @throws {CaError} `invalid` */
async function keyOf(csr: Bytes): Promise<PublicKey> {
  try {
    return await sshPublicKey((await readCertificateRequest(csr)).publicKey);
  } catch (cause) {
    if (cause instanceof X509Error) throw new CaError("invalid", cause.message, { cause });
    throw cause;
  }
}
