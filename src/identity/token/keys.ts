/** Public keys of issuers: from a JWK Set (RFC 7517 §5) to keys that may verify. */
import { type CryptoKey, importJWK, type JWK } from "jose";
import { decodeBase64Url } from "../../bytes/encoding.ts";
import { printable } from "../../bytes/printable.ts";

/** Keys in one set: issuers have two to ten. */
export const MAX_KEYS = 100;
/** Bits of an RSA modulus: less is too weak (NIST SP 800-131A), more a way to burn our time. */
const RSA_BITS = { least: 2048, most: 16384 };

/** A key that may verify signatures. */
export interface VerificationKey {
  readonly kid?: string;
  /** Names of algorithms that it is for, as `alg` has them. */
  readonly algorithms: readonly string[];
  /** Imported when it is first needed. Rejects when the platform does not take it. */
  forAlgorithm(alg: string): Promise<CryptoKey>;
}

/** A JWK Set, read. */
export interface KeySet {
  readonly keys: readonly VerificationKey[];
  /** Why a key of the set is not used, by `kid`, as a clause: for whoever presents a token with it. */
  readonly unusable: ReadonlyMap<string, string>;
}

/**
 * Algorithms by key type and curve (RFC 7518 §3.1, RFC 8037, RFC 9864). What is not here does not exist: `none`, and all
 * that verify with a secret.
 */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "EC P-256": ["ES256"],
  "EC P-384": ["ES384"],
  "EC P-521": ["ES512"],
  "OKP Ed25519": ["EdDSA", "Ed25519"],
};

/** The members that make a public key; others, private ones above all, are never handed on. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  RSA: ["n", "e"],
  EC: ["crv", "x", "y"],
  OKP: ["crv", "x"],
};

/** Whether any key of any issuer could be for `alg`. */
export function isAcceptableAlgorithm(alg: string): boolean {
  return Object.values(ALGORITHMS).some((algorithms) => algorithms.includes(alg));
}

/**
 * Reads a JWK Set. Keys for other purposes, of other types, weak or secret ones are left out.
 * @throws {TypeError} with a clause when it is no set, or has more than {@link MAX_KEYS} keys
 */
export function readKeySet(document: unknown): KeySet {
  const listed = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(listed)) throw new TypeError("it is no JWK Set: it has no list of 'keys'");
  if (listed.length > MAX_KEYS) throw new TypeError(`it has more than ${MAX_KEYS} keys`);
  const keys: VerificationKey[] = [];
  const unusable = new Map<string, string>();
  for (const jwk of listed) {
    const key = readKey(jwk);
    if (typeof key !== "string") keys.push(key);
    else if (typeof jwk?.kid === "string") unusable.set(jwk.kid, key);
  }
  return { keys, unusable };
}

/** The key, or why it is none for us. */
function readKey(jwk: unknown): VerificationKey | string {
  if (typeof jwk !== "object" || jwk === null) return "it is no object";
  const key = jwk as Readonly<Record<string, unknown>>;
  const { kty, crv, kid, use, key_ops: operations, alg } = key;
  if (kid !== undefined && typeof kid !== "string") return "its 'kid' is no text";
  const type = kty === "RSA" ? "RSA" : `${kty} ${crv}`;
  if (!Object.hasOwn(ALGORITHMS, type)) return `its type is ${printable(type, 64)}`;
  if (use !== undefined && use !== "sig") return "its 'use' is not 'sig'";
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    return "its 'key_ops' do not have 'verify'";
  }
  if (Object.hasOwn(key, "d")) return "its private half lies open in the set";
  const algorithms = alg === undefined ? ALGORITHMS[type] : ALGORITHMS[type].filter((name) => name === alg);
  if (algorithms.length === 0) return `its 'alg' does not go with its type ${type}`;
  const members = MEMBERS[kty as string];
  if (!members.every((name) => typeof key[name] === "string")) return "it is not complete";
  const weak = kty === "RSA" ? rsaSizeMistake(key.n as string) : undefined;
  if (weak) return weak;
  const publicJwk = Object.fromEntries(["kty", ...members].map((name) => [name, key[name]])) as JWK;
  return {
    ...(kid !== undefined && { kid }),
    algorithms,
    forAlgorithm: remembered((algorithm) => importJWK(publicJwk, algorithm) as Promise<CryptoKey>),
  };
}

function rsaSizeMistake(modulus: string): string | undefined {
  let bits: number;
  try {
    const bytes = decodeBase64Url(modulus);
    const first = bytes.findIndex((byte) => byte !== 0);
    bits = first < 0 ? 0 : (bytes.length - first) * 8 - (Math.clz32(bytes[first]) - 24);
  } catch {
    return "its modulus is not base64url";
  }
  const { least, most } = RSA_BITS;
  if (bits < least || bits > most) {
    return `it is an RSA key of ${bits} bits, and ${least} to ${most} are accepted`;
  }
}

/** Calls `make` once per argument. A platform's key is for one algorithm: RS256 and PS256 need one each. */
function remembered<T>(make: (argument: string) => Promise<T>): (argument: string) => Promise<T> {
  const made = new Map<string, Promise<T>>();
  return (argument) => {
    let result = made.get(argument);
    if (!result) made.set(argument, result = make(argument));
    return result;
  };
}
