/** Lines to standard output and standard error, whose readers may go at any time. */

const encoder = new TextEncoder();

/** Writes lines, each with its end. A reader that has gone is not the program's trouble. Never rejects. */
export async function printLines(to: typeof Deno.stdout, lines: readonly string[]): Promise<void> {
  const bytes = encoder.encode(lines.map((line) => `${line}\n`).join(""));
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at)).catch(() => bytes.length);
}

/** Writes a line of the log at once. A log that nobody reads any more must not end the program. Never throws. */
export function writeLine(to: typeof Deno.stderr, line: string): void {
  try {
    to.writeSync(encoder.encode(`${line}\n`));
  } catch {
    // Nobody reads it.
  }
}
