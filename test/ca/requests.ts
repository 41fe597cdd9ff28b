/** What authorities are asked for, and how their answers are judged. */
import { CaError } from "../../src/ca/types.ts";
import { checkCertificate } from "../../src/cert/check.ts";
import { RevocationList } from "../../src/cert/revocation.ts";
import type { Certificate } from "../../src/cert/types.ts";
import type { Identity } from "../../src/identity/principal.ts";
import { formatPublicKey } from "../../src/keys/public_key.ts";
import type { PublicKey } from "../../src/keys/types.ts";
import { Pkcs10CertificateRequestGenerator } from "../../src/x509/library.ts";
import { ann, otherKey, remote, type Scene, someKey, workload } from "./scene.ts";

export const fails = (code: CaError["code"], words: RegExp = /./) => (error: unknown) =>
  error instanceof CaError && error.code === code && words.test(error.message);

export const user = (identity: Identity = ann(), publicKey: PublicKey = someKey) => ({
  identity,
  publicKey,
  remote,
});
export const host = (names: string[], identity: Identity = workload()) => ({
  ...user(identity, otherKey),
  names,
});

/** A request for X.509, made with a key of its own. */
export async function csr() {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
  });
  return new Uint8Array(request.rawData);
}

export async function fault(
  { authority, clock }: Scene,
  certificate: Certificate,
  principal: string,
  at = clock.now(),
) {
  const authorities = await authority.authorities();
  const { role } = certificate;
  const list = new RevocationList((await authority.revoked()).krl);
  return await checkCertificate(certificate, {
    role,
    principals: [principal],
    now: at,
    peerAddress: "192.0.2.7",
    trusted: ({ blob }) => authorities[role].some((key) => formatPublicKey(key) === formatPublicKey(blob)),
    revoked: (one) => list.isRevoked(one),
  });
}
