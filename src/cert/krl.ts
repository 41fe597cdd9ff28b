/** OpenSSH key revocation lists: reading and writing the file (OpenSSH PROTOCOL.krl). Pure. */
import { type Bytes, encodeText, equal } from "../bytes/bytes.ts";
import { MalformedError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { decodePublicKey } from "../keys/public_key.ts";
import { KeyError, type PublicKey } from "../keys/types.ts";

const MAGIC = encodeText("SSHKRL\n\0");
const FORMAT_VERSION = 1;
/** Sixteen mebibytes are half a million revoked keys: more is a mistake or an attack. */
const MAXIMUM_KRL_SIZE = 16 * 1024 * 1024;
const MAXIMUM_SERIAL = 0xffff_ffff_ffff_ffffn;

const Section = { CERTIFICATES: 1, KEYS: 2, SHA1: 3, SIGNATURE: 4, SHA256: 5, EXTENSION: 255 } as const;
const CertificateSection = { LIST: 0x20, RANGE: 0x21, BITMAP: 0x22, KEY_IDS: 0x23, EXTENSION: 0x39 } as const;

/** Serial numbers `first` to `last`, both included. */
export interface SerialRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** Bit n of the big-endian number stands for the serial number `offset + n`. */
export interface SerialBitmap {
  readonly offset: bigint;
  readonly bitmap: Bytes;
}

/** Certificates of one authority, or of any where `authority` is undefined. */
export interface RevokedCertificates {
  readonly authority?: PublicKey;
  readonly serials: readonly (SerialRange | SerialBitmap)[];
  readonly keyIds: readonly string[];
}

/** What a key revocation list revokes. */
export interface Krl {
  /** Counts up with each edition. */
  readonly version: bigint;
  /** Seconds since 1970. */
  readonly generated: bigint;
  readonly comment: string;
  readonly certificates: readonly RevokedCertificates[];
  /** Blobs of plain keys, of users or of authorities. */
  readonly keys: readonly Bytes[];
  /** SHA-1 of blobs. */
  readonly sha1: readonly Bytes[];
  /** SHA-256 of blobs. */
  readonly sha256: readonly Bytes[];
}

/** A signature at the end of a file: over `signed`, the file up to and including the key. */
export interface KrlSignature {
  readonly key: PublicKey;
  readonly algorithm: string;
  readonly signature: Bytes;
  readonly signed: Bytes;
}

/** A list as it was read, with the signatures at its end. */
export interface SignedKrl extends Krl {
  /** Not verified; see {@link verifyKrl}. */
  readonly signatures: readonly KrlSignature[];
}

/** Whether a file is a KRL, and not a list of keys. */
export function isKrl(bytes: Bytes): boolean {
  return equal(bytes.subarray(0, MAGIC.length), MAGIC);
}

/**
 * Reads a list. Signatures are not verified: that is {@link verifyKrl}'s business.
 * @throws {KeyError} `malformed`, `unsupported` for a critical extension: a list that is half understood is none
 */
export function parseKrl(bytes: Bytes): SignedKrl {
  try {
    return read(bytes);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new KeyError("malformed", `malformed revocation list: ${error.message}`, { cause: error });
  }
}

function read(bytes: Bytes): SignedKrl {
  if (bytes.length > MAXIMUM_KRL_SIZE) throw new MalformedError("too large");
  const reader = new Reader(bytes);
  if (!equal(reader.bytes(MAGIC.length), MAGIC)) throw new MalformedError("not a KRL");
  if (reader.uint32() !== FORMAT_VERSION) throw new KeyError("unsupported", "KRL of another format version");
  const version = reader.uint64();
  const generated = reader.uint64();
  reader.uint64(); // flags: none are defined
  reader.string(); // reserved
  const comment = reader.text();
  const certificates: RevokedCertificates[] = [];
  const lists = { keys: [] as Bytes[], sha1: [] as Bytes[], sha256: [] as Bytes[] };
  const signatures: KrlSignature[] = [];

  const sections: Record<number, (content: Bytes) => void> = {
    [Section.CERTIFICATES]: (content) => void certificates.push(readCertificates(content)),
    [Section.KEYS]: (content) => readStrings(content, lists.keys),
    [Section.SHA1]: (content) => readStrings(content, lists.sha1, 20),
    [Section.SHA256]: (content) => readStrings(content, lists.sha256, 32),
    [Section.EXTENSION]: readExtension,
  };
  while (reader.remaining > 0) {
    const section = reader.byte();
    const content = reader.string();
    if (section === Section.SIGNATURE) {
      const signed = bytes.subarray(0, reader.offset);
      const signature = reader.string();
      const algorithm = new Reader(signature).text();
      signatures.push({ key: decodePublicKey(content), algorithm, signature, signed });
      continue;
    }
    if (signatures.length > 0) throw new MalformedError("a section behind a signature");
    const readSection = sections[section];
    if (!readSection) throw new MalformedError(`section of unknown type ${section}`);
    readSection(content);
  }
  return { version, generated, comment, certificates, ...lists, signatures };
}

function readStrings(content: Bytes, into: Bytes[], length?: number): void {
  const reader = new Reader(content);
  while (reader.remaining > 0) {
    const value = reader.string();
    if (length !== undefined && value.length !== length) throw new MalformedError("hash of the wrong length");
    into.push(value);
  }
}

/** `string name, boolean critical, string contents`; none is known. */
function readExtension(content: Bytes): void {
  const reader = new Reader(content);
  reader.string();
  if (reader.boolean()) {
    throw new KeyError("unsupported", "the KRL has a critical extension that is not known");
  }
  reader.string();
  reader.end();
}

function readCertificates(content: Bytes): RevokedCertificates {
  const reader = new Reader(content);
  const authority = reader.string();
  reader.string(); // reserved
  const serials: (SerialRange | SerialBitmap)[] = [];
  const keyIds: string[] = [];
  const sections: Record<number, (part: Reader) => void> = {
    [CertificateSection.LIST]: (part) => {
      while (part.remaining > 0) {
        const serial = part.uint64();
        serials.push({ first: serial, last: serial });
      }
    },
    [CertificateSection.RANGE]: (part) => {
      const range = { first: part.uint64(), last: part.uint64() };
      if (range.first > range.last) throw new MalformedError("range of serials that ends before it begins");
      serials.push(range);
    },
    [CertificateSection.BITMAP]: (part) => {
      const bitmap = { offset: part.uint64(), bitmap: part.mpint() };
      if (bitmap.offset + BigInt(8 * bitmap.bitmap.length) > MAXIMUM_SERIAL + 8n) {
        throw new MalformedError("bitmap of serials beyond 64 bits");
      }
      serials.push(bitmap);
    },
    [CertificateSection.KEY_IDS]: (part) => {
      while (part.remaining > 0) keyIds.push(part.text());
    },
    [CertificateSection.EXTENSION]: (part) => readExtension(part.rest()),
  };
  while (reader.remaining > 0) {
    const type = reader.byte();
    const readSection = sections[type];
    if (!readSection) throw new MalformedError(`certificate section of unknown type ${type}`);
    const part = new Reader(reader.string());
    readSection(part);
    part.end();
  }
  return { authority: authority.length > 0 ? decodePublicKey(authority) : undefined, serials, keyIds };
}

/**
 * The keys whose signatures on the list are right.
 * @throws {KeyError} `mismatch` when one of them is wrong
 */
export async function verifyKrl({ signatures }: SignedKrl): Promise<PublicKey[]> {
  for (const { key, algorithm, signature, signed } of signatures) {
    if (!await key.verify(algorithm, signature, signed)) {
      throw new KeyError("mismatch", "a signature of the revocation list is wrong");
    }
  }
  return signatures.map(({ key }) => key);
}

/** The bytes of a list, as sshd's `RevokedKeys` and `ssh-keygen -Q` read them. */
export function writeKrl(krl: Partial<Krl>): Bytes {
  const { version = 1n, generated = 0n, comment = "", certificates = [], keys = [], sha1 = [], sha256 = [] } =
    krl;
  const writer = new Writer(4096).bytes(MAGIC).uint32(FORMAT_VERSION).uint64(version).uint64(generated)
    .uint64(0n).string("").string(comment);
  for (const revoked of certificates) writer.byte(Section.CERTIFICATES).string(writeCertificates(revoked));
  const lists = [[Section.KEYS, keys], [Section.SHA1, sha1], [Section.SHA256, sha256]] as const;
  for (const [section, values] of lists) {
    if (values.length > 0) writer.byte(section).string(writeStrings(values));
  }
  return writer.finish();
}

function writeStrings(values: readonly (Bytes | string)[]): Bytes {
  const writer = new Writer();
  for (const value of values) writer.string(value);
  return writer.finish();
}

function writeCertificates({ authority, serials, keyIds }: RevokedCertificates): Bytes {
  const writer = new Writer().string(authority?.blob ?? "").string("");
  const single = new Writer();
  for (const serial of serials) {
    if ("bitmap" in serial) {
      const content = new Writer().uint64(serial.offset).mpint(serial.bitmap).finish();
      writer.byte(CertificateSection.BITMAP).string(content);
    } else if (serial.first === serial.last) {
      single.uint64(serial.first);
    } else {
      const content = new Writer().uint64(serial.first).uint64(serial.last).finish();
      writer.byte(CertificateSection.RANGE).string(content);
    }
  }
  if (single.length > 0) writer.byte(CertificateSection.LIST).string(single.finish());
  if (keyIds.length > 0) writer.byte(CertificateSection.KEY_IDS).string(writeStrings(keyIds));
  return writer.finish();
}
