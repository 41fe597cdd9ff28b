/** The signals by which a service manager or a user asks a program to end. */
const SIGNALS: readonly Deno.Signal[] = ["SIGTERM", "SIGINT"];

/**
 * Drains at the first of SIGTERM and SIGINT; the second ends the waiting. The end of the terminal is the first, too.
 * @param drain settles when everything has ended, and soon once `atOnce` is aborted
 * @param hangUp for SIGHUP where there is no terminal
 * @returns when it has drained: whether there was a second signal
 */
export function untilStopped(
  drain: (signal: string, atOnce: AbortSignal) => Promise<void>,
  hangUp: () => void,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const atOnce = new AbortController();
    let draining = false;
    const begin = (signal: string) => {
      if (draining) return;
      draining = true;
      const forget = () => ignored.forEach((ignore) => ignore());
      drain(signal, atOnce.signal).then(() => resolve(atOnce.signal.aborted), reject).finally(forget);
    };
    const ignored = [
      onStopSignal((signal) => draining ? atOnce.abort() : begin(signal)),
      onHangUp(() => begin("SIGHUP"), hangUp),
    ];
  });
}

/** Calls `handler` for each of SIGTERM and SIGINT, in place of ending at once. @returns stops that */
export function onStopSignal(handler: (signal: string) => void): () => void {
  const listeners = SIGNALS.map((signal) => [signal, () => handler(signal)] as const);
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
  };
}

/**
 * SIGHUP, in place of ending at once. Where standard input is a terminal that has gone: it may come twice, from the
 * system and from the shell. A program without one gets it from somebody who thinks of a service's files.
 * @returns stops that
 */
export function onHangUp(terminalGone: () => void, otherwise: () => void): () => void {
  const listener = Deno.stdin.isTerminal() ? terminalGone : otherwise;
  Deno.addSignalListener("SIGHUP", listener);
  return () => Deno.removeSignalListener("SIGHUP", listener);
}
