/** Keys and certificates, made by the stock `ssh-keygen`. */
import type { Folder } from "./folder.ts";
import { findProgram } from "./peers.ts";
import { succeed } from "./process.ts";

/** Arguments of `ssh-keygen` for each kind of key that the tests use. */
export const KEY_KINDS = {
  "ed25519": ["-t", "ed25519"],
  "ecdsa-256": ["-t", "ecdsa", "-b", "256"],
  "ecdsa-384": ["-t", "ecdsa", "-b", "384"],
  "ecdsa-521": ["-t", "ecdsa", "-b", "521"],
  "rsa-2048": ["-t", "rsa", "-b", "2048"],
  "rsa-3072": ["-t", "rsa", "-b", "3072"],
} as const;

export type KeyKind = keyof typeof KEY_KINDS;

export interface KeyFile {
  /** The private key's file. */
  readonly path: string;
  /** The public key's file. */
  readonly publicPath: string;
  /** The line for authorized_keys: type, base64, comment. */
  readonly line: string;
  /** Type and base64 alone, as known_hosts has it. */
  readonly bare: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
}

const keygen = findProgram("ssh-keygen") ?? "ssh-keygen";

/** Makes a key pair named `name` in `folder`. */
export async function makeKey(
  folder: Folder,
  name: string,
  kind: KeyKind = "ed25519",
  { passphrase = "", format }: { passphrase?: string; format?: "PEM" | "PKCS8" } = {},
): Promise<KeyFile> {
  const path = folder.at(name);
  const shape = format ? ["-m", format] : [];
  await succeed([keygen, "-q", ...KEY_KINDS[kind], ...shape, "-N", passphrase, "-C", name, "-f", path]);
  return await readKey(path);
}

async function readKey(path: string): Promise<KeyFile> {
  const line = Deno.readTextFileSync(`${path}.pub`).trim();
  const { text } = await succeed([keygen, "-l", "-E", "sha256", "-f", `${path}.pub`]);
  return {
    path,
    publicPath: `${path}.pub`,
    line,
    bare: line.split(" ", 2).join(" "),
    fingerprint: text.split(" ")[1],
  };
}

/**
 * Signs a certificate for `key`, which `ssh-keygen` puts beside it as `NAME-cert.pub`; returns that path.
 * @param options `validity` as `ssh-keygen -V`, `options` as `-O`
 */
export async function makeCertificate(
  authority: KeyFile,
  key: KeyFile,
  { role, principals, id = "test", validity = "-5m:+10m", options = [], serial = 1, algorithm }: {
    role: "user" | "host";
    principals: readonly string[];
    id?: string;
    validity?: string;
    options?: readonly string[];
    serial?: number;
    /** For RSA authorities: `rsa-sha2-256`, … */
    algorithm?: string;
  },
): Promise<string> {
  const line = [keygen, "-q", "-s", authority.path, "-I", id, "-V", validity, "-z", String(serial)];
  if (role === "host") line.push("-h");
  if (principals.length > 0) line.push("-n", principals.join(","));
  if (algorithm) line.push("-t", algorithm);
  for (const option of options) line.push("-O", option);
  await succeed([...line, key.publicPath]);
  return `${key.path}-cert.pub`;
}

/** A known_hosts line for a server on 127.0.0.1. */
export function knownHost(port: number, key: Pick<KeyFile, "bare">, name = "127.0.0.1"): string {
  return `[${name}]:${port} ${key.bare}\n`;
}

/** The same private key in Dropbear's own format, for `dbclient -i` and `dropbear -r`; returns the new file's path. */
export async function toDropbear(key: KeyFile): Promise<string> {
  const path = `${key.path}.dropbear`;
  await succeed([findProgram("dropbearconvert") ?? "dropbearconvert", "openssh", "dropbear", key.path, path]);
  return path;
}

/** The same private key as PuTTY's `.ppk`, for `plink -i`; returns the new file's path. */
export async function toPutty(key: KeyFile): Promise<string> {
  const path = `${key.path}.ppk`;
  const program = findProgram("puttygen") ?? "puttygen";
  await succeed([program, key.path, "-O", "private", "-o", path], {
    env: { HOME: path.replace(/\/[^/]*$/, "") },
  });
  return path;
}
