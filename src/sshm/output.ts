/** What commands print: text for people, one JSON value per line for programs. */
import { encodeText } from "../bytes/bytes.ts";
import type { SshmHost } from "./host.ts";

/** Writes lines to standard output. */
export async function print({ stdio }: SshmHost, ...lines: readonly string[]): Promise<void> {
  await stdio.write(encodeText(lines.map((line) => `${line}\n`).join("")));
}

/** Writes one JSON value as a line of its own. */
export async function printJson(host: SshmHost, value: unknown): Promise<void> {
  await print(host, JSON.stringify(value));
}

/** Writes a line for the user beside the output. Never rejects: who has closed it does not want to know. */
export async function note({ stderr }: SshmHost, line: string): Promise<void> {
  await stderr.write(encodeText(`${line}\n`)).catch(() => {});
}
