/** A peer that sends one byte at a time, with a pause after each. */

/**
 * Connects to 127.0.0.1:`port`, drips `bytes` (then, while the server bears it, repeats the last one) and resolves to
 * how long the server took to cut the connection, in milliseconds. Rejects when it has not after `within`.
 */
export async function dripUntilCut(
  port: number,
  bytes: Uint8Array,
  { every = 1000, within }: { every?: number; within: number },
): Promise<number> {
  const began = performance.now();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  let cut = false;
  let wake = () => {};
  const reading = (async () => {
    const buffer = new Uint8Array(4096);
    try {
      while (await connection.read(buffer) !== null);
    } catch {
      // A reset is a cut, too.
    }
    cut = true;
    wake();
  })();
  for (let i = 0; !cut && performance.now() - began < within; i++) {
    const byte = bytes.subarray(Math.min(i, bytes.length - 1)).subarray(0, 1);
    await connection.write(byte).catch(() => cut = true);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, every);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (cut) wake();
    });
  }
  if (!cut) {
    connection.close();
    await reading;
    throw new Error(`the server still bore a peer of one byte per ${every} ms after ${within} ms`);
  }
  await reading;
  return performance.now() - began;
}
