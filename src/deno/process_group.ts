/** What a child has started, signalled together. */

/**
 * Signals the process group `pid`, and `pid` itself.
 * @param signal name without `SIG`; one that this system does not know is ignored
 */
export function signalGroup(pid: number, signal: string): void {
  const name = `SIG${signal}` as Deno.Signal;
  try {
    Deno.kill(-pid, name);
  } catch (error) {
    if (error instanceof TypeError) return;
    try {
      // Between fork and setsid there is no group yet.
      Deno.kill(pid, name);
    } catch {
      // It has gone.
    }
  }
}
