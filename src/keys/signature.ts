/**
 * Signature schemes: how the signature field of an SSH signature blob maps to what WebCrypto makes and checks.
 * One row per signature algorithm.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { type FidoFormat, u2f, webauthn } from "./fido.ts";

/** Parameters that serve WebCrypto's import, sign and verify alike: each takes the members it knows. */
export interface WebCryptoParameters {
  readonly name: "Ed25519" | "ECDSA" | "RSASSA-PKCS1-v1_5";
  readonly namedCurve?: "P-256" | "P-384" | "P-521";
  readonly hash?: "SHA-256" | "SHA-384" | "SHA-512";
}

/** One signature algorithm, between SSH and WebCrypto. */
export interface SignatureScheme {
  readonly parameters: WebCryptoParameters;
  /**
   * WebCrypto's signature from the SSH one.
   * @param size bytes of the modulus (RSA) or of the curve's field; else not used
   * @throws {MalformedError}
   */
  toRaw(signature: Bytes, size: number): Bytes;
  /** The SSH signature from WebCrypto's. */
  fromRaw(raw: Bytes): Bytes;
  /** FIDO keys sign an envelope around the data instead of the data. */
  readonly fido?: FidoFormat;
}

/** Big-endian `digits` with zeros put before them up to `length`. @throws {MalformedError} when longer */
function leftPad(digits: Bytes, length: number): Bytes {
  if (digits.length > length) {
    throw new MalformedError(`number of ${digits.length} bytes where ${length} fit`);
  }
  const padded = new Uint8Array(length);
  padded.set(digits, length - digits.length);
  return padded;
}

// RFC 8709 §6
const ed25519: SignatureScheme = {
  parameters: { name: "Ed25519" },
  toRaw(signature) {
    if (signature.length !== 64) throw new MalformedError(`Ed25519 signature of ${signature.length} bytes`);
    return signature;
  },
  fromRaw: (raw) => raw,
};

// RFC 5656 §3.1.2: mpint r, mpint s. WebCrypto: r and s at full length, one after the other.
function ecdsa(namedCurve: "P-256" | "P-384" | "P-521", hash: "SHA-256" | "SHA-384" | "SHA-512") {
  return {
    parameters: { name: "ECDSA", namedCurve, hash },
    toRaw(signature, size) {
      const reader = new Reader(signature);
      const raw = new Uint8Array(2 * size);
      raw.set(leftPad(reader.mpint(), size));
      raw.set(leftPad(reader.mpint(), size), size);
      reader.end();
      return raw;
    },
    fromRaw(raw) {
      const half = raw.length / 2;
      return new Writer().mpint(raw.subarray(0, half)).mpint(raw.subarray(half)).finish();
    },
  } satisfies SignatureScheme;
}

// RFC 8332 §3. Some peers drop leading zeros: 1 signature in 256 would fail if they were not put back.
function rsa(hash: "SHA-256" | "SHA-512"): SignatureScheme {
  return {
    parameters: { name: "RSASSA-PKCS1-v1_5", hash },
    toRaw: leftPad,
    fromRaw: (raw) => raw,
  };
}

const p256 = ecdsa("P-256", "SHA-256");

/** Schemes by signature algorithm. There is no SHA-1 here, on purpose. */
export const signatureSchemes: Readonly<Record<string, SignatureScheme>> = Object.freeze(
  Object.assign(Object.create(null) as Record<string, SignatureScheme>, {
    "ssh-ed25519": ed25519,
    "ecdsa-sha2-nistp256": p256,
    "ecdsa-sha2-nistp384": ecdsa("P-384", "SHA-384"),
    "ecdsa-sha2-nistp521": ecdsa("P-521", "SHA-512"),
    "rsa-sha2-512": rsa("SHA-512"),
    "rsa-sha2-256": rsa("SHA-256"),
    "sk-ssh-ed25519@openssh.com": { ...ed25519, fido: u2f },
    "sk-ecdsa-sha2-nistp256@openssh.com": { ...p256, fido: u2f },
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com": { ...p256, fido: webauthn },
  }),
);
