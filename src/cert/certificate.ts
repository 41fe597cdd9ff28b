/** OpenSSH certificates: reading and signing (draft-ietf-sshm-cert, OpenSSH PROTOCOL.certkeys). */
import { type Bytes, compare, EMPTY, encodeText, randomBytes } from "../bytes/bytes.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { certificateType, isKeyType, plainType } from "../keys/key_types.ts";
import { decodePublicKey, readPublicKey } from "../keys/public_key.ts";
import { KeyError, type PublicKey, type Signer } from "../keys/types.ts";
import type { Certificate } from "./types.ts";

/** OpenSSH refuses more (SSHKEY_CERT_MAX_PRINCIPALS). */
const MAXIMUM_PRINCIPALS = 256;
/** `validBefore` of a certificate that never expires. */
export const FOREVER = 0xffff_ffff_ffff_ffffn;

const roles = { 1: "user", 2: "host" } as const;
const roleNumbers = { user: 1, host: 2 } as const;

/**
 * Reads a certificate. Nothing is verified: that is `checkCertificate`'s business. The blob is kept, not copied.
 *
 * @throws {KeyError} `unsupported` when the type is not a certificate that this library knows; `malformed` for
 * everything that is not exactly one certificate: bytes after it, options out of order or twice, text that is not
 * UTF-8 or holds NUL, an authority's key that is a certificate itself
 */
export function parseCertificate(blob: Bytes): Certificate {
  try {
    return read(blob);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new KeyError("malformed", `malformed certificate: ${error.message}`, { cause: error });
  }
}

function read(blob: Bytes): Certificate {
  const reader = new Reader(blob);
  const type = reader.text();
  const keyType = plainType(type);
  if (!keyType) {
    const problem = isKeyType(type)
      ? "a plain key, not a certificate"
      : "not a certificate of a supported type";
    throw new KeyError("unsupported", problem);
  }
  const nonce = reader.string();
  const publicKey = readPublicKey(keyType, reader, blob);
  const serial = reader.uint64();
  const role = roles[reader.uint32() as 1 | 2];
  if (!role) throw new MalformedError("neither a user nor a host certificate");
  const keyId = text(reader);
  const principals = readPrincipals(reader.string());
  const validAfter = reader.uint64();
  const validBefore = reader.uint64();
  const criticalOptions = readOptions(reader.string());
  const extensions = readOptions(reader.string());
  reader.string(); // reserved
  const signatureKey = readAuthority(reader.string());
  const signature = reader.string();
  reader.end();
  const signatureAlgorithm = new Reader(signature).text();
  return {
    type,
    role,
    publicKey,
    nonce,
    serial,
    keyId,
    principals,
    validAfter,
    validBefore,
    criticalOptions,
    extensions,
    signatureKey,
    signatureAlgorithm,
    blob,
  };
}

/** Text that is compared or shown: a NUL or a replacement character could make two different ones look alike. */
function text(reader: Reader): string {
  const value = reader.utf8();
  if (value.includes("\0")) throw new MalformedError("NUL in text");
  return value;
}

function readPrincipals(bytes: Bytes): string[] {
  const reader = new Reader(bytes);
  const principals: string[] = [];
  while (reader.remaining > 0) {
    if (principals.length === MAXIMUM_PRINCIPALS) throw new MalformedError("too many principals");
    principals.push(text(reader));
  }
  return principals;
}

/** `string name, string data` pairs; data is empty or a `string` itself. Sorted, each name once. */
function readOptions(bytes: Bytes): Map<string, Bytes> {
  const reader = new Reader(bytes);
  const options = new Map<string, Bytes>();
  let last: Bytes | undefined;
  while (reader.remaining > 0) {
    const at = reader.offset;
    const name = text(reader);
    const nameBytes = bytes.subarray(at + 4, reader.offset);
    if (last && compare(last, nameBytes) >= 0) throw new MalformedError("options out of order");
    last = nameBytes;
    options.set(name, unwrap(reader.string()));
  }
  return options;
}

function unwrap(data: Bytes): Bytes {
  if (data.length === 0) return EMPTY;
  const reader = new Reader(data);
  const value = reader.string();
  reader.end();
  return value;
}

/** The authority's key. A certificate here is refused by its name alone, before anything in it is read. */
function readAuthority(blob: Bytes): PublicKey {
  if (plainType(new Reader(blob).text())) {
    throw new MalformedError("the authority's key is a certificate itself");
  }
  return decodePublicKey(blob);
}

/**
 * Whether the authority's signature is right.
 * @param algorithms signature algorithms that count
 */
export async function verifyAuthority(
  certificate: Certificate,
  algorithms: readonly string[],
): Promise<boolean> {
  const { blob, signatureKey, signatureAlgorithm } = certificate;
  if (!algorithms.includes(signatureAlgorithm)) return false;
  const signature = readSignature(blob);
  const signed = blob.subarray(0, blob.length - signature.length - 4);
  return await signatureKey.verify(signatureAlgorithm, signature, signed) !== undefined;
}

/** The last field, found by reading over all fields before it. */
function readSignature(blob: Bytes): Bytes {
  const reader = new Reader(blob);
  const keyType = plainType(reader.text())!;
  reader.string(); // nonce
  readPublicKey(keyType, reader, blob);
  reader.bytes(8 + 4); // serial, role
  reader.string(); // key id
  reader.string(); // principals
  reader.bytes(8 + 8); // validity
  for (let field = 0; field < 4; field++) reader.string(); // options, extensions, reserved, authority
  return reader.string();
}

/** What an authority certifies. */
export interface CertificateFields {
  readonly role: "user" | "host";
  readonly publicKey: PublicKey;
  readonly serial: bigint;
  readonly keyId: string;
  /** At least one: a certificate without is valid for everyone in some implementations, for nobody in ours. */
  readonly principals: readonly string[];
  /** Seconds since 1970. */
  readonly validAfter: bigint;
  /** Seconds since 1970, or {@link FOREVER}. */
  readonly validBefore: bigint;
  /** Name to value; flags have an empty one. In any order. */
  readonly criticalOptions?: ReadonlyMap<string, Bytes | string>;
  readonly extensions?: ReadonlyMap<string, Bytes | string>;
}

/**
 * Signs a certificate; resolves to its blob.
 *
 * @param authority the key that signs; its certificate, if it has one, is not used
 * @param algorithm one of the authority's signature algorithms, the best by default
 * @throws {RangeError} for fields that no careful verifier would accept: no principals; one with a comma, white space,
 * a control character or a wildcard; a validity that is empty; options on a host certificate
 */
export async function signCertificate(
  fields: CertificateFields,
  authority: Signer,
  algorithm: string = authority.publicKey.signatureAlgorithms[0],
): Promise<Bytes> {
  refuseCareless(fields);
  const { publicKey } = fields;
  const writer = new Writer(1024).string(certificateType(publicKey.type)).string(randomBytes(32))
    .bytes(fieldsOf(publicKey))
    .uint64(fields.serial)
    .uint32(roleNumbers[fields.role])
    .string(fields.keyId)
    .string(writePrincipals(fields.principals))
    .uint64(fields.validAfter)
    .uint64(fields.validBefore)
    .string(writeOptions(fields.criticalOptions))
    .string(writeOptions(fields.extensions))
    .string("") // reserved
    .string(authority.publicKey.blob);
  // A signer may take its time: it gets bytes that nobody appends to.
  const signature = await authority.sign(algorithm, writer.finish().slice());
  return writer.string(signature).finish().slice();
}

function refuseCareless(
  { role, principals, validAfter, validBefore, criticalOptions, ...rest }: CertificateFields,
) {
  if (principals.length === 0) throw new RangeError("a certificate needs a principal");
  if (principals.length > MAXIMUM_PRINCIPALS) throw new RangeError("too many principals");
  for (const principal of principals) {
    // deno-lint-ignore no-control-regex
    if (principal === "" || /[\s,*?!\x00-\x1f\x7f]/.test(principal)) {
      throw new RangeError(
        `${JSON.stringify(principal)} is no principal: comma, white space, wildcard or nothing`,
      );
    }
  }
  if (validAfter < 0n || validBefore > FOREVER || validAfter >= validBefore) {
    throw new RangeError("the certificate would never be valid");
  }
  if (rest.serial < 0n || rest.serial > FOREVER) throw new RangeError("serials have 64 bits");
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(rest.keyId)) throw new RangeError("control character in the key id");
  if (role === "host" && criticalOptions?.size) {
    throw new RangeError("host certificates have no critical options");
  }
}

/** A key blob without its type. */
function fieldsOf(key: PublicKey): Bytes {
  const reader = new Reader(key.blob);
  reader.string();
  return reader.rest();
}

function writePrincipals(principals: readonly string[]): Bytes {
  const writer = new Writer();
  for (const principal of principals) writer.string(principal);
  return writer.finish();
}

function writeOptions(options: ReadonlyMap<string, Bytes | string> = new Map()): Bytes {
  const named = [...options].map(([name, value]) => [encodeText(name), value] as const);
  named.sort(([a], [b]) => compare(a, b));
  const writer = new Writer();
  for (const [name, value] of named) {
    writer.string(name).string(value.length === 0 ? EMPTY : new Writer().string(value).finish());
  }
  return writer.finish();
}

/**
 * A signer that also shows `certificate`.
 * @throws {KeyError} `mismatch` when the certificate is not about the signer's key
 */
export function withCertificate(signer: Signer, certificate: Bytes): Signer {
  const { publicKey } = parseCertificate(certificate);
  if (compare(publicKey.blob, signer.publicKey.blob) !== 0) {
    throw new KeyError("mismatch", "the certificate belongs to another key");
  }
  return {
    publicKey: signer.publicKey,
    certificate,
    sign: (algorithm, data) => signer.sign(algorithm, data),
  };
}

/** The same key without what certifies it. */
export function withoutCertificate(signer: Signer): Signer {
  return { publicKey: signer.publicKey, sign: (algorithm, data) => signer.sign(algorithm, data) };
}
