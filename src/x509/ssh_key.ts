/** Keys of certificates as SSH knows them: one key has one fingerprint, however it is used. */
import { type PlainKeyType, publicBlob } from "../keys/private_fields.ts";
import { decodePublicKey } from "../keys/public_key.ts";
import type { PublicKey } from "../keys/types.ts";
import { X509Error } from "./error.ts";
import type { X509PublicKey } from "./library.ts";

const TYPES: Readonly<Record<string, PlainKeyType>> = {
  "Ed25519": "ssh-ed25519",
  "ECDSA P-256": "ecdsa-sha2-nistp256",
  "ECDSA P-384": "ecdsa-sha2-nistp384",
  "ECDSA P-521": "ecdsa-sha2-nistp521",
  "RSASSA-PKCS1-v1_5": "ssh-rsa",
};

/** @throws {X509Error} `algorithm` for kinds of keys that SSH has not, `malformed` */
export async function sshPublicKey(key: X509PublicKey): Promise<PublicKey> {
  const { name, namedCurve } = key.algorithm as EcKeyAlgorithm;
  const type = TYPES[namedCurve === undefined ? name : `${name} ${namedCurve}`];
  if (!type) throw new X509Error("algorithm", "the key is of a kind that SSH does not know");
  try {
    const jwk = await crypto.subtle.exportKey("jwk", await key.export());
    return decodePublicKey(publicBlob(type, jwk));
  } catch (cause) {
    throw new X509Error("malformed", "the key is malformed", { cause });
  }
}
