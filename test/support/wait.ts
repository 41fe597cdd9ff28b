/** Waiting with a deadline: tests never sleep for a guessed time. */

/** What anything local gets before a test gives up on it, in milliseconds. Generous: CI has two slow cores. */
export const PATIENCE = 20_000;

/** `promise`, or an error that names `what` when it has not settled `within` milliseconds. */
export async function deadline<T>(promise: Promise<T>, what: string, within = PATIENCE): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${within} ms`)), within);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks `condition` every 20 ms until it answers something true, which is the result. */
export async function waitUntil<T>(
  what: string,
  condition: () => T | Promise<T>,
  within = PATIENCE,
): Promise<Exclude<T, false | undefined | null>> {
  const end = performance.now() + within;
  for (;;) {
    const answer = await condition();
    if (answer) return answer as Exclude<T, false | undefined | null>;
    if (performance.now() >= end) throw new Error(`${what}: not within ${within} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
