/** Machines that were enrolled with a join token, as clients of the API: they join, come back, and renew. */
import type { Bytes } from "../bytes/bytes.ts";
import type { Enrolment } from "../ca/enrolment.ts";
import { readJoinToken } from "../ca/join_token.ts";
import { CaError, type CertificateAuthority } from "../ca/types.ts";
import { type Identity, sameIdentity } from "../identity/principal.ts";
import type { PublicKey } from "../keys/types.ts";
import { JOIN_TOKEN_PREFIX } from "../mesh/token_words.ts";
import { readCertificate } from "../x509/certificate.ts";
import { X509Error } from "../x509/error.ts";
import { readCertificateRequest } from "../x509/request.ts";
import { sshPublicKey } from "../x509/ssh_key.ts";
import type { Joining } from "./options.ts";

/** Keys that were enrolled, and the tokens that do it. */
export type EnrolledKeys = Pick<Enrolment, "identityOf" | "holderOf" | "enrol">;

/** Joining for {@link ApiOptions}: certificates are given by `authority`. */
export function joiningOf(enrolled: EnrolledKeys, authority: CertificateAuthority): Joining {
  return {
    isJoinToken: (token) => token.startsWith(JOIN_TOKEN_PREFIX),
    async join(token, csr, remote) {
      const key = await keyOf(csr);
      const identity = await enrolledBefore(enrolled, token, key) ??
        await enrolled.enrol(await enrolled.holderOf(token), key, remote);
      // Its name was given by whoever made the token, and may be one that nobody takes for himself: `gw1.localhost`.
      const request = { identity, csr, names: [], gateway: true, remote };
      return { identity, issued: await authority.issueX509(request) };
    },
    async renewalOf(identity, csr) {
      const bearer = await enrolled.identityOf(await keyOf(csr));
      return bearer && sameIdentity(bearer, identity) ? bearer : undefined;
    },
  };
}

/**
 * Whom the key was enrolled as with this very token, which has been used so: whoever did not hear the answer asks again,
 * and whoever was away for longer than the certificate lasted. The request has proved that the key is the asker's.
 */
async function enrolledBefore(
  enrolled: EnrolledKeys,
  token: string,
  key: PublicKey,
): Promise<Identity | undefined> {
  const identity = await enrolled.identityOf(key);
  return identity && identity.credential.keyId === readJoinToken(token)?.id ? identity : undefined;
}

/**
 * Whom a client certificate was enrolled as. The certificate has been verified, to `identity`, which it is without having
 * been enrolled. Key and name must both be those that were enrolled: over SSH whoever has a join token enrols a key
 * without proving that it is his, and the certificates of others for this key are theirs still.
 */
export async function enrolledIdentity(
  [leaf]: readonly Bytes[],
  identity: Identity,
  enrolled: Pick<EnrolledKeys, "identityOf">,
): Promise<Identity> {
  const key = await sshPublicKey(readCertificate(leaf).publicKey);
  const bearer = await enrolled.identityOf(key);
  if (!bearer || bearer.fqdn !== identity.fqdn) return identity;
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
