/** Certificate signing requests (PKCS #10, RFC 2986). */
import type { Bytes } from "../bytes/bytes.ts";
import { requireKey, requireSignature } from "./algorithms.ts";
import { type DerLimits, parseDer } from "./der.ts";
import { X509Error } from "./error.ts";
import { Pkcs10CertificateRequest, type X509PublicKey } from "./library.ts";
import { type SubjectNames, subjectNames } from "./names.ts";

/** An RSA key of 8192 bits, its signature and a few hundred names fit. */
const LIMITS: DerLimits = { what: "the certificate request", maxLength: 16 * 1024 };

/** What a request asks for. Its subject is not read: names are in the extension, or nowhere. */
export interface CertificateSigningRequest {
  readonly publicKey: X509PublicKey;
  readonly names: SubjectNames;
}

/**
 * Reads a request and checks that its maker holds the key.
 * @param der one request, nothing after it
 * @throws {X509Error} `malformed`, `algorithm`, `signature` or `name`
 */
export async function readCertificateRequest(der: Bytes): Promise<CertificateSigningRequest> {
  const request = parseDer(der, LIMITS, (bytes) => {
    const parsed = new Pkcs10CertificateRequest(bytes);
    // Parts are parsed when they are first asked for: what throws is to throw here.
    return {
      parsed,
      publicKey: parsed.publicKey,
      signatureAlgorithm: parsed.signatureAlgorithm,
      extensions: parsed.extensions,
    };
  });
  const { parsed, publicKey } = request;
  requireKey(publicKey);
  requireSignature(request.signatureAlgorithm, publicKey);
  const proved = await parsed.verify().catch(() => false);
  if (!proved) throw new X509Error("signature", "the certificate request's signature is wrong");
  return { publicKey, names: subjectNames(request.extensions) };
}
