/** Keys and certificates for tests, made with WebCrypto: nothing here is the code under test. */
import { type Bytes, concat, EMPTY, encodeText } from "../../../src/bytes/bytes.ts";
import { decodeBase64Url } from "../../../src/bytes/encoding.ts";
import { Reader } from "../../../src/bytes/reader.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { decodePublicKey } from "../../../src/keys/public_key.ts";
import type { KeyType, Signer } from "../../../src/keys/types.ts";

/** Every type of key that a server takes. */
export const KEY_TYPES: readonly KeyType[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
];

const made = new Map<string, Promise<Signer>>();

/** A signer of `type`: the same one for the same `which`. */
export function testKey(type: KeyType = "ssh-ed25519", which = "A"): Promise<Signer> {
  const id = `${type} ${which}`;
  let signer = made.get(id);
  if (!signer) made.set(id, signer = makeKey(type));
  return signer;
}

/** What a FIDO token says: touched, not verified. */
const TOUCHED = 0x01;

async function makeKey(type: KeyType): Promise<Signer> {
  const plain = type.replace(/^sk-/, "").replace(/@.*/, "");
  const fido = type !== plain;
  const { privateKey, fields } = await generate(plain);
  const application = fido ? new Writer().string("ssh:").finish() : EMPTY;
  const publicKey = decodePublicKey(concat(new Writer().string(type).finish(), fields, application));
  return {
    publicKey,
    sign: (algorithm, data) => fido ? signFido(algorithm, data, TOUCHED) : signPlain(algorithm, data),
    ...(fido ? { signWithFlags: signFido } : {}),
  } as Signer;

  async function signPlain(algorithm: string, data: Bytes): Promise<Bytes> {
    return new Writer().string(algorithm).string(await rawSignature(algorithm, privateKey, data)).finish();
  }

  async function signFido(algorithm: string, data: Bytes, flags: number): Promise<Bytes> {
    const rest = new Writer().byte(flags).uint32(7).finish();
    const envelope = concat(await sha256(encodeText("ssh:")), rest, await sha256(data));
    const raw = await rawSignature(algorithm, privateKey, envelope);
    return new Writer().string(algorithm).string(raw).bytes(rest).finish();
  }
}

/** Signs as a FIDO token that reports `flags`. */
export function fidoSigner(signer: Signer, flags: number): Signer {
  const { signWithFlags } = signer as Signer & {
    signWithFlags(algorithm: string, data: Bytes, flags: number): Promise<Bytes>;
  };
  return { publicKey: signer.publicKey, sign: (algorithm, data) => signWithFlags(algorithm, data, flags) };
}

async function generate(type: string): Promise<{ privateKey: CryptoKey; fields: Bytes }> {
  if (type === "ssh-ed25519") {
    const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;
    return { privateKey: pair.privateKey, fields: new Writer().string(await raw(pair)).finish() };
  }
  if (type === "ssh-rsa") {
    // The hash is part of WebCrypto's key: imported anew for each, from one JWK.
    const parameters = { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, hash: "SHA-512" };
    const pair = await crypto.subtle.generateKey(
      { ...parameters, publicExponent: new Uint8Array([1, 0, 1]) },
      true,
      ["sign", "verify"],
    );
    const { n, e } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    return {
      privateKey: pair.privateKey,
      fields: new Writer().mpint(decodeBase64Url(e!)).mpint(decodeBase64Url(n!)).finish(),
    };
  }
  const bits = type.slice(-3);
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: `P-${bits}` }, true, [
    "sign",
    "verify",
  ]);
  return {
    privateKey: pair.privateKey,
    fields: new Writer().string(`nistp${bits}`).string(await raw(pair)).finish(),
  };
}

async function raw(pair: CryptoKeyPair): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
}

async function sha256(data: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

async function rawSignature(algorithm: string, key: CryptoKey, data: Bytes): Promise<Bytes> {
  if (algorithm.startsWith("rsa-") || algorithm === "ssh-rsa") {
    const hash = algorithm === "ssh-rsa" ? "SHA-1" : `SHA-${algorithm.slice(-3)}`;
    const jwk = await crypto.subtle.exportKey("jwk", key);
    const { kty, n, e, d, p, q, dp, dq, qi } = jwk;
    const parameters = { name: "RSASSA-PKCS1-v1_5", hash };
    const again = await crypto.subtle.importKey(
      "jwk",
      { kty, n, e, d, p, q, dp, dq, qi },
      parameters,
      false,
      ["sign"],
    );
    return new Uint8Array(await crypto.subtle.sign(parameters, again, data));
  }
  if (key.algorithm.name === "Ed25519") return new Uint8Array(await crypto.subtle.sign("Ed25519", key, data));
  const hash = { "P-256": "SHA-256", "P-384": "SHA-384", "P-521": "SHA-512" }[
    (key.algorithm as EcKeyAlgorithm).namedCurve
  ]!;
  const both = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash }, key, data));
  return new Writer().mpint(both.subarray(0, both.length / 2)).mpint(both.subarray(both.length / 2)).finish();
}

/** An OpenSSH user certificate for the signer's key, by an authority of its own (OpenSSH PROTOCOL.certkeys). */
export async function certified(signer: Signer, principals: readonly string[] = ["ann"]): Promise<Signer> {
  const { type, blob } = signer.publicKey;
  const key = new Reader(blob);
  key.string();
  const list = new Writer();
  for (const principal of principals) list.string(principal);
  const extensions = new Writer().string("permit-pty").string(EMPTY).finish();
  const authority = await testKey("ssh-ed25519", "authority");
  const body = new Writer()
    .string(`${type.replace(/@openssh\.com$/, "")}-cert-v01@openssh.com`)
    .string(new Uint8Array(32).fill(1))
    .bytes(key.rest())
    .uint64(42n)
    .uint32(1)
    .string("a test")
    .string(list.finish())
    .uint64(0n)
    .uint64(0xffff_ffff_ffff_ffffn)
    .string(EMPTY)
    .string(extensions)
    .string(EMPTY)
    .string(authority.publicKey.blob)
    .finish();
  const signature = await authority.sign("ssh-ed25519", body);
  return { ...signer, certificate: concat(body, new Writer().string(signature).finish()) };
}
