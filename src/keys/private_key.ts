/** Private keys in memory: reading files, generating, signing, writing. */
import { type Bytes, equal } from "../bytes/bytes.ts";
import { MalformedError } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { openEncrypted, openPem, openPutty } from "./foreign_key.ts";
import { isKeyType, keyTypes } from "./key_types.ts";
import { type OpenedKey, readContainer, readPrivatePart, writeContainer } from "./openssh_key.ts";
import { isPlainKeyType, type PlainKeyType, privateFields, publicBlob } from "./private_fields.ts";
import { decodePublicKey } from "./public_key.ts";
import { signatureSchemes, type WebCryptoParameters } from "./signature.ts";
import { KeyError, type KeyType, type PublicKey, type Signer } from "./types.ts";

/** Deno's WebCrypto signs with longer RSA keys, but does not verify. */
const VERIFIABLE_RSA_BITS = 4096;

/** A private key in memory. Its secret members show in no log, no error and no JSON. */
export class PrivateKey implements Signer {
  readonly publicKey: PublicKey;
  readonly comment: string;
  readonly #jwk: JsonWebKey;
  readonly #imported = new Map<string, Promise<CryptoKey>>();

  /** Made by {@link parsePrivateKey} and {@link generatePrivateKey}. */
  private constructor(opened: OpenedKey) {
    this.publicKey = decodePublicKey(publicBlob(opened.type, opened.jwk));
    this.comment = opened.comment;
    this.#jwk = opened.jwk;
  }

  /**
   * A key from its private fields, tried once: what it signs, its public half must verify.
   * @throws {KeyError} `mismatch`, `unsupported`
   */
  static async from(opened: OpenedKey): Promise<PrivateKey> {
    const key = new PrivateKey(opened);
    const [algorithm] = key.publicKey.signatureAlgorithms;
    const data = new Uint8Array(32);
    let signature: Bytes;
    try {
      signature = await key.sign(algorithm, data);
    } catch {
      // The cause is dropped: it may describe the key.
      const { type, bits } = key.publicKey;
      throw new KeyError(
        "unsupported",
        `this runtime cannot use this ${bits}-bit ${type} key, or it is damaged`,
      );
    }
    const verifiable = key.publicKey.type !== "ssh-rsa" || key.publicKey.bits <= VERIFIABLE_RSA_BITS;
    if (verifiable && !await key.publicKey.verify(algorithm, signature, data)) {
      throw new KeyError("mismatch", "the public and the private half of the key do not belong together");
    }
    return key;
  }

  async sign(algorithm: string, data: Bytes): Promise<Bytes> {
    if (!this.publicKey.signatureAlgorithms.includes(algorithm)) {
      throw new TypeError(`a ${this.publicKey.type} key does not sign with ${algorithm}`);
    }
    const scheme = signatureSchemes[algorithm];
    const key = await this.#import(scheme.parameters);
    const raw = new Uint8Array(await crypto.subtle.sign(scheme.parameters, key, data));
    return new Writer().string(algorithm).string(scheme.fromRaw(raw)).finish();
  }

  /** The text of an OpenSSH private key file. Secret: write it with mode 0600. */
  format(): string {
    return writeContainer({
      type: this.publicKey.type as PlainKeyType,
      jwk: this.#jwk,
      comment: this.comment,
    });
  }

  #import(parameters: WebCryptoParameters): Promise<CryptoKey> {
    const id = parameters.hash ?? "";
    let key = this.#imported.get(id);
    if (!key) {
      key = crypto.subtle.importKey("jwk", this.#jwk, parameters, false, ["sign"]);
      this.#imported.set(id, key);
    }
    return key;
  }
}

/** The text of an OpenSSH private key file, unencrypted. Secret: write it with mode 0600. */
export function formatPrivateKey(key: PrivateKey): string {
  return key.format();
}

/**
 * Makes a key.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { generatePrivateKey } from "./private_key.ts";
 * const key = await generatePrivateKey("ssh-ed25519", { comment: "ann@laptop" });
 * assert.match(await key.publicKey.fingerprint(), /^SHA256:/);
 * ```
 * @param options.bits for RSA: 2048–4096, 3072 by default
 * @throws {RangeError} for other sizes
 * @throws {KeyError} `unsupported` for the types of FIDO tokens, which make their keys themselves
 */
export async function generatePrivateKey(
  type: KeyType,
  options: { bits?: number; comment?: string } = {},
): Promise<PrivateKey> {
  if (!isPlainKeyType(type)) {
    throw new KeyError("unsupported", `keys of type ${isKeyType(type) ? type : "?"} are not made here`);
  }
  const { bits, comment = "" } = options;
  if (bits !== undefined && type === "ssh-rsa" && !(bits >= 2048 && bits <= 4096 && bits % 8 === 0)) {
    throw new RangeError("RSA keys are made with 2048–4096 bits, a multiple of 8");
  }
  const parameters = privateFields[type].generate(bits);
  const pair = await crypto.subtle.generateKey(parameters, true, ["sign", "verify"]) as CryptoKeyPair;
  const jwk = plainJwk(await crypto.subtle.exportKey("jwk", pair.privateKey));
  return await PrivateKey.from({ type, jwk, comment });
}

/** Without what ties a JWK to one hash or use: the same RSA key signs with SHA-256 and SHA-512. */
function plainJwk({ alg: _alg, key_ops: _ops, ext: _ext, use: _use, ...members }: JsonWebKey): JsonWebKey {
  return members;
}

/**
 * Reads a private key file: OpenSSH, PEM (PKCS#1, SEC1), PKCS#8, PuTTY; each also encrypted, within the limits that
 * the messages of the errors name.
 *
 * @param text the whole file
 * @throws {KeyError} whose message and cause hold nothing of the file
 */
export async function parsePrivateKey(text: string, passphrase?: string): Promise<PrivateKey> {
  try {
    return await PrivateKey.from(await open(text, passphrase));
  } catch (error) {
    if (error instanceof MalformedError) {
      throw new KeyError("malformed", `malformed private key: ${error.message}`);
    }
    throw error;
  }
}

async function open(text: string, passphrase?: string): Promise<OpenedKey> {
  if (/^PuTTY-User-Key-File-/m.test(text)) return await openPutty(text, passphrase);
  const label = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----/.exec(text)?.[1];
  if (label === "OPENSSH PRIVATE KEY") return await openOpenSsh(text, passphrase);
  if (label) return await openPem(text, passphrase);
  const [word] = text.trimStart().split(/\s/, 1);
  if (isKeyType(word) || Object.values(keyTypes).some((row) => row.certificateType === word)) {
    throw new KeyError("malformed", "this is a public key; the private one lies in the file without `.pub`");
  }
  throw new KeyError("malformed", "not a private key file");
}

async function openOpenSsh(text: string, passphrase?: string): Promise<OpenedKey> {
  const container = readContainer(text);
  const opened = container.cipher === "none"
    ? readPrivatePart(container.sealed)
    : await openEncrypted(text, container, passphrase);
  if (!equal(container.publicBlob, publicBlob(opened.type, opened.jwk))) {
    throw new KeyError("mismatch", "the public and the private half of the file do not belong together");
  }
  return opened;
}
