/**
 * `publickey` (RFC 4252 §7) and its host-bound form (OpenSSH PROTOCOL §3.1).
 *
 * The callback is asked again for every signed request, with the key whose signature that very request carried.
 * Nothing is remembered from earlier questions, so none can be mistaken for a proof (CVE-2024-45337).
 */
import { type Bytes, equal } from "../../../bytes/bytes.ts";
import { Reader } from "../../../bytes/reader.ts";
import { parseCertificate } from "../../../cert/certificate.ts";
import type { Certificate } from "../../../cert/types.ts";
import { decodePublicKey } from "../../../keys/public_key.ts";
import type { PublicKey, VerifiedSignature } from "../../../keys/types.ts";
import { type KeyAlgorithm, keyAlgorithms } from "../../algorithms/key_algorithms.ts";
import {
  HostboundFields,
  HostboundQueryFields,
  PublicKeyFields,
  PublicKeyQueryFields,
  signedData,
  startsWithTrue,
  UserauthPkOk,
} from "../messages.ts";
import { CONNECTION_SERVICE, Method } from "../types.ts";
import { type Outcome, refuse, type ServerExchange, type ServerMethod } from "./exchange.ts";
import type { FidoDemand } from "./types.ts";

/** The names under which old clients ask for RSA with SHA-1. */
const RSA_WITH_SHA1: ReadonlySet<string> = new Set(["ssh-rsa", "ssh-rsa-cert-v01@openssh.com"]);

/** What users of old clients are told: without it they see a refused key that works elsewhere. */
const SHA1_MESSAGE =
  "RSA keys need a signature with SHA-2 (rsa-sha2-256, rsa-sha2-512) here: update your SSH client.";

export const publicKey: ServerMethod = {
  name: Method.publicKey,
  offered: (config) => config.publicKey !== undefined,
  async attempt<I>(exchange: ServerExchange<I>, fields: Bytes, method: string): Promise<Outcome<I>> {
    const offer = decodeOffer(fields, method);
    const outcome = await judge(exchange, offer);
    return offer.signature ? outcome : { ...outcome, query: true };
  },
};

/** The fields of any of the four requests. */
interface Offer {
  readonly algorithm: string;
  readonly blob: Bytes;
  /** Of a host-bound request. */
  readonly hostKey?: Bytes;
  /** Missing in a question. */
  readonly signature?: Bytes;
}

function decodeOffer(fields: Bytes, method: string): Offer {
  const signed = startsWithTrue(fields);
  if (method === Method.publicKeyHostbound) {
    return signed ? HostboundFields.decode(fields) : HostboundQueryFields.decode(fields);
  }
  return signed ? PublicKeyFields.decode(fields) : PublicKeyQueryFields.decode(fields);
}

async function judge<I>(exchange: ServerExchange<I>, offer: Offer): Promise<Outcome<I>> {
  const { config, stream, request } = exchange;
  if (offer.hostKey && !equal(offer.hostKey, stream.hostKey)) return refuse("bound to another host key");
  const algorithm = keyAlgorithms.get(offer.algorithm);
  if (!algorithm || config.algorithms?.includes(algorithm.name) === false) {
    return refuse(
      "public key algorithm not accepted",
      RSA_WITH_SHA1.has(offer.algorithm) ? { message: SHA1_MESSAGE } : {},
    );
  }

  let credential: Credential;
  try {
    credential = decodeCredential(algorithm, offer.blob);
  } catch (cause) {
    return refuse("key or certificate not understood", { cause });
  }

  const asked = { ...request, ...credential, algorithm: algorithm.name };
  if (!offer.signature) {
    const verdict = await exchange.ask(config.publicKey!, { ...asked, proven: false });
    if (verdict.result === "refused") return { ...verdict, ...credential };
    stream.send(UserauthPkOk.encode({ algorithm: offer.algorithm, blob: offer.blob }));
    return { result: "known", ...credential };
  }

  const { key } = credential;
  const data = signedData({
    ...offer,
    sessionId: stream.sessionId,
    user: request.user,
    service: CONNECTION_SERVICE,
  });
  const verified = await key.verify(algorithm.signature, offer.signature, data);
  if (verified?.algorithm !== algorithm.signature) return { ...refuse("wrong signature"), ...credential };
  const verdict = await exchange.ask(config.publicKey!, { ...asked, proven: true, fido: verified.fido });
  const fault = verdict.result === "refused" ? undefined : fidoFault(key, verified, verdict.fido);
  return { ...(fault ? refuse(fault) : verdict), ...credential };
}

interface Credential {
  readonly key: PublicKey;
  readonly certificate?: Certificate;
}

/** The key that must sign, from a blob of exactly the type that the algorithm names. */
function decodeCredential(algorithm: KeyAlgorithm, blob: Bytes): Credential {
  if (new Reader(blob).text() !== algorithm.blobType) throw new TypeError(`not a ${algorithm.blobType} blob`);
  if (!algorithm.certificate) return { key: decodePublicKey(blob) };
  const certificate = parseCertificate(blob);
  return { key: certificate.publicKey, certificate };
}

/** What a FIDO token failed to vouch for, in words; undefined when it meets the demand. */
function fidoFault(key: PublicKey, verified: VerifiedSignature, demand: FidoDemand = {}): string | undefined {
  if (!key.type.startsWith("sk-")) return undefined;
  const { touch = true, verification = false } = demand;
  if (touch && !verified.fido?.userPresent) return "the security key was not touched";
  if (verification && !verified.fido?.userVerified) return "the security key did not verify its user";
  return undefined;
}
