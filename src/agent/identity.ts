/** The keys with which an agent authenticates at its gateways. */
import { withCertificate, withoutCertificate } from "../cert/certificate.ts";
import { decodeText, encodeText } from "../bytes/bytes.ts";
import {
  formatPrivateKey,
  generatePrivateKey,
  parsePrivateKey,
  type PrivateKey,
} from "../keys/private_key.ts";
import { formatPublicKey, parsePublicKeyLine } from "../keys/public_key.ts";
import { KeyError, type Signer } from "../keys/types.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { StateFolder } from "../platform/state.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { openness, openTextIfThere, readingFrom, requireText, type TextFile } from "./text_file.ts";

/** Keys under `~/.ssh` in the order in which they are looked for. The second one is what upstream made. */
const USUAL_NAMES = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** What stands beside a key `id_x`: `id_x-cert.pub` by ssh-keygen, `id_x_cert.pub` by upstream. */
const CERTIFICATE_SUFFIXES = ["-cert.pub", "_cert.pub"];

const OWN_KEY = "agent_id_ed25519";

export interface IdentitySources {
  readonly files: ReadableFiles;
  /** `--identity` */
  readonly path?: string;
  /** Folder whose `.ssh` is looked into. */
  readonly home: string;
  readonly state: StateFolder;
  readonly log: EventLog;
}

/**
 * Reads the keys: the one that was named, with its certificate where there is one, else those under `~/.ssh` that can be
 * used, each by itself and then with its certificate, else one of the agent's own, made when it is first needed. Called
 * before each dial: certificates are renewed on disk.
 * @throws {AgentError} `files`: also where a key under `~/.ssh` is open to others, and there is no other
 */
export async function loadIdentities(sources: IdentitySources): Promise<Signer[]> {
  const { files, path, log } = sources;
  if (path !== undefined) {
    return [await readIdentity(sources, await requireText(files, path, "the private key"))];
  }
  const signers: Signer[] = [];
  const unused: string[] = [];
  let tooOpen: AgentError | undefined;
  for (const name of USUAL_NAMES) {
    const file = await openTextIfThere(files, `${sources.home}/.ssh/${name}`).catch(() => undefined);
    if (!file) continue;
    try {
      const signer = await readIdentity(sources, file);
      // The key by itself first, as ssh has it: an owner's may do what its certificate may not.
      if (signer.certificate) signers.push(withoutCertificate(signer));
      signers.push(signer);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (openness(file)) tooOpen ??= error;
      unused.push(`${error.message}; it is not used`);
    }
  }
  const saved = signers.length > 0 ? undefined : await savedKey(sources.state);
  const found = saved ? [saved] : signers;
  // A new key in its place would only be refused, far from the reason.
  if (found.length === 0 && tooOpen) throw tooOpen;
  for (const message of unused) log({ event: "warning", message });
  if (found.length > 0) return found;
  const key = await makeKey(sources.state);
  const line = formatPublicKey(key.publicKey, key.comment);
  log({ event: "warning", message: `made a key, which the gateway's authorized_keys must get: ${line}` });
  return [key];
}

/** The agent's own key, whatever lies under `~/.ssh`. @throws {AgentError | StateError} */
export async function ownIdentity({ state }: Pick<IdentitySources, "state">): Promise<Signer> {
  return await savedKey(state) ?? await makeKey(state);
}

/** A certificate that cannot be used costs the certificate and not the key: as ssh has it. */
async function readIdentity(
  { files, log }: Pick<IdentitySources, "files" | "log">,
  file: TextFile,
): Promise<Signer> {
  const { path } = file;
  const open = openness(file);
  if (open) throw new AgentError("files", open);
  let signer: Signer;
  try {
    signer = await parsePrivateKey(file.text);
  } catch (cause) {
    if (!(cause instanceof KeyError)) throw cause;
    const message = cause.code === "passphrase-needed"
      ? "it has a passphrase, and an agent has nobody to ask (ssh-keygen -p takes it off, --identity names another key)"
      : cause.message;
    throw new AgentError("files", `the private key ${path} cannot be used: ${message}`, { cause });
  }
  for (const suffix of CERTIFICATE_SUFFIXES) {
    const certificate = await openTextIfThere(files, path + suffix);
    if (!certificate) continue;
    try {
      return certify(signer, certificate.text);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const message = `${certificate.path}: ${error.message}; the key is used without this certificate`;
      log({ event: "warning", message });
    }
  }
  return signer;
}

function certify(signer: Signer, line: string): Signer {
  const { certificate } = parsePublicKeyLine(line);
  if (!certificate) throw new KeyError("malformed", "a plain public key, where a certificate is expected");
  return withCertificate(signer, certificate);
}

async function savedKey(state: StateFolder): Promise<PrivateKey | undefined> {
  const saved = await state.read(OWN_KEY);
  return saved && await readingFrom(`${state.path}/${OWN_KEY}`, () => parsePrivateKey(decodeText(saved)));
}

async function makeKey(state: StateFolder): Promise<PrivateKey> {
  const key = await generatePrivateKey("ssh-ed25519", { comment: "ssh-mesh agent" });
  await state.write(OWN_KEY, encodeText(formatPrivateKey(key)));
  return key;
}
