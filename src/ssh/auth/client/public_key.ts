/** `publickey` (RFC 4252 §7), bound to the host key where the server can (OpenSSH PROTOCOL §3.1). */
import { type Bytes, equal } from "../../../bytes/bytes.ts";
import { Reader } from "../../../bytes/reader.ts";
import { certificateAlgorithm, certificateType } from "../../../keys/key_types.ts";
import type { Signer } from "../../../keys/types.ts";
import { SshError } from "../../error.ts";
import {
  HostboundFields,
  HostboundQueryFields,
  PublicKeyFields,
  PublicKeyQueryFields,
  signedData,
  UserauthPkOk,
} from "../messages.ts";
import { CONNECTION_SERVICE, type MessageStream, Method } from "../types.ts";
import type { Candidate, ClientExchange, Trial } from "./exchange.ts";
import type { PublicKeyCredential } from "./types.ts";

/** A key or a certificate for it. */
interface Offer {
  readonly signer: Signer;
  readonly blob: Bytes;
  readonly certificate: boolean;
}

export function publicKeyCandidates({ signers, ask }: PublicKeyCredential): Candidate[] {
  const offers = signers.flatMap(offersOf);
  return offers.map((offer) => candidate(offer, ask ?? (offers.length > 1 || isFido(offer.signer))));
}

function offersOf(signer: Signer): Offer[] {
  const { publicKey: { type, blob }, certificate } = signer;
  const plain = { signer, blob, certificate: false };
  if (!certificate) return [plain];
  if (new Reader(certificate).text() !== certificateType(type)) {
    throw new TypeError(`the certificate of a ${type} key is not a ${certificateType(type)}`);
  }
  return [{ signer, blob: certificate, certificate: true }, plain];
}

function isFido(signer: Signer): boolean {
  return signer.publicKey.type.startsWith("sk-");
}

function candidate(offer: Offer, ask: boolean): Candidate {
  const key = offer.signer.publicKey;
  return {
    method: Method.publicKey,
    key,
    label: async () => `${key.type} ${await key.fingerprint()}${offer.certificate ? " (certificate)" : ""}`,
    attempt: (exchange) => attempt(exchange, offer, ask),
  };
}

async function attempt(exchange: ClientExchange, offer: Offer, ask: boolean): Promise<Trial> {
  const { stream, config: { user } } = exchange;
  const signature = chooseSignature(offer.signer, stream);
  if (signature === undefined) {
    return { result: "skipped", why: "the server takes no RSA signature with SHA-2" };
  }
  const algorithm = offer.certificate ? certificateAlgorithm(signature) : signature;
  const hostKey = stream.publicKeyHostbound ? stream.hostKey : undefined;
  const request = { algorithm, blob: offer.blob, hostKey };

  if (ask) {
    exchange.request(methodFor(request), encodeQuery(request));
    const reply = await exchange.reply("query");
    if (reply.result !== "continue") return reply as Trial;
    // The algorithm is not compared: some servers echo the key type of RSA keys.
    if (!equal(UserauthPkOk.decode(reply.payload).blob, offer.blob)) {
      throw new SshError("protocol", "the server agrees to a key that was not asked about");
    }
  }
  const data = signedData({ ...request, sessionId: stream.sessionId, user, service: CONNECTION_SERVICE });
  const proof = await exchange.wait(offer.signer.sign(signature, data));
  exchange.request(methodFor(request), encodeProof(request, proof));
  return await exchange.verdict();
}

/**
 * The signature algorithm to use. What `server-sig-algs` decides is RSA's hash (RFC 8332 §3.3); other keys have one
 * algorithm, and are tried even where the list lacks it, as lists are sometimes incomplete. Without a list: the best.
 */
function chooseSignature({ publicKey }: Signer, stream: MessageStream): string | undefined {
  const mine = publicKey.signatureAlgorithms;
  const theirs = stream.serverSignatureAlgorithms;
  if (!theirs || publicKey.type !== "ssh-rsa") return mine[0];
  return mine.find((name) => theirs.includes(name));
}

interface KeyRequest {
  readonly algorithm: string;
  readonly blob: Bytes;
  readonly hostKey: Bytes | undefined;
}

function methodFor({ hostKey }: KeyRequest): string {
  return hostKey ? Method.publicKeyHostbound : Method.publicKey;
}

function encodeQuery({ algorithm, blob, hostKey }: KeyRequest): Bytes {
  return hostKey
    ? HostboundQueryFields.encode({ signed: false, algorithm, blob, hostKey })
    : PublicKeyQueryFields.encode({ signed: false, algorithm, blob });
}

function encodeProof({ algorithm, blob, hostKey }: KeyRequest, signature: Bytes): Bytes {
  return hostKey
    ? HostboundFields.encode({ signed: true, algorithm, blob, hostKey, signature })
    : PublicKeyFields.encode({ signed: true, algorithm, blob, signature });
}
