/**
 * The certificate authority as the rest of the program sees it: one interface for the roots in this process and for those
 * of another gateway or `cmd/ca.ts`.
 *
 * It decides what goes into a certificate, by profile, and never whether the asker may have one: that is the policy's.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Certificate } from "../cert/types.ts";
import type { Krl } from "../cert/krl.ts";
import type { Identity } from "../identity/principal.ts";
import type { PublicKey } from "../keys/types.ts";

/** Keys that certificates are checked against. Of each list the first one signs; the others are trusted until they are dropped. */
export interface Authorities {
  /** Sign user certificates. */
  readonly user: readonly PublicKey[];
  /** Sign host certificates. */
  readonly host: readonly PublicKey[];
  /** Root certificates for X.509, as PEM texts. */
  readonly x509: readonly string[];
}

interface CertificateRequest {
  /** For whom: proved with a credential that may have certificates. */
  readonly identity: Identity;
  /** Milliseconds; undefined: the profile's default. Longer than its maximum is an error, not cut short. */
  readonly lifetime?: number;
  /** From where it was asked, for the record: `10.0.0.7:40100`. */
  readonly remote: string;
}

/** For a person or workload to log in with. */
export interface UserCertificateRequest extends CertificateRequest {
  readonly publicKey: PublicKey;
}

/** For a server to prove its names with. */
export interface HostCertificateRequest extends CertificateRequest {
  readonly publicKey: PublicKey;
  /** Full names under the holder's leases, or the gateway's own; the caller has checked that they are the holder's. */
  readonly names: readonly string[];
  /** The names are the gateway's own: its domain may be among them, `localhost` too. */
  readonly gateway?: boolean;
}

export interface X509CertificateRequest extends CertificateRequest {
  /** PKCS #10 in DER. Its key is certified and its signature proves possession; names in it may only repeat what is the holder's. */
  readonly csr: Bytes;
  /** DNS names that the certificate serves: names under the holder's leases, or the gateway's own. Empty: for a client alone. */
  readonly names: readonly string[];
  readonly gateway?: boolean;
}

export interface IssuedSshCertificate {
  readonly certificate: Certificate;
  /** One line for an `id-cert.pub` file, without its end. */
  readonly line: string;
}

export interface IssuedX509Certificate {
  /** PEM. */
  readonly certificate: string;
  /** PEM texts from the issuer to the root, the root included. */
  readonly chain: readonly string[];
  /** Hexadecimal. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What counts no more. */
export type Revocation =
  /** Of an SSH certificate, decimal; of every authority of ours. */
  | { readonly kind: "serial"; readonly serial: string }
  /** Of an X.509 certificate, hexadecimal. */
  | { readonly kind: "x509-serial"; readonly serial: string }
  /** Every SSH certificate with this key id. */
  | { readonly kind: "key-id"; readonly keyId: string }
  /** A key, however it is used: `ssh-ed25519 AAAA…` or `SHA256:…`. */
  | { readonly kind: "key"; readonly key: string }
  /** Everything that was or will be issued to an identity, and its tokens. */
  | { readonly kind: "identity"; readonly issuer: string; readonly subject: string };

export interface RevocationRecord {
  readonly revocation: Revocation;
  /** Name of who did it. */
  readonly by: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** For people. */
  readonly reason?: string;
}

/** What is revoked now, ready to be asked. */
export interface Revoked {
  /** For SSH: what `RevokedKeys` of sshd understands. */
  readonly krl: Krl;
  /** Serials of X.509 certificates, hexadecimal, lower-case. */
  readonly x509Serials: ReadonlySet<string>;
  isIdentityRevoked(identity: Pick<Identity, "issuer" | "subject">): boolean;
}

export interface CertificateAuthority {
  authorities(): Promise<Authorities>;
  /** @throws {CaError} */
  issueUser(request: UserCertificateRequest): Promise<IssuedSshCertificate>;
  /** @throws {CaError} */
  issueHost(request: HostCertificateRequest): Promise<IssuedSshCertificate>;
  /** @throws {CaError} */
  issueX509(request: X509CertificateRequest): Promise<IssuedX509Certificate>;
  revoked(): Promise<Revoked>;
  /** @throws {CaError} */
  revoke(
    revocation: Revocation,
    by: { readonly name: string; readonly remote: string },
    reason?: string,
  ): Promise<void>;
  /**
   * Revokes every certificate that a bearer has now, and none that it may get later.
   * @throws {CaError}
   */
  withdraw(
    identity: Pick<Identity, "issuer" | "subject">,
    by: { readonly name: string; readonly remote: string },
    reason?: string,
  ): Promise<void>;
  /**
   * Calls `listener` after authorities or revocations have changed, within two seconds.
   * @param listener must not throw
   * @returns stops it
   */
  watch(listener: () => void): () => void;
}

export type CaErrorCode =
  /** The identity, its names or the key cannot be put into a certificate. */
  | "refused"
  /** What was asked is not understood: a broken request, a weak key, a lifetime that is too long. */
  | "invalid"
  /** The authority cannot be reached, or cannot keep its records. */
  | "unavailable";

/** No certificate, with a sentence for whoever asked. */
export class CaError extends Error {
  override readonly name = "CaError";
  constructor(readonly code: CaErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
