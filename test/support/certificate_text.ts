/** What `ssh-keygen -L` reads in a certificate. */
import { findProgram } from "./peers.ts";
import { run, succeed } from "./process.ts";

const keygen = findProgram("ssh-keygen") ?? "ssh-keygen";

/** Labels to values; the lines of a list are joined by spaces. */
export async function readWithKeygen(file: string): Promise<Record<string, string>> {
  const { text } = await succeed([keygen, "-L", "-f", file], { env: { TZ: "UTC" } });
  const facts: Record<string, string> = {};
  let label = "";
  for (const line of text.split("\n").slice(1)) {
    const [, name, value] = /^ {8}(\S[^:]*): ?(.*)$/.exec(line) ?? [];
    if (name) facts[label = name] = value;
    else if (line.trim()) facts[label] = `${facts[label]} ${line.trim()}`.trim();
  }
  return facts;
}

/** Milliseconds since 1970. */
export function validityOf(
  { Valid }: Record<string, string>,
): { readonly from: number; readonly to: number } {
  const [, from, to] = /^from (\S+) to (\S+)$/.exec(Valid)!;
  return { from: Date.parse(`${from}Z`), to: Date.parse(`${to}Z`) };
}

/** Whether a revocation list has the certificate or key, by `ssh-keygen -Q`. */
export async function isRevokedByKeygen(list: string, file: string): Promise<boolean> {
  const { code, text, stderr } = await run([keygen, "-Q", "-f", list, file]);
  if (/REVOKED/.test(text)) return true;
  if (code === 0) return false;
  throw new Error(`ssh-keygen -Q: ${text}${stderr}`);
}
