/** What a person authenticates with: a token, and keys: those that were named, else those of the SSH agent and `~/.ssh`. */
import {
  expandHome,
  openness,
  openTextIfThere,
  readingFrom,
  requireText,
  type TextFile,
} from "../agent/text_file.ts";
import { equal } from "../bytes/bytes.ts";
import { withCertificate, withoutCertificate } from "../cert/certificate.ts";
import { AgentClient } from "../keys/agent_client.ts";
import { parsePrivateKey } from "../keys/private_key.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type Signer } from "../keys/types.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { Credential } from "../ssh/auth/client/types.ts";
import { SshmError } from "./exit_codes.ts";
import type { GlobalFlags } from "./flags.ts";
import type { SshmHost } from "./host.ts";
import { note } from "./output.ts";
import { findToken } from "./token.ts";

/** Under `~/.ssh`, in the order in which they are tried. */
export const USUAL_NAMES = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** What stands beside a key `id_x`: `id_x-cert.pub` by ssh-keygen, `id_x_cert.pub` by upstream. */
const CERTIFICATE_SUFFIXES = ["-cert.pub", "_cert.pub"];

/** Times that a passphrase is asked for, as ssh does. */
const PASSPHRASE_TRIES = 3;

export interface Credentials {
  /** In the order in which they are tried. */
  readonly credentials: readonly Credential[];
  /** Lets go of the SSH agent. */
  close(): void;
}

/** How keys are used. */
export interface KeyUse {
  /** Without the certificates beside them: for what a certificate does not get, another certificate. */
  readonly plainKeys?: boolean;
}

/**
 * Finds what there is. A token that was named goes first, and brings no keys along but those that were named too; a
 * stored one is for a gateway that takes none of the keys.
 * @throws {SshmError} `files` when there is nothing; {@link AgentError} `files` when what was named cannot be used
 */
export async function loadCredentials(
  host: SshmHost,
  flags: GlobalFlags,
  use: KeyUse = {},
): Promise<Credentials> {
  const token = await findToken(host, flags);
  const password = token && { method: "password", password: token.text } as const;
  const publicKey = (signers: readonly Signer[]) => ({ method: "publickey", signers, ask: true }) as const;
  const close = () => {};
  if (flags.identity.length > 0) {
    const named = publicKey(await namedKeys(host, flags.identity, use));
    return { credentials: password ? token.named ? [password, named] : [named, password] : [named], close };
  }
  if (password && token.named) return { credentials: [password], close };
  const { signers, close: closeAgent } = await usualKeys(host, use);
  const keys = signers.length > 0 ? [publicKey(signers)] : [];
  if (keys.length > 0 || password) {
    return { credentials: [...keys, ...(password ? [password] : [])], close: closeAgent };
  }
  closeAgent();
  throw new SshmError(
    "files",
    `there is no key in an SSH agent or in ${
      host.environment("HOME") ?? "/"
    }/.ssh, and no token: name a key with ` +
      "--identity or a token with --token-file, or make a key with ssh-keygen",
  );
}

async function namedKeys(host: SshmHost, named: readonly string[], use: KeyUse): Promise<Signer[]> {
  const home = host.environment("HOME") ?? "/";
  const signers: Signer[] = [];
  for (const path of named) {
    const file = await requireText(host.files, expandHome(path, home), "the private key");
    signers.push(await readKey(host, file, use));
  }
  return signers;
}

async function usualKeys(host: SshmHost, use: KeyUse): Promise<{ signers: Signer[]; close: () => void }> {
  const agent = await openAgent(host);
  const signers = (agent?.signers ?? []).map((signer) => use.plainKeys ? withoutCertificate(signer) : signer);
  for (const name of USUAL_NAMES) {
    const signer = await usualKey(host, `${host.environment("HOME") ?? "/"}/.ssh/${name}`, use);
    if (!signer || signers.some(({ publicKey }) => equal(publicKey.blob, signer.publicKey.blob))) continue;
    // The key by itself first, as ssh has it: an owner's may do what its certificate may not.
    if (signer.certificate) signers.push(withoutCertificate(signer));
    signers.push(signer);
  }
  return { signers, close: () => agent?.client.close() };
}

async function openAgent(host: SshmHost): Promise<{ client: AgentClient; signers: Signer[] } | undefined> {
  const path = host.environment("SSH_AUTH_SOCK");
  if (!path) return undefined;
  let client: AgentClient | undefined;
  try {
    client = new AgentClient(await host.net.dial({ transport: "unix", path }));
    return { client, signers: await client.identities() };
  } catch {
    client?.close();
    await note(host, `sshm: no SSH agent answers at ${path}, where $SSH_AUTH_SOCK points`);
  }
}

/** A key that nobody named: one that cannot be used is told of and left out. */
async function usualKey(host: SshmHost, path: string, use: KeyUse): Promise<Signer | undefined> {
  const file = await openTextIfThere(host.files, path).catch(() => undefined);
  if (!file) return undefined;
  try {
    return await readKey(host, file, use);
  } catch (error) {
    await note(host, `sshm: ${(error as Error).message}; it is not used`);
  }
}

async function readKey(host: SshmHost, file: TextFile, { plainKeys }: KeyUse): Promise<Signer> {
  const open = openness(file);
  if (open) throw new SshmError("files", open);
  const { path } = file;
  const signer = await readingFrom(path, async () => {
    try {
      return await parsePrivateKey(file.text);
    } catch (error) {
      if (!(error instanceof KeyError) || error.code !== "passphrase-needed") throw error;
      return await lockedKey(host, file);
    }
  });
  for (const suffix of plainKeys ? [] : CERTIFICATE_SUFFIXES) {
    const certificate = await openTextIfThere(host.files, path + suffix);
    if (!certificate) continue;
    try {
      return certify(signer, certificate.text);
    } catch (error) {
      // As ssh has it: this costs the certificate and not the key.
      const reason = (error as Error).message;
      await note(host, `sshm: ${certificate.path}: ${reason}; the key is used without this certificate`);
    }
  }
  return signer;
}

function certify(signer: Signer, line: string): Signer {
  const { certificate } = parsePublicKeyLine(line);
  if (!certificate) throw new KeyError("malformed", "a plain public key, where a certificate is expected");
  return withCertificate(signer, certificate);
}

/** A key with a passphrase, asked for when the key has to sign: the file with the public half says which key it is. */
async function lockedKey(host: SshmHost, file: TextFile): Promise<Signer> {
  const publicHalf = await publicKeyBeside(host.files, file.path);
  if (!publicHalf) return await unlock(host, file);
  let unlocked: Promise<Signer> | undefined;
  return {
    publicKey: publicHalf,
    sign: async (algorithm, data) => await (await (unlocked ??= unlock(host, file))).sign(algorithm, data),
  };
}

async function publicKeyBeside(files: ReadableFiles, path: string) {
  const file = await openTextIfThere(files, `${path}.pub`).catch(() => undefined);
  return file && await readingFrom(file.path, () => parsePublicKeyLine(file.text).key);
}

async function unlock({ askSecret }: SshmHost, { path, text }: TextFile): Promise<Signer> {
  for (let tries = 0; askSecret && tries < PASSPHRASE_TRIES; tries++) {
    const passphrase = askSecret(`Passphrase of ${path}:`);
    if (passphrase === undefined) break;
    try {
      return await parsePrivateKey(text, passphrase);
    } catch (error) {
      if (!(error instanceof KeyError) || error.code !== "passphrase-wrong") throw error;
    }
  }
  throw new SshmError(
    "files",
    `${path} has a passphrase, and nobody gave the right one: ssh-add hands the key to an SSH agent`,
  );
}
