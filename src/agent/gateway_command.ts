/** Commands of the gateway's own, as `ssh GATEWAY cert < id.pub` runs them, on a connection that is open already. */
import { type Bytes, concat, decodeText, EMPTY } from "../bytes/bytes.ts";
import { printable } from "../bytes/printable.ts";
import type { Clock } from "../platform/clock.ts";
import type { PipeReader } from "../platform/process.ts";
import type { Connection } from "../ssh/connection/types.ts";
import { openSession, type RunningProgram } from "../ssh/session/client.ts";
import { untilAborted } from "../streams/until_aborted.ts";

/** From the question to the whole answer, in milliseconds. */
const COMMAND_TIMEOUT_MS = 20_000;

/** Bytes of an answer: certificates and lists of keys; a revocation list may be longer. */
const MAX_ANSWER = 64 * 1024;
/** Bytes of standard error that are read: sentences. */
const MAX_SAID = 4 * 1024;

/** The gateway ran the command and said no. The message is its own, made printable. */
export class GatewayRefusal extends Error {
  override readonly name = "GatewayRefusal";
  constructor(message: string, readonly exit: number | undefined) {
    super(message);
  }

  /** It is not for this agent, or the gateway does not know it: asking again changes nothing until its rules do. */
  get lasting(): boolean {
    return this.exit === 64 || this.exit === 77 || this.exit === 127;
  }
}

export interface AskOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** Standard input. */
  readonly input?: Bytes;
  /** In bytes; default 64 KiB. */
  readonly maxAnswer?: number;
}

/**
 * Runs `command` and resolves to its standard output.
 * @throws {GatewayRefusal} unless it ends with 0
 * @throws {ChannelOpenError}, {SshError} when it cannot be run; the signal's reason
 */
export async function askGateway(
  connection: Connection,
  command: string,
  { clock, signal, input = EMPTY, maxAnswer = MAX_ANSWER }: AskOptions,
): Promise<Bytes> {
  const late = new AbortController();
  const cancel = clock.after(COMMAND_TIMEOUT_MS, () => {
    late.abort(new Error(`the gateway did not answer '${command}' in time`));
  });
  const either = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  let program: RunningProgram | undefined;
  try {
    const session = await openSession(connection, { signal: either });
    program = await untilAborted(session.exec(command), either);
    return await untilAborted(converse(program, command, input, maxAnswer), either);
  } finally {
    cancel();
    program?.close();
  }
}

async function converse(
  program: RunningProgram,
  command: string,
  input: Bytes,
  maxAnswer: number,
): Promise<Bytes> {
  // A command that does not read its input may end before it has all of it.
  const fed = (async () => {
    if (input.length > 0) await program.stdin.write(input);
    await program.stdin.close();
  })().catch(() => {});
  const [out, said] = await Promise.all([
    readAll(program.stdout, maxAnswer, command),
    readAll(program.stderr, MAX_SAID, command),
    fed,
  ]);
  const status = await program.status;
  if ("code" in status && status.code === 0) return out;
  const exit = "code" in status ? status.code : undefined;
  const words = printable(decodeText(said).trim(), 500);
  throw new GatewayRefusal(words || `'${command}' ended with ${exit ?? "a signal"}`, exit);
}

async function readAll(pipe: PipeReader, most: number, command: string): Promise<Bytes> {
  const chunks: Bytes[] = [];
  const buffer = new Uint8Array(16 * 1024);
  let length = 0;
  for (let count = await pipe.read(buffer); count !== null; count = await pipe.read(buffer)) {
    length += count;
    if (length > most) throw new Error(`the gateway's answer to '${command}' is longer than ${most} bytes`);
    chunks.push(buffer.slice(0, count));
  }
  return concat(...chunks);
}
