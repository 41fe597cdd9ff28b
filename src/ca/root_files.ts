/**
 * Roots that somebody else keeps: files and folders named in the configuration.
 *
 * | path | read as |
 * |---|---|
 * | file of a private key (OpenSSH, PKCS #8, PEM) | SSH root |
 * | file of public keys, one per line | SSH roots that are trusted and sign nothing |
 * | PEM file with certificates and a private key | X.509 root |
 * | PEM file with certificates alone | X.509 roots that are trusted and sign nothing |
 * | folder | of the names in {@link FOLDER_NAMES} the first that is there |
 *
 * Private keys that others can read are refused, as everywhere. Only where the system mounts a Secret (a folder with a link
 * `..data`, whose files are links with mode 0644 and whose protection is the container) is that left to whoever mounted it;
 * what others can write is refused there too.
 */
import { decodeText } from "../bytes/bytes.ts";
import { encodeBase64 } from "../bytes/encoding.ts";
import { openPem } from "../keys/foreign_key.ts";
import { parsePrivateKey } from "../keys/private_key.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import { signatureSchemes } from "../keys/signature.ts";
import { KeyError, type PublicKey, type Signer } from "../keys/types.ts";
import { FilesError, FileType, isType, type ReadableFiles } from "../platform/files.ts";
import { ifThere, readWholeFile } from "../platform/whole_file.ts";
import { X509Error } from "../x509/error.ts";
import { readCertificates } from "../x509/certificate.ts";
import type { X509Certificate } from "../x509/library.ts";
import { decodePublicKey } from "../keys/public_key.ts";
import { publicBlob } from "../keys/private_fields.ts";
import type { RootKind } from "./local.ts";
import { CaError } from "./types.ts";
import { loadX509Root, type X509Root } from "./x509.ts";

/** Permission bits that let others read or write a private key; and those that let them write. */
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

/**
 * What a folder may hold, best first; an X.509 root may be two files, certificate and key.
 *
 * `id_*`, `tls.*`: what `ssh_ca.sh` leaves, and Secrets of the types `kubernetes.io/ssh-auth` (`ssh-privatekey`) and
 * `kubernetes.io/tls`. `ca-cert.pem`, `cert-chain.pem`: Istio's `cacerts`.
 */
const FOLDER_NAMES: Readonly<Record<RootKind, readonly (readonly string[])[]>> = {
  user: [["ca_user"], ["user_ca"], ["id_ed25519"], ["id_ecdsa"], ["id_rsa"], ["ssh-privatekey"]],
  host: [["ca_host"], ["host_ca"], ["id_ed25519"], ["id_ecdsa"], ["id_rsa"], ["ssh-privatekey"]],
  x509: [["ca_x509"], ["ca-cert.pem", "ca-key.pem"], ["tls.crt", "tls.key"]],
};

/** An SSH root; without a signer it is trusted alone. */
export interface SshRootFile {
  readonly publicKey: PublicKey;
  readonly signer?: Signer;
}

/** An X.509 root; without `signs` it is trusted alone. */
export interface X509RootFile {
  readonly root: X509Certificate;
  readonly signs?: X509Root;
}

/** What was read, and every file that was looked at. */
export interface ReadRoots<T> {
  readonly roots: readonly T[];
  readonly paths: readonly string[];
}

/**
 * Reads SSH roots; the first signs.
 * @throws {CaError} `unavailable`, with path and reason
 */
export async function readSshRoots(
  files: ReadableFiles,
  kind: "user" | "host",
  paths: readonly string[],
): Promise<ReadRoots<SshRootFile>> {
  const found = await Promise.all(paths.map((path) => locate(files, kind, path)));
  const read = await Promise.all(found.map(async ([path]): Promise<SshRootFile[]> => {
    const text = await readText(files, path);
    return await explained(path, async () => {
      if (!/-----BEGIN |^PuTTY-User-Key-File-/m.test(text)) return publicKeys(text);
      await requireSecret(files, path);
      const signer = await parsePrivateKey(text);
      requireStrong(signer.publicKey);
      return [{ publicKey: signer.publicKey, signer }];
    });
  }));
  return {
    roots: requireSigner(read.flat(), paths, ({ signer }) => signer !== undefined),
    paths: found.flat(),
  };
}

/**
 * Reads X.509 roots; the first signs.
 * @throws {CaError} `unavailable`, with path and reason
 */
export async function readX509Roots(
  files: ReadableFiles,
  paths: readonly string[],
): Promise<ReadRoots<X509RootFile>> {
  const found = await Promise.all(paths.map((path) => locate(files, "x509", path)));
  const read = await Promise.all(found.map(async ([path, keyPath = path]): Promise<X509RootFile[]> => {
    const certificate = await readText(files, path);
    const key = keyPath === path ? certificate : await readText(files, keyPath);
    return await explained(path, async () => {
      const isSecret = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(key);
      if (!isSecret) return readCertificates(certificate).map((root) => ({ root }));
      await requireSecret(files, keyPath);
      const signs = await loadX509Root({ certificate, privateKey: await asPkcs8(key) });
      return [{ root: signs.chain.at(-1)!, signs }];
    });
  }));
  return {
    roots: requireSigner(read.flat(), paths, ({ signs }) => signs !== undefined),
    paths: found.flat(),
  };
}

/** The SSH public key in a SubjectPublicKeyInfo; undefined when SSH has no such keys. */
export async function sshKeyOfSpki(
  spki: ArrayBuffer | Uint8Array<ArrayBuffer>,
): Promise<PublicKey | undefined> {
  const kinds = [
    ["ssh-ed25519", { name: "Ed25519" }],
    ["ecdsa-sha2-nistp256", { name: "ECDSA", namedCurve: "P-256" }],
    ["ecdsa-sha2-nistp384", { name: "ECDSA", namedCurve: "P-384" }],
    ["ecdsa-sha2-nistp521", { name: "ECDSA", namedCurve: "P-521" }],
    ["ssh-rsa", { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }],
  ] as const;
  for (const [type, algorithm] of kinds) {
    try {
      const key = await crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]);
      return decodePublicKey(publicBlob(type, await crypto.subtle.exportKey("jwk", key)));
    } catch {
      // Not a key of this kind.
    }
  }
}

/** Path of the file, or of certificate and key, that `path` stands for. */
async function locate(files: ReadableFiles, kind: RootKind, path: string): Promise<readonly string[]> {
  const stat = await ifThere(files.stat(path)).catch((cause) => {
    throw unavailable(path, cause);
  });
  if (!stat) throw new CaError("unavailable", `${path}: there is no such file or folder`);
  if (!isType(stat, FileType.directory)) return [path];
  for (const names of FOLDER_NAMES[kind]) {
    const inside = names.map((name) => `${path}/${name}`);
    const there = await Promise.all(inside.map((file) => ifThere(files.stat(file))));
    if (there.every(Boolean)) return inside;
  }
  const names = FOLDER_NAMES[kind].map((pair) => pair.join(" with ")).join(", ");
  throw new CaError(
    "unavailable",
    `${path}: no root for ${kind} certificates in this folder: none of ${names}`,
  );
}

async function readText(files: ReadableFiles, path: string): Promise<string> {
  try {
    return decodeText((await readWholeFile(files, path)).bytes);
  } catch (cause) {
    throw unavailable(path, cause);
  }
}

/** @throws {CaError} when others can read the private key in `path`, or, in a mounted Secret, write it */
async function requireSecret(files: ReadableFiles, path: string): Promise<void> {
  const { mode } = await files.stat(path);
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".";
  const isMounted = await ifThere(files.stat(`${folder}/..data`)) !== undefined;
  if ((mode & (isMounted ? OTHERS_WRITE : OTHERS)) === 0) return;
  const found = (mode & 0o7777).toString(8).padStart(4, "0");
  throw new CaError("unavailable", `${path} has mode ${found}, others get in: chmod 0600 ${path}`);
}

function publicKeys(text: string): SshRootFile[] {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  return lines.map((line) => {
    const { key, certificate } = parsePublicKeyLine(line);
    if (certificate) throw new KeyError("unsupported", "a certificate is no authority");
    requireStrong(key);
    return { publicKey: key };
  });
}

function requireStrong({ type, bits }: PublicKey): void {
  if (type === "ssh-rsa" && bits < 2048) {
    throw new KeyError("unsupported", `an RSA key of ${bits} bits is too weak for an authority`);
  }
}

function requireSigner<T>(
  roots: readonly T[],
  paths: readonly string[],
  signs: (root: T) => boolean,
): readonly T[] {
  if (roots.length > 0 && signs(roots[0])) return roots;
  throw new CaError(
    "unavailable",
    `${paths[0]}: the first root must be able to sign, and this has no private key`,
  );
}

/** What OpenSSL, cert-manager and ssh-keygen write, as PKCS #8: the one form that WebCrypto reads. */
async function asPkcs8(text: string): Promise<string> {
  if (/-----BEGIN PRIVATE KEY-----/.test(text)) return text;
  const { jwk, type } = await openPem(text);
  const { parameters } = signatureSchemes[type === "ssh-rsa" ? "rsa-sha2-256" : type];
  const key = await crypto.subtle.importKey("jwk", jwk, parameters, true, ["sign"]);
  const lines = encodeBase64(new Uint8Array(await crypto.subtle.exportKey("pkcs8", key))).match(/.{1,64}/g)!;
  return ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
}

async function explained<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw unavailable(path, cause);
  }
}

/** No message of a {@link KeyError} or {@link X509Error} holds anything of a file. */
function unavailable(path: string, cause: unknown): unknown {
  const known = [KeyError, X509Error, FilesError].some((kind) => cause instanceof kind) ||
    cause instanceof TypeError;
  if (cause instanceof CaError || !known) return cause;
  return new CaError("unavailable", `${path}: ${(cause as Error).message}`, { cause });
}
