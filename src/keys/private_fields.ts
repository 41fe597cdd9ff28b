/**
 * The private fields of each key type as the OpenSSH key file and the agent protocol write them, to and from JWK
 * (which is what WebCrypto takes and gives).
 */
import { type Bytes, concat } from "../bytes/bytes.ts";
import { decodeBase64Url, encodeBase64Url, encodeHex } from "../bytes/encoding.ts";
import { MalformedError, type Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { KeyType } from "./types.ts";

/** Types that can be held in memory: those of FIDO tokens cannot. */
export type PlainKeyType = Exclude<KeyType, `sk-${string}`>;

/** How the private key of one type is written. */
export interface PrivateFieldsRow {
  /** Reads the fields after the type. @throws {MalformedError} */
  read(reader: Reader): JsonWebKey;
  /** Writes the fields after the type. */
  write(writer: Writer, jwk: JsonWebKey): void;
  /** The public key's fields after the type. */
  writePublic(writer: Writer, jwk: JsonWebKey): void;
  readonly generate: (bits?: number) => RsaHashedKeyGenParams | EcKeyGenParams | Algorithm;
}

const bytesOf = (member: string | undefined): Bytes => decodeBase64Url(member ?? "");

// string public key, string seed ‖ public key
const ed25519: PrivateFieldsRow = {
  read(reader) {
    const x = reader.string();
    const pair = reader.string();
    if (x.length !== 32 || pair.length !== 64) throw new MalformedError("Ed25519 key of the wrong size");
    return { kty: "OKP", crv: "Ed25519", x: encodeBase64Url(x), d: encodeBase64Url(pair.subarray(0, 32)) };
  },
  write(writer, jwk) {
    const x = bytesOf(jwk.x);
    writer.string(x).string(concat(bytesOf(jwk.d), x));
  },
  writePublic: (writer, jwk) => void writer.string(bytesOf(jwk.x)),
  generate: () => ({ name: "Ed25519" }),
};

// string curve, string point, mpint scalar
function ecdsa(curve: string, crv: string, size: number): PrivateFieldsRow {
  const writePublic = (writer: Writer, jwk: JsonWebKey) =>
    void writer.string(curve).string(concat(new Uint8Array([4]), bytesOf(jwk.x), bytesOf(jwk.y)));
  return {
    read(reader) {
      if (reader.text() !== curve) throw new MalformedError(`curve is not ${curve}`);
      const point = reader.string();
      const d = reader.mpint();
      if (point.length !== 1 + 2 * size || point[0] !== 4 || d.length > size) {
        throw new MalformedError("ECDSA key of the wrong size");
      }
      const scalar = new Uint8Array(size);
      scalar.set(d, size - d.length);
      const coordinates = [point.subarray(1, 1 + size), point.subarray(1 + size), scalar];
      const [x, y, z] = coordinates.map(encodeBase64Url);
      return { kty: "EC", crv, x, y, d: z };
    },
    write(writer, jwk) {
      writePublic(writer, jwk);
      writer.mpint(bytesOf(jwk.d));
    },
    writePublic,
    generate: () => ({ name: "ECDSA", namedCurve: crv }),
  };
}

const toBigInt = (bytes: Bytes): bigint => BigInt("0x" + (encodeHex(bytes) || "0"));

function fromBigInt(value: bigint): Bytes {
  const digits = value.toString(16);
  return Uint8Array.from(
    (digits.length % 2 ? "0" + digits : digits).match(/../g)!,
    (pair) => parseInt(pair, 16),
  );
}

/** RSA keys made here have this many bits unless said otherwise: ssh-keygen's default. */
const DEFAULT_RSA_BITS = 3072;

// mpint n, e, d, q⁻¹ mod p, p, q. JWK also wants d mod p-1 and d mod q-1 (RFC 8017 §3.2).
const rsa: PrivateFieldsRow = {
  read(reader) {
    const [n, e, d, qi, p, q] = Array.from({ length: 6 }, () => reader.mpint());
    if (p.length < 2 || q.length < 2) throw new MalformedError("RSA key without its primes");
    const exponent = toBigInt(d);
    const dp = fromBigInt(exponent % (toBigInt(p) - 1n));
    const dq = fromBigInt(exponent % (toBigInt(q) - 1n));
    const members = Object.entries({ n, e, d, p, q, dp, dq, qi })
      .map(([member, value]) => [member, encodeBase64Url(value)]);
    return { kty: "RSA", ...Object.fromEntries(members) };
  },
  write(writer, { n, e, d, qi, p, q }) {
    for (const member of [n, e, d, qi, p, q]) writer.mpint(bytesOf(member));
  },
  writePublic: (writer, jwk) => void writer.mpint(bytesOf(jwk.e)).mpint(bytesOf(jwk.n)),
  generate: (bits = DEFAULT_RSA_BITS) => ({
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: bits,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  }),
};

/** Private fields by key type. */
export const privateFields: Readonly<Record<PlainKeyType, PrivateFieldsRow>> = {
  "ssh-ed25519": ed25519,
  "ecdsa-sha2-nistp256": ecdsa("nistp256", "P-256", 32),
  "ecdsa-sha2-nistp384": ecdsa("nistp384", "P-384", 48),
  "ecdsa-sha2-nistp521": ecdsa("nistp521", "P-521", 66),
  "ssh-rsa": rsa,
};

/** Whether keys of this type can be held in memory. */
export function isPlainKeyType(type: string): type is PlainKeyType {
  return Object.hasOwn(privateFields, type);
}

/** The public key blob that belongs to a private key. */
export function publicBlob(type: PlainKeyType, jwk: JsonWebKey): Bytes {
  const writer = new Writer().string(type);
  privateFields[type].writePublic(writer, jwk);
  return writer.finish();
}
