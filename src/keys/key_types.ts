/** The table of key types: names, fields of the public key blob, signature algorithms. */
import type { Bytes } from "../bytes/bytes.ts";
import { MalformedError, type Reader } from "../bytes/reader.ts";
import { encodeBase64Url } from "../bytes/encoding.ts";
import type { KeyType } from "./types.ts";

/** RSA moduli below this are refused everywhere: they have been factored or soon will be. */
const MINIMUM_RSA_BITS = 1024;
/** RSA moduli above this are refused: verifying takes time that an attacker need not spend. */
const MAXIMUM_RSA_BITS = 16384;
/** Public exponents above 64 bits are refused for the same reason, as OpenSSL does. */
const MAXIMUM_RSA_EXPONENT_BYTES = 8;

/** The fields of a public key blob after its type, made ready for WebCrypto. */
export interface PublicFields {
  /** Modulus or curve size. */
  readonly bits: number;
  /** A point or an Ed25519 key: format `raw`; an RSA key: format `jwk`. */
  readonly material: Bytes | JsonWebKey;
  /** FIDO keys: what the key was made for. */
  readonly application?: Bytes;
}

/** One key type. */
export interface KeyTypeRow {
  readonly certificateType: string;
  /** Best first. */
  readonly signatureAlgorithms: readonly string[];
  /** Reads the fields after the type. @throws {MalformedError} */
  readonly read: (reader: Reader) => PublicFields;
}

// RFC 8709 §4
function readEd25519(reader: Reader): PublicFields {
  const material = reader.string();
  if (material.length !== 32) throw new MalformedError(`Ed25519 key of ${material.length} bytes`);
  return { bits: 256, material };
}

// RFC 5656 §3.1. Whether the point is on its curve is found by WebCrypto when the key is used.
function readEcdsa(curve: string, bits: number): (reader: Reader) => PublicFields {
  const length = 1 + 2 * Math.ceil(bits / 8);
  return (reader) => {
    const named = reader.text();
    if (named !== curve) throw new MalformedError(`curve is not ${curve}`);
    const material = reader.string();
    // 4: uncompressed. RFC 5656 allows compression; OpenSSH refuses it, and nobody sends it.
    if (material.length !== length || material[0] !== 4) {
      throw new MalformedError("not an uncompressed point of the curve");
    }
    return { bits, material };
  };
}

// RFC 4253 §6.6
function readRsa(reader: Reader): PublicFields {
  const e = reader.mpint();
  const n = reader.mpint();
  if (n.length === 0 || e.length === 0) throw new MalformedError("RSA key with a zero");
  const bits = 8 * n.length - Math.clz32(n[0]) + 24;
  if (bits < MINIMUM_RSA_BITS || bits > MAXIMUM_RSA_BITS) {
    throw new MalformedError(
      `RSA modulus of ${bits} bits; ${MINIMUM_RSA_BITS}–${MAXIMUM_RSA_BITS} are accepted`,
    );
  }
  const one = e.length === 1 && e[0] === 1;
  if (e.length > MAXIMUM_RSA_EXPONENT_BYTES || (e[e.length - 1] & 1) === 0 || one) {
    throw new MalformedError("RSA exponent out of range");
  }
  if ((n[n.length - 1] & 1) === 0) throw new MalformedError("even RSA modulus");
  return { bits, material: { kty: "RSA", n: encodeBase64Url(n), e: encodeBase64Url(e) } };
}

// OpenSSH PROTOCOL.u2f: the plain fields, then string application.
function withApplication(read: (reader: Reader) => PublicFields): (reader: Reader) => PublicFields {
  return (reader) => ({ ...read(reader), application: reader.string() });
}

/** Every key type that this library knows. Adding one is adding a row. */
export const keyTypes: Readonly<Record<KeyType, KeyTypeRow>> = {
  "ssh-ed25519": {
    certificateType: "ssh-ed25519-cert-v01@openssh.com",
    signatureAlgorithms: ["ssh-ed25519"],
    read: readEd25519,
  },
  "ecdsa-sha2-nistp256": {
    certificateType: "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    signatureAlgorithms: ["ecdsa-sha2-nistp256"],
    read: readEcdsa("nistp256", 256),
  },
  "ecdsa-sha2-nistp384": {
    certificateType: "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    signatureAlgorithms: ["ecdsa-sha2-nistp384"],
    read: readEcdsa("nistp384", 384),
  },
  "ecdsa-sha2-nistp521": {
    certificateType: "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    signatureAlgorithms: ["ecdsa-sha2-nistp521"],
    read: readEcdsa("nistp521", 521),
  },
  "ssh-rsa": {
    certificateType: "ssh-rsa-cert-v01@openssh.com",
    signatureAlgorithms: ["rsa-sha2-512", "rsa-sha2-256"],
    read: readRsa,
  },
  "sk-ssh-ed25519@openssh.com": {
    certificateType: "sk-ssh-ed25519-cert-v01@openssh.com",
    signatureAlgorithms: ["sk-ssh-ed25519@openssh.com"],
    read: withApplication(readEd25519),
  },
  "sk-ecdsa-sha2-nistp256@openssh.com": {
    certificateType: "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    signatureAlgorithms: [
      "sk-ecdsa-sha2-nistp256@openssh.com",
      "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    ],
    read: withApplication(readEcdsa("nistp256", 256)),
  },
};

const plainTypes = new Map(
  Object.entries(keyTypes).map(([type, row]) => [row.certificateType, type as KeyType]),
);

/** Whether `name` is a key type that this library knows. */
export function isKeyType(name: string): name is KeyType {
  return Object.hasOwn(keyTypes, name);
}

/** `ssh-ed25519` → `ssh-ed25519-cert-v01@openssh.com`. */
export function certificateType(type: KeyType): string {
  return keyTypes[type].certificateType;
}

/** `ssh-ed25519-cert-v01@openssh.com` → `ssh-ed25519`; undefined when `name` is no certificate type. */
export function plainType(name: string): KeyType | undefined {
  return plainTypes.get(name);
}

/** `rsa-sha2-512` → `rsa-sha2-512-cert-v01@openssh.com`: the public key algorithm of a certificate that signs so. */
export function certificateAlgorithm(signatureAlgorithm: string): string {
  const base = signatureAlgorithm.replace(/@openssh\.com$/, "");
  return `${base}-cert-v01@openssh.com`;
}
