/** Decrypts PKCS#8 private keys (RFC 5958) protected by PBES2 (RFC 8018): PBKDF2 and AES-CBC, all by WebCrypto. */
import { type Bytes, encodeText } from "../bytes/bytes.ts";
import { DerReader, Tag } from "./der.ts";
import { KeyError } from "./types.ts";

/** OpenSSL writes 2048, cautious people a million: above this a file only wants to waste time. */
const MAXIMUM_PBKDF2_ITERATIONS = 10_000_000;

const PBES2 = "2a864886f70d01050d";
const PBKDF2 = "2a864886f70d01050c";

const pseudoRandomFunctions: Readonly<Record<string, string>> = {
  "2a864886f70d0207": "SHA-1",
  "2a864886f70d0209": "SHA-256",
  "2a864886f70d020a": "SHA-384",
  "2a864886f70d020b": "SHA-512",
};

/** Key length in bits by cipher. */
const ciphers: Readonly<Record<string, number>> = {
  "608648016503040102": 128,
  "608648016503040116": 192,
  "60864801650304012a": 256,
};

function supported<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value;
  throw new KeyError(
    "unsupported",
    `the file is encrypted with a ${what} that is not supported; \`openssl pkcs8 -topk8 -v2 aes-256-cbc\` rewrites it`,
  );
}

/**
 * The PrivateKeyInfo inside an EncryptedPrivateKeyInfo.
 * @throws {MalformedError}
 * @throws {KeyError} `unsupported`, `passphrase-wrong`
 */
export async function decryptPkcs8(der: Bytes, passphrase: string): Promise<Bytes> {
  const outer = new DerReader(der).sequence();
  const algorithm = outer.sequence();
  supported(algorithm.oid() === PBES2 || undefined, "scheme");
  const parameters = algorithm.sequence();
  const derivation = parameters.sequence();
  supported(derivation.oid() === PBKDF2 || undefined, "key derivation");
  const pbkdf2 = derivation.sequence();
  const salt = pbkdf2.take(Tag.OCTET_STRING);
  const iterations = pbkdf2.smallInteger();
  if (iterations < 1 || iterations > MAXIMUM_PBKDF2_ITERATIONS) {
    throw new KeyError(
      "unsupported",
      `${iterations} PBKDF2 iterations; up to ${MAXIMUM_PBKDF2_ITERATIONS} are done`,
    );
  }
  if (pbkdf2.next(Tag.INTEGER)) pbkdf2.smallInteger(); // key length, which the cipher says too
  const hash = pbkdf2.next(Tag.SEQUENCE)
    ? supported(pseudoRandomFunctions[pbkdf2.sequence().oid()], "key derivation")
    : "SHA-1";
  const encryption = parameters.sequence();
  const length = supported(ciphers[encryption.oid()], "cipher");
  const iv = encryption.take(Tag.OCTET_STRING);
  const sealed = outer.take(Tag.OCTET_STRING);

  const password = await crypto.subtle.importKey("raw", encodeText(passphrase), "PBKDF2", false, [
    "deriveKey",
  ]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", salt, iterations, hash },
    password,
    { name: "AES-CBC", length },
    false,
    ["decrypt"],
  );
  return await decryptCbc(key, iv, sealed);
}

/** AES-CBC with padding. @throws {KeyError} `passphrase-wrong` when the padding is not right */
export async function decryptCbc(key: CryptoKey, iv: Bytes, sealed: Bytes): Promise<Bytes> {
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, key, sealed));
  } catch {
    throw new KeyError("passphrase-wrong", "the passphrase is wrong, or the file is damaged");
  }
}
