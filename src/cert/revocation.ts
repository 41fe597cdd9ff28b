/** Asks whether a key or a certificate is revoked, by a KRL or by the plain list of keys that `RevokedKeys` allows. */
import { type Bytes, decodeText } from "../bytes/bytes.ts";
import { encodeHex } from "../bytes/encoding.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type PublicKey } from "../keys/types.ts";
import { isKrl, type Krl, parseKrl, type RevokedCertificates, type SerialBitmap } from "./krl.ts";
import type { Certificate } from "./types.ts";

/** A revocation list made ready for questions. */
export class RevocationList {
  readonly #certificates: readonly RevokedCertificates[];
  readonly #keys: ReadonlySet<string>;
  readonly #sha1: ReadonlySet<string>;
  readonly #sha256: ReadonlySet<string>;

  /** @param krl as `parseKrl` reads it, or its parts */
  constructor({ certificates = [], keys = [], sha1 = [], sha256 = [] }: Partial<Krl>) {
    const set = (values: readonly Bytes[]) => new Set(values.map(encodeHex));
    this.#certificates = certificates;
    this.#keys = set(keys);
    this.#sha1 = set(sha1);
    this.#sha256 = set(sha256);
  }

  /** Whether the key, or the certificate, its key or its authority, is revoked. */
  async isRevoked(subject: PublicKey | Certificate): Promise<boolean> {
    if (!("signatureKey" in subject)) return await this.#isKeyRevoked(subject);
    return this.#certificates.some((revoked) => revokes(revoked, subject)) ||
      await this.#isKeyRevoked(subject.publicKey) ||
      await this.#isKeyRevoked(subject.signatureKey);
  }

  async #isKeyRevoked({ blob }: PublicKey): Promise<boolean> {
    return this.#keys.has(encodeHex(blob)) ||
      await holdsDigest(this.#sha256, "SHA-256", blob) ||
      await holdsDigest(this.#sha1, "SHA-1", blob);
  }
}

async function holdsDigest(hashes: ReadonlySet<string>, name: string, blob: Bytes): Promise<boolean> {
  if (hashes.size === 0) return false;
  return hashes.has(encodeHex(new Uint8Array(await crypto.subtle.digest(name, blob))));
}

function revokes({ authority, serials, keyIds }: RevokedCertificates, certificate: Certificate): boolean {
  if (authority && encodeHex(authority.blob) !== encodeHex(certificate.signatureKey.blob)) return false;
  if (keyIds.includes(certificate.keyId)) return true;
  const { serial } = certificate;
  // Zero is what authorities write that do not count (PROTOCOL.krl): it names no certificate.
  if (serial === 0n) return false;
  return serials.some((revoked) =>
    "bitmap" in revoked ? holdsBit(revoked, serial) : revoked.first <= serial && serial <= revoked.last
  );
}

function holdsBit({ offset, bitmap }: SerialBitmap, serial: bigint): boolean {
  const bit = serial - offset;
  if (bit < 0n || bit >= BigInt(8 * bitmap.length)) return false;
  const index = Number(bit);
  return (bitmap[bitmap.length - 1 - (index >> 3)] & (1 << (index & 7))) !== 0;
}

/**
 * Reads a file as `RevokedKeys` takes it: a KRL, or public keys one per line.
 * @throws {KeyError} for anything that is not understood: what revokes nothing by mistake must not go unnoticed
 */
export function parseRevokedKeys(bytes: Bytes): RevocationList {
  if (isKrl(bytes)) return new RevocationList(parseKrl(bytes));
  const keys: Bytes[] = [];
  decodeText(bytes).split("\n").forEach((content, index) => {
    const line = content.trim();
    if (line === "" || line.startsWith("#")) return;
    try {
      keys.push(parsePublicKeyLine(line).key.blob);
    } catch (cause) {
      if (!(cause instanceof KeyError)) throw cause;
      throw new KeyError(cause.code, `line ${index + 1}: ${cause.message}`, { cause });
    }
  });
  return new RevocationList({ keys });
}
