/** The certificate that a token got at a gateway: it logs in there while tokens cannot be had. */
import { decodeText, encodeText } from "../bytes/bytes.ts";
import { parseCertificate, withCertificate } from "../cert/certificate.ts";
import type { Certificate } from "../cert/types.ts";
import { formatPublicKey, parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type Signer } from "../keys/types.ts";
import type { StateFolder } from "../platform/state.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";

/** One line of an `id-cert.pub`; its comment is the gateway that it is from, so that one write keeps both. */
const FILE = "agent_login-cert.pub";

/** `key` with the certificate, while that is valid; undefined where there is none for this gateway and key. */
export async function findLoginCertificate(
  state: StateFolder,
  key: Signer,
  gateway: GatewayAddress,
  now: number,
): Promise<{ readonly signer: Signer; readonly certificate: Certificate } | undefined> {
  const saved = await state.read(FILE);
  if (!saved) return undefined;
  try {
    const { certificate: blob, comment } = parsePublicKeyLine(decodeText(saved));
    if (!blob || comment !== formatGateway(gateway)) return undefined;
    const certificate = parseCertificate(blob);
    const seconds = BigInt(Math.floor(now / 1000));
    if (certificate.validBefore <= seconds) return undefined;
    return { signer: withCertificate(key, blob), certificate };
  } catch (error) {
    // Another key's, or broken: the next one takes its place.
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}

/** In place of the one before. */
export async function keepLoginCertificate(
  state: StateFolder,
  { blob }: Certificate,
  gateway: GatewayAddress,
): Promise<void> {
  await state.write(FILE, encodeText(`${formatPublicKey(blob, formatGateway(gateway))}\n`));
}

/**
 * Reads a certificate as the gateway's command prints it.
 * @throws {KeyError} when it is none, of another role, for another key or for nobody
 */
export function readIssued(answer: Uint8Array, role: Certificate["role"], key: Signer): Certificate {
  const { certificate: blob } = parsePublicKeyLine(decodeText(answer).trim());
  if (!blob) throw new KeyError("malformed", "the gateway gave a plain key, where a certificate is expected");
  const certificate = parseCertificate(withCertificate(key, blob).certificate!);
  if (certificate.role !== role) {
    throw new KeyError("mismatch", `the gateway gave a ${certificate.role} certificate`);
  }
  if (certificate.principals.length === 0) throw new KeyError("mismatch", "the certificate names nobody");
  return certificate;
}
