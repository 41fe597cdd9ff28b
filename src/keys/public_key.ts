/** Public keys: their blobs, their one-line text form, their signatures. */
import { type Bytes, decodeText } from "../bytes/bytes.ts";
import { decodeBase64, encodeBase64 } from "../bytes/encoding.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { FidoEnvelope } from "./fido.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { isKeyType, type KeyTypeRow, keyTypes, plainType, type PublicFields } from "./key_types.ts";
import { signatureSchemes, type WebCryptoParameters } from "./signature.ts";
import { KeyError, type KeyType, type PublicKey, type VerifiedSignature } from "./types.ts";

/**
 * Reads a public key blob (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4, OpenSSH PROTOCOL.u2f). The blob is copied.
 *
 * @throws {KeyError} `unsupported` for another type (a certificate is one), `malformed` for everything else that is
 * not exactly one key: bytes after it, an RSA modulus outside 1024–16384 bits, a point of the wrong size
 */
export function decodePublicKey(blob: Bytes): PublicKey {
  return orKeyError(() => {
    const reader = new Reader(blob);
    const type = reader.text();
    if (!isKeyType(type)) throw new KeyError("unsupported", `key type ${quote(type)} is not supported`);
    const key = readPublicKey(type, reader, blob);
    reader.end();
    return key;
  });
}

/**
 * Reads the fields of a key of `type` from where `reader` stands, as they lie in a certificate.
 * @param source what `reader` reads
 * @throws {MalformedError}
 */
export function readPublicKey(type: KeyType, reader: Reader, source: Bytes): PublicKey {
  const row = keyTypes[type];
  const start = reader.offset;
  // The reader's views must not keep a whole packet alive, nor change under us: read again from the copy.
  row.read(reader);
  const header = new Writer(source.length + 64).string(type);
  const fieldsAt = header.length;
  const blob = header.bytes(source.subarray(start, reader.offset)).finish().slice();
  return new DecodedPublicKey(type, row, blob, row.read(new Reader(blob, fieldsAt)));
}

/** A line of an `.pub` file. */
export interface PublicKeyLine {
  /** The key, or the key inside the certificate. */
  readonly key: PublicKey;
  readonly comment: string;
  /** The whole certificate, when the line holds one. Only its key was looked at. */
  readonly certificate?: Bytes;
}

/**
 * Reads `type base64 [comment]`, the line of `id_ed25519.pub` or `id_ed25519-cert.pub`.
 * @throws {KeyError}
 */
export function parsePublicKeyLine(line: string): PublicKeyLine {
  const match = /^\s*(\S+)[ \t]+(\S+)(?:[ \t]+(.*?))?\s*$/.exec(line);
  if (!match) throw new KeyError("malformed", "not a public key line: `type base64 comment` is expected");
  const [, name, text, comment = ""] = match;
  let blob: Bytes;
  try {
    blob = decodeBase64(text);
  } catch (cause) {
    throw new KeyError("malformed", "the key is not base64", { cause });
  }
  const certified = plainType(name);
  if (!certified && !isKeyType(name)) {
    throw new KeyError("unsupported", `key type ${quote(name)} is not supported`);
  }
  return orKeyError(() => {
    const reader = new Reader(blob);
    if (reader.text() !== name) {
      throw new MalformedError(`the key is not of the type ${name} that its line says`);
    }
    if (!certified) return { key: decodePublicKey(blob), comment };
    reader.string(); // nonce
    return { key: readPublicKey(certified, reader, blob), comment, certificate: blob };
  });
}

/** `type base64[ comment]` without a line end: for a key, or the blob of a certificate. */
export function formatPublicKey(key: PublicKey | Bytes, comment = ""): string {
  const blob = key instanceof Uint8Array ? key : key.blob;
  // One key is one line, whatever somebody wrote into a comment.
  const suffix = comment.replaceAll(/[\r\n\0]+/g, " ").trim();
  const line = `${decodeText(new Reader(blob).string())} ${encodeBase64(blob)}`;
  return suffix ? `${line} ${suffix}` : line;
}

/** A peer's word as part of a message: short and printable. */
function quote(name: string): string {
  return JSON.stringify(name.slice(0, 64).replaceAll(/[^\x20-\x7e]/g, "?"));
}

function orKeyError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedError) {
      throw new KeyError("malformed", `malformed public key: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

class DecodedPublicKey implements PublicKey {
  readonly #fields: PublicFields;
  readonly #imported = new Map<string, Promise<CryptoKey>>();
  readonly signatureAlgorithms: readonly string[];
  readonly bits: number;

  constructor(readonly type: KeyType, row: KeyTypeRow, readonly blob: Bytes, fields: PublicFields) {
    this.#fields = fields;
    this.bits = fields.bits;
    this.signatureAlgorithms = row.signatureAlgorithms;
  }

  fingerprint(): Promise<string> {
    return fingerprintOf(this.blob);
  }

  async verify(algorithm: string, signature: Bytes, data: Bytes): Promise<VerifiedSignature | undefined> {
    if (!this.signatureAlgorithms.includes(algorithm)) return undefined;
    const scheme = signatureSchemes[algorithm];
    let raw: Bytes;
    let envelope: FidoEnvelope | undefined;
    try {
      const reader = new Reader(signature);
      if (reader.text() !== algorithm) return undefined;
      const value = reader.string();
      envelope = await scheme.fido?.(reader, this.#fields.application!, data);
      reader.end();
      raw = scheme.toRaw(value, Math.ceil(this.bits / 8));
    } catch (error) {
      if (error instanceof MalformedError) return undefined;
      throw error;
    }
    const { parameters } = scheme;
    const right = await this.#import(parameters)
      .then((key) => crypto.subtle.verify(parameters, key, raw, envelope?.signed ?? data))
      // WebCrypto throws for a key that it cannot use, each runtime another error: a point that is not on its curve,
      // an RSA modulus beyond the runtime's limit (4096 bits in Deno). What nobody can verify did not verify.
      .catch(() => false);
    return right ? { algorithm, fido: envelope?.fido } : undefined;
  }

  #import(parameters: WebCryptoParameters): Promise<CryptoKey> {
    const id = parameters.hash ?? "";
    let key = this.#imported.get(id);
    if (!key) {
      const { material } = this.#fields;
      key = material instanceof Uint8Array
        ? crypto.subtle.importKey("raw", material, parameters, false, ["verify"])
        : crypto.subtle.importKey("jwk", material, parameters, false, ["verify"]);
      this.#imported.set(id, key);
    }
    return key;
  }
}
