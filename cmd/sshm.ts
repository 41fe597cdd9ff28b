/** The user's command: parse, wire, run. */
import { chooseCrypto } from "../src/deno/crypto.ts";
import { environmentWithHome } from "../src/deno/home.ts";
import { denoNet } from "../src/deno/net.ts";
import { ownFiles } from "../src/deno/own_files.ts";
import { parentProcess } from "../src/deno/parent_process.ts";
import { denoProcesses } from "../src/deno/process.ts";
import { readableFiles } from "../src/deno/readable_files.ts";
import { standardStreams } from "../src/deno/stdio.ts";
import { onStopSignal } from "../src/deno/stop_signals.ts";
import { systemClock } from "../src/platform/clock.ts";
import { SOFTWARE } from "../src/ssh/establish.ts";
import type { SshmHost } from "../src/sshm/host.ts";
import { runSshm } from "../src/sshm/program.ts";

function systemHost(): SshmHost {
  const ending = new AbortController();
  onStopSignal((signal) => ending.abort(new Error(`ended by ${signal}`)));
  return {
    net: denoNet,
    files: readableFiles,
    ownFiles,
    processes: denoProcesses,
    clock: systemClock,
    crypto: async () => (await chooseCrypto()).provider,
    environment: environmentWithHome,
    variables: () => Deno.env.toObject(),
    parent: parentProcess,
    user: Deno.env.get("USER") || Deno.env.get("LOGNAME") || "sshm",
    stdio: standardStreams(),
    interactive: Deno.stdin.isTerminal(),
    stderr: { write: writeError },
    ...(Deno.stdin.isTerminal() && { askSecret }),
    ending: ending.signal,
  };
}

async function writeError(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stderr.write(bytes.subarray(at));
}

/** Reads a line from the terminal without showing it. */
function askSecret(question: string): string | undefined {
  // In this order: who answers at once is not shown either.
  Deno.stdin.setRaw(true);
  Deno.stderr.writeSync(new TextEncoder().encode(`${question} `));
  const typed: number[] = [];
  const byte = new Uint8Array(1);
  try {
    for (;;) {
      if (Deno.stdin.readSync(byte) === null) return undefined;
      // Carriage return and line feed end it; Ctrl-C and Ctrl-D give up; backspace and delete take one back.
      if (byte[0] === 13 || byte[0] === 10) break;
      if (byte[0] === 3 || byte[0] === 4) return undefined;
      if (byte[0] === 8 || byte[0] === 127) typed.pop();
      else typed.push(byte[0]);
    }
  } finally {
    Deno.stdin.setRaw(false);
    Deno.stderr.writeSync(new Uint8Array([10]));
  }
  return new TextDecoder().decode(new Uint8Array(typed));
}

if (import.meta.main) Deno.exit(await runSshm(Deno.args, systemHost(), SOFTWARE));
