/** The signals by which a service manager or a user asks a program to end. */
const SIGNALS: readonly Deno.Signal[] = ["SIGTERM", "SIGINT"];

/** Calls `handler` for each of SIGTERM and SIGINT, in place of ending at once. @returns stops that */
export function onStopSignal(handler: (signal: string) => void): () => void {
  const listeners = SIGNALS.map((signal) => [signal, () => handler(signal)] as const);
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
  };
}
