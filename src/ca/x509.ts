/**
 * X.509 certificates of the authority: its root, and what it signs. The subject of certificates is empty, and so their names
 * are critical (RFC 5280 §4.2.1.6).
 */
import { type Bytes, randomBytes } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import type { Identity } from "../identity/principal.ts";
import { requireKey } from "../x509/algorithms.ts";
import { requireAuthority, requireSignedBy } from "../x509/authority.ts";
import { formatCertificate, readCertificates } from "../x509/certificate.ts";
import { parseDer } from "../x509/der.ts";
import { X509Error } from "../x509/error.ts";
import { keyIdentifier, ownKeyIdentifier } from "../x509/key_identifier.ts";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
  X509PublicKey,
} from "../x509/library.ts";
import { readCertificateRequest } from "../x509/request.ts";
import { normalizeX509Serial, randomX509Serial } from "../x509/serial.ts";
import { formatSpiffeId } from "../x509/spiffe.ts";
import { CaError, type IssuedX509Certificate } from "./types.ts";
import { type JsonGeneralName, ownName, x509Names } from "./x509_names.ts";

/** How far before now a certificate begins to be valid: clocks that are behind shall take it too. */
const BACKDATED_MS = 5 * 60_000;

/** The authority's certificates and key, ready to sign. */
export interface X509Root {
  /** The one that signs, then those above it, the root last. Mostly there is only one. */
  readonly chain: readonly X509Certificate[];
  readonly privateKey: CryptoKey;
}

/** As files hold them. */
export interface X509RootFiles {
  /** PEM: the certificate that signs, then those above it up to the root. */
  readonly certificate: string;
  /** PEM (PKCS #8). */
  readonly privateKey: string;
}

export interface NewX509Root {
  /** For people: it becomes the subject, with a serial of its own so that old and new roots differ. */
  readonly commonName: string;
  /** Names the root, as SPIFFE wants it (X.509-SVID §3.1). Normalised. */
  readonly trustDomain: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly algorithm?: "P-256" | "Ed25519";
}

export interface X509Issue {
  readonly root: X509Root;
  /** Whom to certify: a PKCS #10 request that proves possession of its key, or a public key (SPKI) that has been proved. Both in DER. */
  readonly key: { readonly csr: Bytes } | { readonly publicKey: Bytes };
  readonly identity: Identity;
  /** DNS names that it serves, normalised; the caller has checked that they are the holder's. Empty: for a client alone. */
  readonly names: readonly string[];
  /** The names are the gateway's own: `localhost` and IP addresses may be among them. */
  readonly gateway?: boolean;
  /** Domains that this authority may name workloads of. */
  readonly trustDomains: readonly string[];
  /** Milliseconds from `now`. The end is never later than the authority's own. */
  readonly lifetime: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Hexadecimal, as `randomX509Serial` makes it. */
  readonly serial: string;
}

/** Keys of new roots, and how they sign. */
const ROOT_KEYS = {
  "P-256": {
    generate: () =>
      crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]),
  },
  "Ed25519": {
    generate: () =>
      crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]) as Promise<CryptoKeyPair>,
  },
} as const;

/**
 * Makes a root: self-signed, for one level of certificates below it.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadX509Root, makeX509Root } from "./x509.ts";
 * const files = await makeX509Root({
 *   commonName: "ssh-mesh",
 *   trustDomain: "prod.example",
 *   notBefore: Date.now(),
 *   notAfter: Date.now() + 86_400_000,
 * });
 * const { chain } = await loadX509Root(files);
 * assert.equal(chain.length, 1);
 * ```
 */
export async function makeX509Root(root: NewX509Root): Promise<X509RootFiles> {
  const keys = await ROOT_KEYS[root.algorithm ?? "P-256"].generate();
  const publicKey = await X509PublicKey.create(keys.publicKey);
  const identifier = await keyIdentifier(publicKey);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomX509Serial(),
    // A name of its own for each key: chains are looked for by name.
    name: [{ CN: [root.commonName] }, { [SERIAL_NUMBER]: [identifier.slice(0, 16)] }],
    notBefore: wholeSeconds(root.notBefore),
    notAfter: wholeSeconds(root.notAfter),
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectKeyIdentifierExtension(identifier),
      new SubjectAlternativeNameExtension([{
        type: "url",
        value: formatSpiffeId({ trustDomain: root.trustDomain, path: [] }),
      }]),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: formatCertificate(certificate),
    privateKey: `${PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag)}\n`,
  };
}

/** Attribute of a name, RFC 4519 §2.31. */
const SERIAL_NUMBER = "2.5.4.5";

/** Certificates count in seconds. */
function wholeSeconds(time: number): Date {
  return new Date(Math.floor(time / 1000) * 1000);
}

/**
 * Reads what {@link makeX509Root} made, or anybody's certificate and unencrypted PKCS #8 key of ECDSA P-256, P-384, Ed25519
 * or RSA.
 * @throws {X509Error} when it is no authority, the chain does not hold together, or the key is another one's
 */
export async function loadX509Root(files: X509RootFiles): Promise<X509Root> {
  const chain = readCertificates(files.certificate);
  for (const [index, certificate] of chain.entries()) {
    requireAuthority(certificate, index);
    await requireSignedBy(certificate, chain[index + 1] ?? certificate);
  }
  const [signer] = chain;
  requireKey(signer.publicKey);
  return { chain, privateKey: await privateKeyOf(signer, files.privateKey) };
}

/** The key in `pem`, which must be the one that `certificate` certifies. */
async function privateKeyOf(certificate: X509Certificate, pem: string): Promise<CryptoKey> {
  const algorithm = { hash: "SHA-256", ...certificate.publicKey.algorithm };
  const probe = randomBytes(32);
  try {
    const der = PemConverter.decodeWithHeaders(pem).find(({ type }) => type === PemConverter.PrivateKeyTag)!;
    const privateKey = await crypto.subtle.importKey("pkcs8", der.rawData, algorithm, false, ["sign"]);
    const publicKey = await certificate.publicKey.export(algorithm, ["verify"]);
    const signature = await crypto.subtle.sign(algorithm, privateKey, probe);
    if (await crypto.subtle.verify(algorithm, publicKey, signature, probe)) return privateKey;
  } catch (cause) {
    throw new X509Error(
      "malformed",
      "the private key is no unencrypted PKCS #8 key of the certificate's kind",
      {
        cause,
      },
    );
  }
  throw new X509Error("signature", "the private key is not the certificate's");
}

/**
 * Signs a certificate for `issue.identity`. Whether it may have one is not asked here.
 * @throws {CaError} `invalid` for a request that is not understood or proves nothing, `refused` for names that the holder
 * has not, `unavailable` when the authority's own certificate has run out
 */
export async function issueX509(issue: X509Issue): Promise<IssuedX509Certificate> {
  const { chain: [signer], privateKey } = issue.root;
  const { publicKey, asked } = await keyAndNames(issue.key);
  const names = x509Names(issue);
  for (const name of asked) {
    if (!names.some(({ type, value }) => type === name.type && value === name.value)) {
      throw new CaError(
        "refused",
        `the request asks for the name ${printable(name.value)}, which is not the holder's`,
      );
    }
  }
  const notAfter = Math.min(issue.now + issue.lifetime, ...issue.root.chain.map((above) => +above.notAfter));
  if (notAfter <= issue.now) {
    throw new CaError("unavailable", "the authority's own X.509 certificate has expired");
  }
  const serial = normalizeX509Serial(issue.serial);
  const usages = [
    // Somebody without a name of his own serves names, and is none of them.
    ...(ownName(issue) ? [ExtendedKeyUsage.clientAuth] : []),
    ...(issue.names.length > 0 ? [ExtendedKeyUsage.serverAuth] : []),
  ];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial,
    issuer: signer.subjectName,
    notBefore: wholeSeconds(Math.max(issue.now - BACKDATED_MS, +signer.notBefore)),
    notAfter: wholeSeconds(notAfter),
    publicKey,
    signingKey: privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(usages),
      new SubjectAlternativeNameExtension(names, true),
      new SubjectKeyIdentifierExtension(await keyIdentifier(publicKey)),
      new AuthorityKeyIdentifierExtension(await ownKeyIdentifier(signer)),
    ],
  });
  return {
    certificate: formatCertificate(certificate),
    chain: issue.root.chain.map(formatCertificate),
    serial,
    expiresAt: +certificate.notAfter,
  };
}

async function keyAndNames(
  key: X509Issue["key"],
): Promise<{ publicKey: X509PublicKey; asked: JsonGeneralName[] }> {
  try {
    if ("publicKey" in key) return { publicKey: readPublicKey(key.publicKey), asked: [] };
    const { publicKey, names } = await readCertificateRequest(key.csr);
    const asked: JsonGeneralName[] = [
      ...names.uris.map((value) => ({ type: "url" as const, value })),
      ...names.emails.map((value) => ({ type: "email" as const, value })),
      ...names.dns.map((value) => ({ type: "dns" as const, value })),
      ...names.ips.map((value) => ({ type: "ip" as const, value })),
    ];
    if (names.others.length > 0) {
      throw new CaError(
        "refused",
        "the request asks for a name that is no URI, DNS name, e-mail or IP address",
      );
    }
    return { publicKey, asked };
  } catch (cause) {
    if (cause instanceof X509Error) throw new CaError("invalid", cause.message, { cause });
    throw cause;
  }
}

/** A public key in a SubjectPublicKeyInfo. */
function readPublicKey(der: Bytes): X509PublicKey {
  const limits = { what: "the public key", maxLength: 4096 };
  const publicKey = parseDer(der, limits, (bytes) => new X509PublicKey(bytes));
  requireKey(publicKey);
  return publicKey;
}
