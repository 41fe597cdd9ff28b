/** What AuthorizedKeysCommand and AuthorizedPrincipalsCommand say. */
import { type Bytes, concat, decodeText } from "../bytes/bytes.ts";
import type { ReadableFiles } from "../platform/files.ts";
import type { PipeReader, Processes } from "../platform/process.ts";

/** How long a command may take, in milliseconds. */
const COMMAND_TIMEOUT_MS = 10_000;

/** Bytes of its output: more is no list of keys. */
const MAX_OUTPUT = 4 * 1024 * 1024;

/** Bits of a mode that let others write. */
export const OTHERS_WRITE = 0o022;

/** What logins by an sshd_config are judged with. */
export interface SshdLoginHost {
  readonly files: ReadableFiles;
  readonly processes: Processes;
  /** Cancels what takes too long. @returns forgets it */
  after(ms: number, callback: () => void): () => void;
  /** Hears why a file or a line does not count. */
  readonly warn: (sentence: string) => void;
}

/** Standard output of a command that ends well; otherwise nothing, as with sshd. */
export async function outputOf(file: string, args: readonly string[], host: SshdLoginHost): Promise<string> {
  const { processes, files, warn, after } = host;
  try {
    const { uid, mode } = await files.stat(file);
    if (uid !== 0 || (mode & OTHERS_WRITE) !== 0) {
      warn(`${file} must belong to root and be writable by nobody else`);
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
