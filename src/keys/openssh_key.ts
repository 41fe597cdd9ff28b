/** The `openssh-key-v1` file: a container around the private fields (OpenSSH PROTOCOL.key). */
import { type Bytes, concat, encodeText, equal, randomBytes } from "../bytes/bytes.ts";
import { decodeBase64, encodeBase64 } from "../bytes/encoding.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { isPlainKeyType, type PlainKeyType, privateFields, publicBlob } from "./private_fields.ts";
import { KeyError } from "./types.ts";

const MAGIC = encodeText("openssh-key-v1\0");
const BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END = "-----END OPENSSH PRIVATE KEY-----";
/** ssh-keygen breaks lines here. */
const LINE = 70;
/** Without a cipher the private part is padded to this. */
const BLOCK = 8;

/** The container before anything is decrypted. */
export interface KeyContainer {
  /** `none`, `aes256-ctr`, … */
  readonly cipher: string;
  readonly kdf: string;
  /** For `bcrypt`. */
  readonly salt: Bytes;
  readonly rounds: number;
  readonly publicBlob: Bytes;
  /** The private part, encrypted unless the cipher is `none`. */
  readonly sealed: Bytes;
  /** The authentication tag that AEAD ciphers leave after it. */
  readonly tag: Bytes;
}

/** What the private part says. */
export interface OpenedKey {
  readonly type: PlainKeyType;
  readonly jwk: JsonWebKey;
  readonly comment: string;
}

/** Reads the armour and the container. @throws {MalformedError} */
export function readContainer(text: string): KeyContainer {
  const start = text.indexOf(BEGIN);
  const end = text.indexOf(END, start);
  if (start < 0 || end < 0) throw new MalformedError("no OpenSSH private key");
  let bytes: Bytes;
  try {
    bytes = decodeBase64(text.slice(start + BEGIN.length, end));
  } catch {
    throw new MalformedError("not base64");
  }
  const reader = new Reader(bytes);
  if (!equal(reader.bytes(MAGIC.length), MAGIC)) throw new MalformedError("not openssh-key-v1");
  const cipher = reader.text();
  const kdf = reader.text();
  const options = new Reader(reader.string());
  if (reader.uint32() !== 1) throw new MalformedError("exactly one key is expected");
  const publicBlob = reader.string();
  const sealed = reader.string();
  const tag = reader.rest();
  if (kdf === "none") return { cipher, kdf, salt: options.rest(), rounds: 0, publicBlob, sealed, tag };
  const container = {
    cipher,
    kdf,
    salt: options.string(),
    rounds: options.uint32(),
    publicBlob,
    sealed,
    tag,
  };
  options.end();
  return container;
}

/**
 * Reads the private part in clear: `uint32 check, uint32 check, key, comment, 1, 2, 3, …`.
 * @throws {MalformedError} also when the two checks differ: a wrong passphrase, where there was one
 * @throws {KeyError} `unsupported` for the key of a FIDO token
 */
export function readPrivatePart(bytes: Bytes): OpenedKey {
  const reader = new Reader(bytes);
  if (reader.uint32() !== reader.uint32()) throw new MalformedError("the private part is damaged");
  const type = reader.text();
  if (type.startsWith("sk-")) {
    throw new KeyError("unsupported", "this key lives in a FIDO token: load it into ssh-agent and use that");
  }
  if (!isPlainKeyType(type)) throw new KeyError("unsupported", "private keys of this type are not supported");
  const jwk = privateFields[type].read(reader);
  const comment = reader.text();
  reader.rest().forEach((byte, index) => {
    if (byte !== ((index + 1) & 0xff)) throw new MalformedError("wrong padding");
  });
  return { type, jwk, comment };
}

/** The text of an unencrypted file. */
export function writeContainer({ type, jwk, comment }: OpenedKey): string {
  const check = randomBytes(4);
  const part = new Writer(1024).bytes(check).bytes(check).string(type);
  privateFields[type].write(part, jwk);
  part.string(comment);
  for (let padding = 1; part.length % BLOCK !== 0; padding++) part.byte(padding);
  const container = concat(
    MAGIC,
    new Writer(2048).string("none").string("none").string("").uint32(1)
      .string(publicBlob(type, jwk)).string(part.finish()).finish(),
  );
  const lines = encodeBase64(container).match(new RegExp(`.{1,${LINE}}`, "g"))!;
  return [BEGIN, ...lines, END, ""].join("\n");
}
