/** The keys with which a person authenticates: those that were named, else those of the SSH agent and `~/.ssh`. */
import {
  expandHome,
  openness,
  openTextIfThere,
  readingFrom,
  requireText,
  type TextFile,
} from "../agent/text_file.ts";
import { equal } from "../bytes/bytes.ts";
import { withCertificate } from "../cert/certificate.ts";
import { AgentClient } from "../keys/agent_client.ts";
import { parsePrivateKey } from "../keys/private_key.ts";
import { parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type Signer } from "../keys/types.ts";
import type { ReadableFiles } from "../platform/files.ts";
import { SshmError } from "./exit_codes.ts";
import type { SshmHost } from "./host.ts";
import { note } from "./output.ts";

/** Under `~/.ssh`, in the order in which they are tried. */
const USUAL_NAMES = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** What stands beside a key `id_x`: `id_x-cert.pub` by ssh-keygen, `id_x_cert.pub` by upstream. */
const CERTIFICATE_SUFFIXES = ["-cert.pub", "_cert.pub"];

/** Times that a passphrase is asked for, as ssh does. */
const PASSPHRASE_TRIES = 3;

export interface Credentials {
  readonly signers: readonly Signer[];
  /** Lets go of the SSH agent. */
  close(): void;
}

/**
 * Finds the keys.
 * @param named paths of private keys; none: the agent's keys first, then the usual ones
 * @throws {SshmError} `files` when there is none; {@link AgentError} `files` when a named one cannot be used
 */
export async function loadCredentials(host: SshmHost, named: readonly string[]): Promise<Credentials> {
  const { files } = host;
  const home = host.environment("HOME") ?? "/";
  if (named.length > 0) {
    const signers: Signer[] = [];
    for (const path of named) {
      signers.push(await readKey(host, await requireText(files, expandHome(path, home), "the private key")));
    }
    return { signers, close: () => {} };
  }
  const agent = await openAgent(host);
  const signers: Signer[] = [...agent?.signers ?? []];
  for (const name of USUAL_NAMES) {
    const signer = await usualKey(host, `${home}/.ssh/${name}`);
    if (signer && !signers.some(({ publicKey }) => equal(publicKey.blob, signer.publicKey.blob))) {
      signers.push(signer);
    }
  }
  const close = () => agent?.client.close();
  if (signers.length > 0) return { signers, close };
  close();
  throw new SshmError(
    "files",
    `there is no key in an SSH agent or in ${home}/.ssh: name one with --identity, or make one with ssh-keygen`,
  );
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
async function usualKey(host: SshmHost, path: string): Promise<Signer | undefined> {
  const file = await openTextIfThere(host.files, path).catch(() => undefined);
  if (!file) return undefined;
  try {
    return await readKey(host, file);
  } catch (error) {
    await note(host, `sshm: ${(error as Error).message}; it is not used`);
  }
}

async function readKey(host: SshmHost, file: TextFile): Promise<Signer> {
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
  for (const suffix of CERTIFICATE_SUFFIXES) {
    const certificate = await openTextIfThere(host.files, path + suffix);
    if (certificate) return await readingFrom(certificate.path, () => certify(signer, certificate.text));
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
