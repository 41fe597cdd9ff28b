/**
 * Private key files in other people's formats, by the `sshpk` package: PEM (PKCS#1, SEC1), PKCS#8, PuTTY, and the
 * encrypted files of OpenSSH, whose bcrypt it has. It is loaded when such a file is met and not before.
 *
 * `sshpk` never sees an encrypted PEM file: a wrong passphrase makes it throw from an event handler, which ends the
 * process. Those are decrypted by WebCrypto first.
 */
import { type Bytes, encodeText } from "../bytes/bytes.ts";
import { decodeBase64, decodeHex, encodeBase64 } from "../bytes/encoding.ts";
import { MalformedError } from "../bytes/reader.ts";
import { type KeyContainer, type OpenedKey, readContainer, readPrivatePart } from "./openssh_key.ts";
import { decryptCbc, decryptPkcs8 } from "./pkcs8.ts";
import { KeyError } from "./types.ts";

/** What is used of the package, which has no types of its own. */
interface Sshpk {
  parsePrivateKey(
    text: string,
    format: string,
    options: { passphrase?: string },
  ): { comment?: string; toString(format: string): string };
}

/** One round takes some 20 ms here; ssh-keygen writes 16 or 24 unless told otherwise. */
const MAXIMUM_BCRYPT_ROUNDS = 512;

/** Ciphers of OpenSSH files that `sshpk` decrypts, with their block size. */
const opensshCiphers: Readonly<Record<string, number>> = {
  "aes256-ctr": 1,
  "aes192-ctr": 1,
  "aes128-ctr": 1,
  "aes256-cbc": 16,
  "aes128-cbc": 16,
  "3des-cbc": 8,
};

/** Ciphers of encrypted PEM headers: key length in bytes. */
const pemCiphers: Readonly<Record<string, number>> = {
  "AES-128-CBC": 16,
  "AES-192-CBC": 24,
  "AES-256-CBC": 32,
};

const wrongPassphrase = () =>
  new KeyError("passphrase-wrong", "the passphrase is wrong, or the file is damaged");

function needed(passphrase: string | undefined): string {
  if (passphrase !== undefined) return passphrase;
  throw new KeyError("passphrase-needed", "the private key is encrypted: its passphrase is needed");
}

/** Has `sshpk` read the text; what it throws may quote the file and is dropped. */
async function read(text: string, format: string, passphrase: string | undefined, failure: () => Error) {
  const sshpk = (await import("sshpk")).default as Sshpk;
  let rewritten: string;
  let comment: string | undefined;
  try {
    const key = sshpk.parsePrivateKey(text, format, { passphrase });
    rewritten = key.toString("ssh-private");
    comment = key.comment;
  } catch {
    throw failure();
  }
  const opened = readPrivatePart(readContainer(rewritten).sealed);
  // What sshpk calls a key without a name.
  return { ...opened, comment: comment === undefined || comment === "(unnamed)" ? "" : comment };
}

/**
 * Opens an encrypted OpenSSH file.
 * @param text the file
 * @param container what {@link readContainer} found in it
 * @throws {KeyError}
 */
export function openEncrypted(
  text: string,
  container: KeyContainer,
  passphrase?: string,
): Promise<OpenedKey> {
  const { cipher, kdf, rounds, sealed } = container;
  const block = opensshCiphers[cipher];
  if (kdf !== "bcrypt" || !block) {
    throw new KeyError(
      "unsupported",
      "the private key is encrypted with a cipher that is not supported; `ssh-keygen -p -Z aes256-ctr -f FILE` rewrites it",
    );
  }
  if (rounds < 1 || rounds > MAXIMUM_BCRYPT_ROUNDS) {
    throw new KeyError("unsupported", `${rounds} bcrypt rounds; up to ${MAXIMUM_BCRYPT_ROUNDS} are done`);
  }
  if (sealed.length % block !== 0) throw new MalformedError("the private part has an odd length");
  return read(text, "ssh-private", needed(passphrase), wrongPassphrase);
}

/** Reads a PuTTY file, version 2, or version 3 without encryption. @throws {KeyError} */
export function openPutty(text: string, passphrase?: string): Promise<OpenedKey> {
  const header = (name: string) => new RegExp(`^${name}:[ \\t]*(\\S+)`, "m").exec(text)?.[1];
  const encrypted = header("Encryption") !== "none";
  if (encrypted && header("Key-Derivation")) {
    throw new KeyError(
      "unsupported",
      "encrypted PuTTY files of version 3 are not supported; `puttygen FILE -O private-openssh-new -o NEW` converts it",
    );
  }
  return read(
    text,
    "putty",
    encrypted ? needed(passphrase) : undefined,
    encrypted ? wrongPassphrase : () => new MalformedError("not a PuTTY private key of a supported type"),
  );
}

const armour = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----\r?\n([\s\S]*?)-----END \1-----/;

/** Reads PEM: PKCS#1, SEC1, PKCS#8, plain or encrypted. @throws {KeyError} @throws {MalformedError} */
export async function openPem(text: string, passphrase?: string): Promise<OpenedKey> {
  const block = armour.exec(text);
  if (!block) throw new MalformedError("no private key in PEM");
  const [, label, content] = block;
  const malformed = () => new MalformedError("not a private key of a supported type");
  if (label === "ENCRYPTED PRIVATE KEY") {
    const plain = await decryptPkcs8(decode(content), needed(passphrase));
    return read(pem("PRIVATE KEY", plain), "pkcs8", undefined, wrongPassphrase);
  }
  const dek = /^DEK-Info:[ \t]*([A-Z0-9-]+),([0-9A-F]+)\s*$/mi.exec(content);
  if (dek) {
    const [, cipher, iv] = dek;
    const body = decode(content.slice(content.search(/\r?\n\r?\n/)));
    const plain = await decryptPem(cipher.toUpperCase(), decodeHex(iv), body, needed(passphrase));
    return read(pem(label, plain), "pem", undefined, wrongPassphrase);
  }
  return read(block[0], "pem", undefined, malformed);
}

/** The old encryption of OpenSSL, whose key derivation is MD5: for files that exist, not for new ones. */
async function decryptPem(cipher: string, iv: Bytes, sealed: Bytes, passphrase: string): Promise<Bytes> {
  const length = pemCiphers[cipher];
  if (!length || iv.length !== 16) {
    throw new KeyError(
      "unsupported",
      "the PEM file is encrypted with a cipher that is not supported; `ssh-keygen -p -f FILE` rewrites it",
    );
  }
  const { opensslKeyDeriv } = (await import("sshpk/lib/utils.js")).default as {
    opensslKeyDeriv(cipher: string, salt: Bytes, passphrase: Bytes, count: number): { key: Bytes };
  };
  // The function insists on Node's Buffer, which every runtime that can load the package has.
  const { Buffer } = globalThis as unknown as { Buffer: { from(bytes: Bytes): Bytes } };
  const salt = Buffer.from(iv);
  const derived = opensslKeyDeriv(cipher.toLowerCase(), salt, Buffer.from(encodeText(passphrase)), 1).key;
  const key = await crypto.subtle.importKey("raw", new Uint8Array(derived), "AES-CBC", false, ["decrypt"]);
  return await decryptCbc(key, iv, sealed);
}

function decode(text: string): Bytes {
  try {
    return decodeBase64(text);
  } catch {
    throw new MalformedError("not base64");
  }
}

function pem(label: string, der: Bytes): string {
  return `-----BEGIN ${label}-----\n${
    encodeBase64(der).match(/.{1,64}/g)!.join("\n")
  }\n-----END ${label}-----\n`;
}
