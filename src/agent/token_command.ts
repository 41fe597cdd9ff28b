/** A command that prints a token, as credential helpers of git do: the `--token-command` flag. */
import { type Bytes, concat, decodeText } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import { MAX_TOKEN_LENGTH } from "../mesh/token_words.ts";
import type { Clock } from "../platform/clock.ts";
import { type Child, type PipeReader, type Processes, SpawnError } from "../platform/process.ts";
import { untilAborted } from "../streams/until_aborted.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { requireToken, type TokenSource } from "./token_source.ts";

/** From its start to its end, in milliseconds: it may have to ask somebody far away, and nobody to type. */
const COMMAND_TIMEOUT_MS = 30_000;

/** What is shown of its standard error, in bytes. */
const MAX_SAID = 4 * 1024;

export interface TokenCommandHost {
  readonly processes: Processes;
  readonly clock: Clock;
  /** Read when the command runs. */
  environment(): Readonly<Record<string, string>>;
  readonly log: EventLog;
}

/**
 * Runs `command` by the shell for each token. It finds the audience in `SSHM_TOKEN_AUDIENCE`; what it says on standard
 * error goes to the log.
 */
export function tokenCommand(command: string, host: TokenCommandHost): TokenSource {
  // The command may hold a secret of its own: it is named by its flag alone.
  const label = "--token-command";
  return { label, read: (audience, signal) => read(command, audience, label, host, signal) };
}

async function read(
  command: string,
  audience: string,
  label: string,
  { processes, clock, environment, log }: TokenCommandHost,
  signal: AbortSignal,
): Promise<string> {
  const env = { ...environment(), SSHM_TOKEN_AUDIENCE: audience };
  const child = await processes.spawn({ file: "sh", args: ["-c", command], env }).catch((cause) => {
    if (!(cause instanceof SpawnError)) throw cause;
    throw new AgentError("credential", `${label}: there is no shell to run it: ${cause.message}`, { cause });
  });
  const late = new AbortController();
  const cancel = clock.after(COMMAND_TIMEOUT_MS, () => {
    late.abort(new Error(`${label} took longer than ${COMMAND_TIMEOUT_MS / 1000} s`));
  });
  const outcome = finish(child);
  outcome.catch(() => {});
  try {
    const { out, said, failure } = await untilAborted(outcome, AbortSignal.any([signal, late.signal]));
    const words = printable(decodeText(said).trim(), MAX_SAID);
    if (failure) throw new AgentError("credential", `${label} ${failure}${words && `: ${words}`}`);
    const token = requireToken(decodeText(out), label);
    // A command that traces what it does shows the token, too.
    if (words) log({ event: "info", message: `${label} says: ${words.replaceAll(token, "(the token)")}` });
    return token;
  } finally {
    cancel();
    child.kill("KILL");
    child.stdout.close();
    child.stderr.close();
  }
}

interface Outcome {
  readonly out: Bytes;
  readonly said: Bytes;
  readonly failure?: string;
}

async function finish(child: Child): Promise<Outcome> {
  await child.stdin.close();
  // One byte more than a token may have: so it is seen to be too long, and not cut.
  const token = async () => {
    const out = await readUpTo(child.stdout, MAX_TOKEN_LENGTH + 1);
    // It may print for ever, and its standard error stay open as long.
    if (out.length > MAX_TOKEN_LENGTH) child.kill("KILL");
    return out;
  };
  const [out, said] = await Promise.all([token(), readUpTo(child.stderr, MAX_SAID)]);
  const status = await child.status;
  if (out.length > MAX_TOKEN_LENGTH) return { out, said };
  if ("signal" in status) return { out, said, failure: `was ended by SIG${status.signal}` };
  return { out, said, ...(status.code !== 0 && { failure: `failed with exit code ${status.code}` }) };
}

/** The first bytes of a pipe; the rest of standard error is read and dropped, that of a token is not waited for. */
async function readUpTo(pipe: PipeReader, most: number): Promise<Bytes> {
  const chunks: Bytes[] = [];
  const buffer = new Uint8Array(4096);
  let length = 0;
  for (let count = await pipe.read(buffer); count !== null; count = await pipe.read(buffer)) {
    const part = buffer.slice(0, Math.min(count, most - length));
    length += part.length;
    chunks.push(part);
    if (length === most && most > MAX_TOKEN_LENGTH) break;
  }
  return concat(...chunks);
}
