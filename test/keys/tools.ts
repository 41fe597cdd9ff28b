/** The system's own key tools, and a place for their files. */
import assert from "node:assert/strict";

/** Runs `use` with a folder that is gone afterwards. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "keys-" });
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a program; resolves to what it printed. Fails the test unless it ends with `code`. */
export async function run(
  program: string,
  args: string[],
  { code = 0 }: { code?: number } = {},
): Promise<string> {
  const command = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" });
  const output = await command.output();
  const decoder = new TextDecoder();
  assert.equal(output.code, code, `${program} ${args.join(" ")}: ${decoder.decode(output.stderr)}`);
  return decoder.decode(output.stdout);
}

/** Writes a private key file the way ssh-keygen insists on. */
export async function writeSecret(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { mode: 0o600 });
}

const data = new URL("../data/keys/", import.meta.url);

/** A file of test/data/keys: made by ssh-keygen, openssl and puttygen; the passphrase is `secret`. */
export function keyFile(name: string): Promise<string> {
  return Deno.readTextFile(new URL(name, data));
}
