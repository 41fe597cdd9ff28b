/**
 * Key exchange methods: `mlkem768x25519-sha256` (draft-ietf-sshm-mlkem-hybrid-kex), `curve25519-sha256` (RFC 8731),
 * `ecdh-sha2-nistp*` (RFC 5656 §4). All have one message each way: INIT with the client's public value, REPLY with
 * the server's. The primitives are WebCrypto's.
 */
import { type Bytes, concat } from "../../bytes/bytes.ts";
import { Writer } from "../../bytes/writer.ts";
import type { CryptoProvider, HashName } from "../../platform/crypto.ts";
import { DisconnectReason, SshError } from "../error.ts";
import * as mlkem768 from "./mlkem768.ts";

/** One method, both sides. */
export interface KexMethod {
  readonly name: string;
  /** Hash of the exchange and of the key derivation. */
  readonly hash: HashName;
  /** The client's half: makes its ephemeral keys. */
  start(crypto: CryptoProvider): Promise<ClientExchange>;
  /**
   * The server's half.
   * @param init the client's public value
   * @throws {SshError} `protocol` when it is not one
   */
  respond(crypto: CryptoProvider, init: Bytes): Promise<{ reply: Bytes; secret: Bytes }>;
}

/** The client's half of one exchange. */
export interface ClientExchange {
  /** The public value to send. */
  readonly init: Bytes;
  /**
   * The shared secret K as it is hashed: encoded as the method says, `mpint` or `string`. Call once.
   * @param reply the server's public value
   * @throws {SshError} `protocol` when it is not one
   */
  finish(reply: Bytes): Promise<Bytes>;
}

/** A Diffie-Hellman group that WebCrypto computes in. */
interface Group {
  readonly algorithm: { readonly name: string; readonly namedCurve?: string };
  /** Bytes of a public value as SSH sends it. */
  readonly publicLength: number;
  /** Bytes of the shared secret. */
  readonly secretLength: number;
}

const x25519: Group = { algorithm: { name: "X25519" }, publicLength: 32, secretLength: 32 };

function nistCurve(namedCurve: string, secretLength: number): Group {
  // Uncompressed points, 0x04 ‖ x ‖ y: nobody else's form need be accepted (RFC 5656 §4).
  return { algorithm: { name: "ECDH", namedCurve }, publicLength: 1 + 2 * secretLength, secretLength };
}

const rows: readonly KexMethod[] = [
  ...(mlkem768.supported() ? [mlkem768x25519("mlkem768x25519-sha256")] : []),
  diffieHellman("curve25519-sha256", "sha256", x25519),
  diffieHellman("curve25519-sha256@libssh.org", "sha256", x25519),
  diffieHellman("ecdh-sha2-nistp256", "sha256", nistCurve("P-256", 32)),
  diffieHellman("ecdh-sha2-nistp384", "sha384", nistCurve("P-384", 48)),
  diffieHellman("ecdh-sha2-nistp521", "sha512", nistCurve("P-521", 66)),
];

/** Every method that this runtime can do, by its name, best first. ML-KEM is missing where WebCrypto lacks it. */
export const kexMethods: ReadonlyMap<string, KexMethod> = new Map(rows.map((row) => [row.name, row]));

/** Diffie-Hellman in one group; K is an `mpint` of the secret's bytes read as big-endian (RFC 8731 §3.1). */
function diffieHellman(name: string, hash: HashName, group: Group): KexMethod {
  return {
    name,
    hash,
    async start() {
      const { privateKey, publicValue } = await generate(group);
      return {
        init: publicValue,
        finish: async (reply) => mpint(await agree(group, privateKey, reply)),
      };
    },
    async respond(_crypto, init) {
      const { privateKey, publicValue } = await generate(group);
      return { reply: publicValue, secret: mpint(await agree(group, privateKey, init)) };
    },
  };
}

/**
 * INIT is the ML-KEM encapsulation key and the X25519 public value, REPLY the ciphertext and the server's X25519
 * public value; K = SHA-256(K_PQ ‖ K_CL), as a `string`.
 */
function mlkem768x25519(name: string): KexMethod {
  const { publicKeyLength, ciphertextLength } = mlkem768;
  async function combine(crypto: CryptoProvider, postQuantum: Bytes, classical: Promise<Bytes>) {
    return string(crypto.hash("sha256", postQuantum, await classical));
  }
  return {
    name,
    hash: "sha256",
    async start(crypto) {
      const [pq, cl] = await Promise.all([mlkem768.generate(), generate(x25519)]);
      return {
        init: concat(pq.publicKey, cl.publicValue),
        async finish(reply) {
          requireLength(name, reply, ciphertextLength + x25519.publicLength);
          const postQuantum = await refuse(pq.decapsulate(reply.slice(0, ciphertextLength)));
          return combine(crypto, postQuantum, agree(x25519, cl.privateKey, reply.slice(ciphertextLength)));
        },
      };
    },
    async respond(crypto, init) {
      requireLength(name, init, publicKeyLength + x25519.publicLength);
      const cl = await generate(x25519);
      const pq = await refuse(mlkem768.encapsulate(init.slice(0, publicKeyLength)));
      const secret = await combine(
        crypto,
        pq.secret,
        agree(x25519, cl.privateKey, init.slice(publicKeyLength)),
      );
      return { reply: concat(pq.ciphertext, cl.publicValue), secret };
    },
  };
}

async function generate({ algorithm }: Group): Promise<{ privateKey: CryptoKey; publicValue: Bytes }> {
  const pair = await crypto.subtle.generateKey(algorithm, false, ["deriveBits"]) as CryptoKeyPair;
  return {
    privateKey: pair.privateKey,
    publicValue: new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)),
  };
}

/** The shared secret with the peer's public value, which must be one of the group. */
async function agree(group: Group, privateKey: CryptoKey, peer: Bytes): Promise<Bytes> {
  const { algorithm, publicLength, secretLength } = group;
  requireLength(algorithm.namedCurve ?? algorithm.name, peer, publicLength);
  // WebCrypto refuses points that are not on the curve, some runtimes only when they derive.
  const secret = await refuse((async () => {
    const publicKey = await crypto.subtle.importKey("raw", peer, algorithm, false, []);
    const derived = { ...algorithm, public: publicKey };
    return new Uint8Array(await crypto.subtle.deriveBits(derived, privateKey, 8 * secretLength));
  })());
  // RFC 8731 §3: a public value of small order makes zero of every private key.
  if (secret.every((byte) => byte === 0)) throw refused();
  return secret;
}

function requireLength(what: string, value: Bytes, length: number): void {
  if (value.length !== length) {
    throw refused(`public value for ${what} has ${value.length} bytes, not ${length}`);
  }
}

/** What the primitives refuse, as the peer's fault. */
function refuse<T>(result: Promise<T>): Promise<T> {
  return result.catch((cause) => {
    throw refused(undefined, cause);
  });
}

function refused(message = "the peer's public value for the key exchange is not valid", cause?: unknown) {
  return new SshError("protocol", message, { reason: DisconnectReason.keyExchangeFailed, cause });
}

function mpint(magnitude: Bytes): Bytes {
  return new Writer(magnitude.length + 5).mpint(magnitude).finish();
}

function string(value: Bytes): Bytes {
  return new Writer(value.length + 4).string(value).finish();
}
