/** The server's host key: which one signs, and how a client believes it (RFC 4253 §8). */
import { printable } from "../../bytes/printable.ts";
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError, Reader } from "../../bytes/reader.ts";
import { parseCertificate } from "../../cert/certificate.ts";
import type { Certificate } from "../../cert/types.ts";
import { decodePublicKey } from "../../keys/public_key.ts";
import { KeyError, type PublicKey, type Signer } from "../../keys/types.ts";
import { hostKeyAlgorithms, type KeyAlgorithm } from "../algorithms/key_algorithms.ts";
import { DisconnectReason, SshError } from "../error.ts";

/** A host key as the exchange has proved that the server holds it. */
export interface ProvenHostKey {
  /** Negotiated host key algorithm. */
  readonly algorithm: string;
  /** K_S: the key's or the certificate's blob. */
  readonly blob: Bytes;
  /** The key, or the key inside the certificate. */
  readonly key: PublicKey;
  readonly certificate?: Certificate;
}

/**
 * Decides whether a host key is the one that the user means. The signature has been verified; trust, certificate
 * included, is all the callback's.
 * @returns true to go on; or a sentence for the user that says why not
 */
export type HostKeyVerifier = (hostKey: ProvenHostKey) => true | string | Promise<true | string>;

/** Those of `names` that one of `signers` can serve. */
export function servableAlgorithms(names: readonly string[], signers: readonly Signer[]): string[] {
  return names.filter((name) => {
    const row = hostKeyAlgorithms.get(name);
    return row && signerFor(row, signers);
  });
}

function signerFor(row: KeyAlgorithm, signers: readonly Signer[]): Signer | undefined {
  return signers.find((signer) =>
    signer.publicKey.type === row.keyType && (!row.certificate || signer.certificate !== undefined)
  );
}

/** The signer for a negotiated algorithm with K_S as it sends it. */
export function chooseHostKey(algorithm: string, signers: readonly Signer[]): {
  blob: Bytes;
  sign(data: Bytes): Promise<Bytes>;
} {
  const row = hostKeyAlgorithms.get(algorithm)!;
  const signer = signerFor(row, signers);
  if (!signer) throw new SshError("negotiation", `the ${algorithm} host key has gone`);
  return {
    blob: row.certificate ? signer.certificate! : signer.publicKey.blob,
    sign: (data) => signer.sign(row.signature, data),
  };
}

/**
 * Reads K_S and verifies its signature over the exchange hash.
 * @throws {SshError} `host-key`
 */
export async function proveHostKey(
  algorithm: string,
  blob: Bytes,
  signature: Bytes,
  exchangeHash: Bytes,
): Promise<ProvenHostKey> {
  const row = hostKeyAlgorithms.get(algorithm)!;
  const hostKey = readHostKey(row, blob);
  const verified = await hostKey.key.verify(row.signature, signature, exchangeHash);
  if (!verified) throw hostKeyError("the server's signature does not match its host key");
  return hostKey;
}

function readHostKey(row: KeyAlgorithm, blob: Bytes): ProvenHostKey {
  try {
    const type = new Reader(blob).text();
    if (type !== row.blobType) {
      throw hostKeyError(`the server sent a ${printable(type)} key where ${row.blobType} was agreed`);
    }
    if (!row.certificate) return { algorithm: row.name, blob, key: decodePublicKey(blob) };
    const certificate = parseCertificate(blob);
    return { algorithm: row.name, blob, key: certificate.publicKey, certificate };
  } catch (cause) {
    if (cause instanceof MalformedError || cause instanceof KeyError) {
      throw hostKeyError(`the server's host key cannot be read: ${cause.message}`, cause);
    }
    throw cause;
  }
}

/** The end of a connection to a server that is not believed. */
export function hostKeyError(message: string, cause?: unknown): SshError {
  return new SshError("host-key", message, { cause, reason: DisconnectReason.hostKeyNotVerifiable });
}
