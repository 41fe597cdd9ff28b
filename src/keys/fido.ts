/** What a FIDO token signs instead of the data itself (OpenSSH PROTOCOL.u2f). */
import { type Bytes, concat, encodeText, equal } from "../bytes/bytes.ts";
import { encodeBase64Url } from "../bytes/encoding.ts";
import { MalformedError, type Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { VerifiedSignature } from "./types.ts";

/** What the token signed, and what it says by that. */
export interface FidoEnvelope {
  /** The bytes under the token's signature. */
  readonly signed: Bytes;
  /** What the token vouches for, once the signature has verified. */
  readonly fido: NonNullable<VerifiedSignature["fido"]>;
}

/**
 * Reads what follows the signature field of the blob and builds the envelope around `data`.
 * @param application of the public key, `ssh:` usually
 * @throws {MalformedError}
 */
export type FidoFormat = (reader: Reader, application: Bytes, data: Bytes) => Promise<FidoEnvelope>;

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const ATTESTED_DATA = 0x40;
const EXTENSION_DATA = 0x80;

async function sha256(data: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

function vouched(flags: number, counter: number): FidoEnvelope["fido"] {
  return {
    userPresent: (flags & USER_PRESENT) !== 0,
    userVerified: (flags & USER_VERIFIED) !== 0,
    counter,
  };
}

/** `byte flags, uint32 counter`; signed: SHA-256(application), flags, counter, SHA-256(data). */
export const u2f: FidoFormat = async (reader, application, data) => {
  const flags = reader.byte();
  const counter = reader.uint32();
  const signed = new Writer(69)
    .bytes(await sha256(application)).byte(flags).uint32(counter).bytes(await sha256(data)).finish();
  return { signed, fido: vouched(flags, counter) };
};

/**
 * `byte flags, uint32 counter, string origin, string clientData, string extensions`, as a browser makes it. The data is
 * the challenge inside clientData, whose beginning must be byte for byte what browsers write.
 */
export const webauthn: FidoFormat = async (reader, application, data) => {
  const flags = reader.byte();
  const counter = reader.uint32();
  const origin = reader.string();
  const clientData = reader.string();
  const extensions = reader.string();
  if (origin.includes(0x22)) throw new MalformedError("quotation mark in the origin");
  if (flags & ATTESTED_DATA || ((flags & EXTENSION_DATA) !== 0) !== (extensions.length > 0)) {
    throw new MalformedError("flags do not fit the authenticator data");
  }
  const expected = concat(
    encodeText(`{"type":"webauthn.get","challenge":"${encodeBase64Url(data)}","origin":"`),
    origin,
    encodeText('"'),
  );
  if (clientData.length <= expected.length || !equal(clientData.subarray(0, expected.length), expected)) {
    throw new MalformedError("clientData is not about this challenge");
  }
  const signed = new Writer(128).bytes(await sha256(application)).byte(flags).uint32(counter)
    .bytes(extensions).bytes(await sha256(clientData)).finish();
  return { signed, fido: vouched(flags, counter) };
};
