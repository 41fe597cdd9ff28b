/** Which keys and signatures are taken, in requests and in chains. */
import { X509Error } from "./error.ts";
import type { X509PublicKey } from "./library.ts";

/** RSA moduli in bits: below is weak, above costs the verifier more than anybody gains. */
const RSA_BITS = { least: 2048, most: 8192 };

/** As WebCrypto describes keys and the library signature algorithms. */
interface Described extends Algorithm {
  readonly namedCurve?: string;
  readonly modulusLength?: number;
  readonly hash?: { readonly name: string };
}

/** Keys by algorithm's name. */
const KEYS: Readonly<Record<string, (key: Described) => boolean>> = {
  ECDSA: ({ namedCurve }) => namedCurve === "P-256" || namedCurve === "P-384",
  Ed25519: () => true,
  "RSASSA-PKCS1-v1_5": ({ modulusLength = 0 }) =>
    modulusLength >= RSA_BITS.least && modulusLength <= RSA_BITS.most,
};

/** Never SHA-1. */
const HASHES = ["SHA-256", "SHA-384", "SHA-512"];

/** @throws {X509Error} `algorithm` unless it is ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits */
export function requireKey(key: X509PublicKey): void {
  const { algorithm } = key;
  if (Object.hasOwn(KEYS, algorithm.name) && KEYS[algorithm.name](algorithm)) return;
  throw new X509Error(
    "algorithm",
    `the key is not ECDSA P-256 or P-384, Ed25519, or RSA of ${RSA_BITS.least} to ${RSA_BITS.most} bits`,
  );
}

/** @throws {X509Error} `algorithm` unless `key` makes such signatures, with SHA-2 */
export function requireSignature(signature: Described, key: X509PublicKey): void {
  const hashed = signature.name === "Ed25519" || HASHES.includes(signature.hash?.name ?? "");
  if (signature.name === key.algorithm.name && hashed) return;
  throw new X509Error("algorithm", "the signature's algorithm is not one of the key's, with SHA-2");
}
