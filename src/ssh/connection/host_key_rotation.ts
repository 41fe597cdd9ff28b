/**
 * Host key rotation (OpenSSH PROTOCOL §2.5): after authentication a server lists all its host keys, so that a client knows
 * the next one before it is used; for those that are new to it the client demands proof.
 */
import { type Bytes, equal } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { decodePublicKey } from "../../keys/public_key.ts";
import { KeyError, type PublicKey, type Signer } from "../../keys/types.ts";
import { keyAlgorithms } from "../algorithms/key_algorithms.ts";
import { SshError } from "../error.ts";
import type { Router } from "./router.ts";
import type { Connection } from "./types.ts";

const ANNOUNCE = "hostkeys-00@openssh.com";
const PROVE = "hostkeys-prove-00@openssh.com";

/** Keys of one server: more than anybody has, and a bound for what a liar can make a client verify. */
const MAX_HOST_KEYS = 32;

/** Demands for proof on one connection. Clients ask once; each costs the server its signatures. */
const MAX_DEMANDS = 8;

/** What a server announces. */
export interface HostKeyServing {
  /** All host keys, those not yet in use included; asked anew for each demand. */
  readonly hostKeys: () => readonly Signer[];
  /** The host key algorithm of the key exchange: RSA keys sign as it says, which OpenSSH insists on. */
  readonly algorithm: string;
}

/** Announces the server's host keys and proves them on demand. Call it once the client is authenticated. */
export function announceHostKeys(connection: Connection, router: Router, serving: HostKeyServing): void {
  let demands = 0;
  router.onRequest(PROVE, async ({ data }) => {
    if (++demands > MAX_DEMANDS) return false;
    const signers = serving.hostKeys();
    const blobs = readStrings(data, signers.length);
    const asked = blobs.map((blob) => signers.find(({ publicKey }) => equal(publicKey.blob, blob)));
    const reply = new Writer();
    for (const signer of asked) {
      if (!signer) return false;
      const { blob } = signer.publicKey;
      const proof = signedProof(connection.sessionId, blob);
      reply.string(await signer.sign(signatureAlgorithm(signer, serving.algorithm), proof));
    }
    return asked.length > 0 && reply.finish();
  });
  const blobs = serving.hostKeys().map(({ publicKey }) => publicKey.blob);
  if (blobs.length > 0) connection.request(ANNOUNCE, writeStrings(blobs), false).catch(() => {});
}

/** What a server has announced. */
export interface AnnouncedHostKeys {
  /** Keys that were known already, as far as they were announced: others may be retired. */
  readonly known: readonly PublicKey[];
  /** New ones, for each of which the server has shown just now that it holds the private key. */
  readonly proven: readonly PublicKey[];
}

/** What a client does with what is announced. */
export interface HostKeyFollowing {
  /** Whether `key` is on record for this server. */
  readonly isKnown: (key: PublicKey) => boolean | Promise<boolean>;
  /** Called at most once per connection, with everything proven; then records may be brought up to date. */
  readonly onHostKeys: (keys: AnnouncedHostKeys) => void;
  /** Called instead when the list or a proof is not what it should be. Nothing of it may be used. */
  readonly onFailure?: (error: unknown) => void;
}

/**
 * Receives the server's list, as a client. Only for a connection whose present host key was verified: whoever is at the
 * other end proves the new keys.
 */
export function followHostKeys(connection: Connection, router: Router, following: HostKeyFollowing): void {
  let announced = false;
  router.onRequest(ANNOUNCE, ({ data }) => {
    // A second list can only be meant to wear somebody out.
    if (announced) return false;
    announced = true;
    // Other requests of the server must not wait for its proof.
    receiveHostKeys(connection, data, following).then(following.onHostKeys).catch((error) =>
      following.onFailure?.(error)
    );
    return true;
  });
}

async function receiveHostKeys(
  connection: Connection,
  data: Bytes,
  { isKnown }: HostKeyFollowing,
): Promise<AnnouncedHostKeys> {
  const known: PublicKey[] = [];
  const unknown: PublicKey[] = [];
  for (const key of readKeys(data)) ((await isKnown(key)) ? known : unknown).push(key);
  if (unknown.length > 0) await demandProof(connection, unknown);
  return { known, proven: unknown };
}

/** Keys of types that this library does not know are left out, as are repeated ones. */
function readKeys(data: Bytes): PublicKey[] {
  const keys: PublicKey[] = [];
  for (const blob of readStrings(data, MAX_HOST_KEYS)) {
    const key = readKey(blob);
    if (key && !keys.some((other) => equal(other.blob, key.blob))) keys.push(key);
  }
  return keys;
}

function readKey(blob: Bytes): PublicKey | undefined {
  try {
    return decodePublicKey(blob);
  } catch (error) {
    if (error instanceof KeyError && error.code === "unsupported") return undefined;
    throw error;
  }
}

/** @throws {SshError} `host-key` unless the server proves that it holds every one of `keys` */
async function demandProof(connection: Connection, keys: readonly PublicKey[]): Promise<void> {
  const reply = await connection.request(PROVE, writeStrings(keys.map((key) => key.blob)), true);
  if (typeof reply === "boolean") throw unproven("the server does not prove the host keys that it announces");
  const signatures = readStrings(reply, keys.length);
  if (signatures.length !== keys.length) {
    throw unproven("the server proves fewer host keys than it announces");
  }
  for (const [i, key] of keys.entries()) {
    const algorithm = new Reader(signatures[i]).text();
    const proof = signedProof(connection.sessionId, key.blob);
    if (!await key.verify(algorithm, signatures[i], proof)) {
      throw unproven(`the server does not hold the host key ${await key.fingerprint()} that it announces`);
    }
  }
}

function unproven(message: string): SshError {
  return new SshError("host-key", message);
}

/** What is signed: the proof is for this connection and this key alone. */
function signedProof(sessionId: Bytes, blob: Bytes): Bytes {
  return new Writer().string(PROVE).string(sessionId).string(blob).finish();
}

function signatureAlgorithm({ publicKey }: Signer, negotiated: string): string {
  const wanted = keyAlgorithms.get(negotiated)?.signature;
  const { signatureAlgorithms } = publicKey;
  return signatureAlgorithms.find((name) => name === wanted) ?? signatureAlgorithms[0];
}

function writeStrings(strings: readonly Bytes[]): Bytes {
  const writer = new Writer();
  for (const one of strings) writer.string(one);
  return writer.finish();
}

/** @throws {SshError} `protocol` when there are more than `most`; {MalformedError} */
function readStrings(data: Bytes, most: number): Bytes[] {
  const reader = new Reader(data);
  const strings: Bytes[] = [];
  while (reader.remaining > 0) {
    if (strings.length >= most) throw new SshError("protocol", `more than ${most} host keys`);
    strings.push(reader.string());
  }
  return strings;
}
