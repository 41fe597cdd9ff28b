/** What is checked of DER before and after the library parses it. */
import type { Bytes } from "../bytes/bytes.ts";
import { X509Error } from "./error.ts";

/** What is read, and how large it may be. */
export interface DerLimits {
  /** For the message: `the certificate`. */
  readonly what: string;
  /** In bytes. */
  readonly maxLength: number;
}

/**
 * Runs `parse` over one DER SEQUENCE that fills `der` whole.
 * @throws {X509Error} `malformed` when it does not, is too large, or `parse` throws; `X509Error`s of `parse` pass
 */
export function parseDer<T>(der: Bytes, { what, maxLength }: DerLimits, parse: (der: Bytes) => T): T {
  if (der.length > maxLength) throw new X509Error("malformed", `${what} is larger than ${maxLength} bytes`);
  if (sequenceLength(der) !== der.length) throw new X509Error("malformed", `${what} is malformed`);
  try {
    return parse(der);
  } catch (cause) {
    if (cause instanceof X509Error) throw cause;
    throw new X509Error("malformed", `${what} is malformed`, { cause });
  }
}

/** Bytes of the SEQUENCE at the start, head included (X.690 §8.1.3, definite lengths of at most two octets). */
function sequenceLength(der: Bytes): number | undefined {
  if (der.length < 2 || der[0] !== 0x30) return undefined;
  if (der[1] < 0x80) return 2 + der[1];
  if (der[1] === 0x81 && der.length >= 3) return 3 + der[2];
  if (der[1] === 0x82 && der.length >= 4) return 4 + der[2] * 256 + der[3];
  return undefined;
}
