/** What AuthorizedKeysCommand and AuthorizedPrincipalsCommand say. */
import { type Bytes, concat, decodeText } from "../bytes/bytes.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { PipeReader, Processes } from "../platform/process.ts";
import type { Account } from "./login.ts";
import { processesAs } from "./other_account.ts";

/** How long a command may take, in milliseconds. */
const COMMAND_TIMEOUT_MS = 10_000;

/** Bytes of its output: more is no list of keys. */
const MAX_OUTPUT = 4 * 1024 * 1024;

/** Bits of a mode that let others write. */
const OTHERS_WRITE = 0o022;

/** What logins by an sshd_config are judged with. */
export interface SshdLoginHost {
  readonly files: ReadableFiles;
  readonly processes: Processes;
  /** The account that this process runs as: root's commands may run as others. */
  readonly own: Account;
  findAccount(name: string): Promise<Account | undefined>;
  /** Cancels what takes too long. @returns forgets it */
  after(ms: number, callback: () => void): () => void;
  /** Hears why a file or a line does not count. */
  readonly warn: (sentence: string) => void;
}

/** A command of a configuration, split, and the name of the account that it is to run as. */
export interface LoginCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly user: string;
}

/**
 * Why a file cannot be believed, as sshd judges: it, and every folder up to `top`, must be root's or `uid`'s to write
 * alone. @throws {FilesError} when it is not there
 */
export async function untrustedPath(
  path: string,
  { uid, top }: { readonly uid: number; readonly top: string },
  files: ReadableFiles,
): Promise<string | undefined> {
  for (let at = await files.realpath(path);;) {
    const { uid: owner, mode } = await files.stat(at);
    if (owner !== 0 && owner !== uid) return `${at} belongs to somebody else`;
    if ((mode & OTHERS_WRITE) !== 0) return `${at} can be written by others`;
    if (at === top || at === "/") return undefined;
    at = at.slice(0, Math.max(at.lastIndexOf("/"), 1));
  }
}

/** Standard output of a command that ends well; otherwise nothing, as with sshd. */
export async function outputOf({ file, args, user }: LoginCommand, host: SshdLoginHost): Promise<string> {
  const { files, warn, after } = host;
  try {
    const processes = await processesOf(user, host);
    const fault = await untrustedPath(file, { uid: 0, top: "/" }, files);
    if (fault) {
      warn(`${file} is not run: ${fault}`);
      return "";
    }
    const env = { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" };
    const child = await processes.spawn({ file, args, env, cwd: "/" });
    const late = after(COMMAND_TIMEOUT_MS, () => child.kill("KILL"));
    try {
      await child.stdin.close();
      const [text, , status] = await Promise.all([
        collect(child.stdout),
        collect(child.stderr),
        child.status,
      ]);
      if ("code" in status && status.code === 0) return text;
      warn(`${file} ended with ${"code" in status ? status.code : status.signal}`);
      return "";
    } finally {
      late();
    }
  } catch (error) {
    warn(`${file}: ${(error as Error).message}`);
    return "";
  }
}

/** What starts programs as `user`. */
async function processesOf(user: string, { processes, own, findAccount }: SshdLoginHost): Promise<Processes> {
  if (user === own.name) return processes;
  if (own.uid !== 0) throw new Error(`it cannot run as ${user}: this agent runs as ${own.name}`);
  const account = await findAccount(user);
  if (!account) throw new Error(`there is no user ${user} to run it as`);
  return processesAs(processes, account);
}

/** The text of a pipe. It is read to its end, whatever its length: a full pipe would hold up the command. */
async function collect(pipe: PipeReader): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  const chunks: Bytes[] = [];
  let length = 0;
  for (let count; (count = await pipe.read(buffer)) !== null;) {
    if (length >= MAX_OUTPUT) continue;
    chunks.push(buffer.slice(0, count));
    length += count;
  }
  // At once: a letter's bytes may come in two chunks.
  return decodeText(concat(...chunks));
}
