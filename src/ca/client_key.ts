/** A key of one's own for TLS, and requests to have it certified. */
import type { Bytes } from "../bytes/bytes.ts";
import { fingerprintOf } from "../keys/fingerprint.ts";
import { PemConverter, Pkcs10CertificateRequestGenerator } from "../x509/library.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" } as const;

/** A private key and the request that certifies it. */
export interface ClientKey {
  /** PEM (PKCS #8). Secret. */
  readonly privateKey: string;
  /** PKCS #10 in DER; without names: they are the authority's to give. */
  readonly csr: Bytes;
}

/** Makes a key (P-256) and a request for it. */
export async function makeClientKey(): Promise<ClientKey> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
  const [request, pkcs8] = await Promise.all([
    Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: SIGNATURE }),
    crypto.subtle.exportKey("pkcs8", keys.privateKey),
  ]);
  return {
    privateKey: `${PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag)}\n`,
    csr: new Uint8Array(request.rawData),
  };
}

/** `SHA256:…` of a certificate in PEM, in the manner of SSH fingerprints: what a join token names a root by. */
export async function certificateFingerprint(pem: string): Promise<string> {
  const [der] = PemConverter.decode(pem);
  return await fingerprintOf(der);
}
