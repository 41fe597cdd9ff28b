/** Keys and certificates for the tests of this room. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { parseCertificate, signCertificate } from "../../src/cert/certificate.ts";
import type { CertificateContext } from "../../src/cert/check.ts";
import type { CertificateFields } from "../../src/cert/certificate.ts";
import { parsePrivateKey, type PrivateKey } from "../../src/keys/private_key.ts";
import { keyFile } from "../keys/tools.ts";

/** The key that is certified, and the authority's, in all tests that do not say otherwise. */
export const holder: PrivateKey = await parsePrivateKey(await keyFile("ecdsa256"));
export const authority: PrivateKey = await parsePrivateKey(await keyFile("ed25519"));

export const userFields: CertificateFields = {
  role: "user",
  publicKey: holder.publicKey,
  serial: 7n,
  keyId: "ann",
  principals: ["ann", "group:ops"],
  validAfter: 1000n,
  validBefore: 2000n,
};

export async function certificate(fields: Partial<CertificateFields> = {}, signer = authority) {
  return parseCertificate(await signCertificate({ ...userFields, ...fields }, signer));
}

/** A context in which {@link userFields} counts. */
export const goodContext: CertificateContext = {
  role: "user",
  principals: ["ann"],
  now: 1_500_000,
  trusted: () => true,
  peerAddress: "10.0.0.1",
};

/** The fields of a certificate blob as they lie there, for building ones that no honest authority would sign. */
export interface RawFields {
  type?: string;
  key?: Bytes;
  role?: number;
  principals?: Bytes;
  criticalOptions?: Bytes;
  extensions?: Bytes;
  authorityBlob?: Bytes;
  algorithm?: string;
  trailing?: Bytes;
}

/** Signs whatever the fields say. */
export async function rawCertificate(raw: RawFields = {}): Promise<Bytes> {
  const { blob } = holder.publicKey;
  const keyFields = blob.subarray(4 + "ecdsa-sha2-nistp256".length);
  const writer = new Writer().string(raw.type ?? "ecdsa-sha2-nistp256-cert-v01@openssh.com")
    .string(new Uint8Array(32)).bytes(raw.key ?? keyFields).uint64(7n).uint32(raw.role ?? 1).string("ann")
    .string(raw.principals ?? strings("ann")).uint64(1000n).uint64(2000n)
    .string(raw.criticalOptions ?? "").string(raw.extensions ?? "").string("")
    .string(raw.authorityBlob ?? authority.publicKey.blob);
  const signature = await authority.sign("ssh-ed25519", writer.finish().slice());
  return writer.string(signature).bytes(raw.trailing ?? new Uint8Array()).finish().slice();
}

export function strings(...values: (string | Bytes)[]): Bytes {
  const writer = new Writer();
  for (const value of values) writer.string(value);
  return writer.finish().slice();
}
