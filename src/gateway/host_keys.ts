/** The keys by which the gateway is recognised. */
import { decodeText, encodeText } from "../bytes/bytes.ts";
import { formatPublicKey } from "../keys/public_key.ts";
import { generatePrivateKey, parsePrivateKey, type PrivateKey } from "../keys/private_key.ts";
import { KeyError } from "../keys/types.ts";
import type { Files } from "../platform/files.ts";
import type { StateFolder } from "../platform/state.ts";
import { type AlgorithmLists, usableHostKeys } from "../ssh/algorithms/lists.ts";
import { StartError } from "./exit_codes.ts";
import { readText } from "./text_file.ts";

/** The state folder's own host key. */
const HOST_KEY_NAME = "host_ed25519";
const OWN_HOST_KEY = { type: "ssh-ed25519" } as const;
/** Permission bits that let others read a private key. */
const OTHERS = 0o077;

/**
 * The configured host keys, or else the state folder's, made when there is none.
 * @throws {StartError} `files`
 */
export async function loadHostKeys(
  files: Files,
  state: StateFolder,
  paths: readonly string[],
): Promise<PrivateKey[]> {
  if (paths.length === 0) return [await keptKey(state, HOST_KEY_NAME, "ssh-mesh gateway")];
  return await Promise.all(paths.map((path) => readPrivateKey(files, path)));
}

/** The private key `name` of the state folder, made there with its `.pub` beside it when there is none. */
export async function keptKey(state: StateFolder, name: string, comment: string): Promise<PrivateKey> {
  const path = `${state.path}/${name}`;
  const kept = await state.read(name);
  if (kept) return await parse(path, decodeText(kept));
  const key = await generatePrivateKey(OWN_HOST_KEY.type, { comment });
  // The public half first: a private key without one, after a crash in between, would look complete.
  await state.write(`${name}.pub`, encodeText(`${formatPublicKey(key.publicKey, comment)}\n`));
  await state.write(name, encodeText(key.format()));
  return key;
}

/** A private key file of the user's. @throws {StartError} `files` when others can read it, or it is none */
export async function readPrivateKey(files: Files, path: string): Promise<PrivateKey> {
  let text: string;
  try {
    const { mode } = await files.stat(path);
    if ((mode & OTHERS) !== 0) {
      const found = (mode & 0o7777).toString(8).padStart(4, "0");
      throw new StartError("files", `${path} has mode ${found}: others can read it; chmod 0600 ${path}`);
    }
    text = await readText(files, path);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError("files", `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return await parse(path, text);
}

/**
 * The algorithms with which a gateway of these keys can be recognised; without any, one of its own will be made.
 * @throws {StartError} `usage` when none of them may be used
 */
export function algorithmsFor(configured: AlgorithmLists, hostKeys: readonly PrivateKey[]): AlgorithmLists {
  const keys = hostKeys.length > 0 ? hostKeys.map(({ publicKey }) => publicKey) : [OWN_HOST_KEY];
  const hostKey = usableHostKeys(configured.hostKey, keys);
  if (hostKey.length > 0) return { ...configured, hostKey };
  const types = [...new Set(keys.map(({ type }) => type))].join(", ");
  throw new StartError("usage", `host_key_algorithms: the host keys are of ${types}, which it leaves out`);
}

async function parse(path: string, text: string): Promise<PrivateKey> {
  try {
    return await parsePrivateKey(text);
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    throw new StartError("files", `${path} cannot be used as a private key: ${error.message}`, {
      cause: error,
    });
  }
}
