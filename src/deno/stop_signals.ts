/** The signals by which a service manager or a user asks a program to end. */
const SIGNALS: readonly Deno.Signal[] = ["SIGTERM", "SIGINT"];

/**
 * Drains at the first of SIGTERM and SIGINT; the second ends the waiting.
 * @param drain settles when everything has ended, and soon once `atOnce` is aborted
 * @returns when it has drained: whether there was a second signal
 */
export function untilStopped(
  drain: (signal: string, atOnce: AbortSignal) => Promise<void>,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const atOnce = new AbortController();
    let draining = false;
    const ignore = onStopSignal((signal) => {
      if (draining) return atOnce.abort();
      draining = true;
      drain(signal, atOnce.signal).then(() => resolve(atOnce.signal.aborted), reject).finally(ignore);
    });
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
