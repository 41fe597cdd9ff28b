/** What is wrong with a certificate, a request or a name in one. */

/** What is wrong. */
export type X509ErrorCode =
  /** Not what its format says, or larger than anything of its kind. */
  | "malformed"
  /** A key or signature of a kind or size that is not taken. */
  | "algorithm"
  /** A signature that is wrong. */
  | "signature"
  /** No chain leads to a root that is trusted. */
  | "untrusted"
  /** Not valid yet, or no more. */
  | "time"
  /** Made for another purpose, or by a certificate that may not make it. */
  | "purpose"
  /** It says something critical that is not understood (RFC 5280 §4.2). */
  | "critical"
  /** A name that is malformed or may not be there. */
  | "name";

/** Something of X.509 that is not accepted. The message is one clause for people: printable, without the material itself. */
export class X509Error extends Error {
  override readonly name = "X509Error";
  constructor(readonly code: X509ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
