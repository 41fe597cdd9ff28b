/** Programs: run to their end, or kept beside the test. */
import { deadline, PATIENCE } from "./wait.ts";

/** What a child sees of this process's environment: enough to find programs, nothing of the user's. */
const INHERITED = ["PATH", "TMPDIR", "LD_LIBRARY_PATH"];

export interface ProgramOptions {
  /** Added to the bare environment that every child gets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

function command(
  [file, ...args]: readonly string[],
  options: ProgramOptions,
  stdin: "null" | "piped",
): Deno.Command {
  const env: Record<string, string> = { HOME: "/nonexistent", LANG: "C.UTF-8" };
  for (const name of INHERITED) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return new Deno.Command(file, {
    args,
    cwd: options.cwd,
    env: { ...env, ...options.env },
    clearEnv: true,
    detached: true, // a process group of its own, to end it with all its children
    stdin,
    stdout: "piped",
    stderr: "piped",
  });
}

/** How a program ended and what it said. */
export interface Finished {
  readonly code: number;
  readonly signal: string | null;
  readonly stdout: Uint8Array<ArrayBuffer>;
  /** Standard output as text. */
  readonly text: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end, killing it when that takes longer than `within`.
 * @param line file and arguments
 */
export async function run(
  line: readonly string[],
  options: ProgramOptions & {
    stdin?: string | Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array>;
    within?: number;
  } = {},
): Promise<Finished> {
  const { stdin, within = PATIENCE } = options;
  const child = command(line, options, stdin === undefined ? "null" : "piped").spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, within);
  try {
    // A child may end without reading all of its input: how it ended tells more than the broken pipe.
    const fed = stdin === undefined
      ? undefined
      : new Response(stdin).body!.pipeTo(child.stdin).catch(() => {});
    const { code, signal, stdout, stderr } = await child.output();
    await fed;
    const text = new TextDecoder();
    const said = text.decode(stderr);
    if (late) throw new Error(`${line.join(" ")}: not within ${within} ms\n${said}`);
    return { code, signal, stdout: new Uint8Array(stdout), text: text.decode(stdout), stderr: said };
  } finally {
    clearTimeout(timer);
  }
}

/** As {@link run}; an exit code other than 0 is an error that quotes what the program said. */
export async function succeed(...[line, options]: Parameters<typeof run>): Promise<Finished> {
  const finished = await run(line, options);
  if (finished.code !== 0) {
    const { code, signal, text, stderr } = finished;
    throw new Error(`${line.join(" ")}: exit ${signal ?? code}\n${stderr}${text}`.trimEnd());
  }
  return finished;
}

/** The lines of one output, as they come. */
export class Lines {
  readonly all: string[] = [];
  readonly ended: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #over = false;
  #wake = new Set<() => void>();

  constructor(readable: ReadableStream<Uint8Array>) {
    this.#reader = readable.getReader();
    this.ended = this.#collect();
  }

  /** Reads no more: what the program started may hold the pipe open long after it. */
  async cancel(): Promise<void> {
    await this.#reader.cancel();
    await this.ended;
  }

  async #collect(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for (let part; !(part = await this.#reader.read()).done;) {
      const parts = (rest + decoder.decode(part.value, { stream: true })).split(/\r?\n/);
      rest = parts.pop()!;
      this.all.push(...parts);
      this.#notify();
    }
    if (rest) this.all.push(rest);
    this.#over = true;
    this.#notify();
  }

  #notify(): void {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  /** The first line, from index `from` on, for which `pick` gives something. Rejects when the output ends first. */
  async find<T>(what: string, pick: (line: string) => T | undefined, { from = 0, within = PATIENCE } = {}) {
    const search = async (): Promise<T> => {
      for (let at = from;;) {
        for (; at < this.all.length; at++) {
          const picked = pick(this.all[at]);
          if (picked !== undefined) return picked;
        }
        if (this.#over) throw new Error(`${what}: the output ended without it`);
        await new Promise<void>((resolve) => this.#wake.add(resolve));
      }
    };
    try {
      return await deadline(search(), what, within);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${this.all.slice(-20).join("\n")}`, { cause });
    }
  }

  /** The first line that matches. */
  match(pattern: RegExp, options?: { from?: number; within?: number }): Promise<RegExpExecArray> {
    return this.find(String(pattern), (line) => pattern.exec(line) ?? undefined, options);
  }

  toString(): string {
    return this.all.join("\n");
  }
}

function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
  }
}

/** A program that runs beside the test. `await using` ends it. */
export class Running implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly stdout: Lines;
  readonly stderr: Lines;
  /** Where `start` was told to pipe it; else closed from the start. */
  readonly stdin?: WritableStream<Uint8Array>;
  readonly status: Promise<Deno.CommandStatus>;
  #exited = false;

  constructor(readonly line: readonly string[], child: Deno.ChildProcess, piped: boolean) {
    this.#child = child;
    this.stdout = new Lines(child.stdout);
    this.stderr = new Lines(child.stderr);
    if (piped) this.stdin = child.stdin;
    this.status = child.status.then((status) => {
      this.#exited = true;
      return status;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): boolean {
    return this.#exited;
  }

  signal(name: Deno.Signal): void {
    if (this.#exited) return;
    try {
      this.#child.kill(name);
    } catch (error) {
      // It has ended, and its status is on the way.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /** Ends it by `signal`, by SIGKILL when that takes longer than `grace` milliseconds, and waits for its output. */
  async stop(signal: Deno.Signal = "SIGTERM", grace = 10_000): Promise<Deno.CommandStatus> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal("SIGKILL"), grace);
    const status = await this.status;
    clearTimeout(timer);
    await this.stdin?.abort().catch(() => {});
    // What it left behind in its group (a server's children) must not outlive the test.
    killGroup(this.pid);
    const outputs = Promise.all([this.stdout.ended, this.stderr.ended]);
    await deadline(outputs, "the end of the output", 1000).catch(() =>
      Promise.all([this.stdout.cancel(), this.stderr.cancel()])
    );
    return status;
  }

  /**
   * A test that is over waits for nobody, so it asks more than once: our own programs drain until they hear it twice, and
   * OpenSSH's client overlooks a signal that comes just before it goes to sleep.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const again = setInterval(() => this.signal("SIGTERM"), 50);
    try {
      await this.stop();
    } finally {
      clearInterval(again);
    }
  }
}

/** Starts a program beside the test. @param line file and arguments */
export function start(
  line: readonly string[],
  options: ProgramOptions & { stdin?: "null" | "piped" } = {},
): Running {
  const { stdin = "null" } = options;
  return new Running(line, command(line, options, stdin).spawn(), stdin === "piped");
}
