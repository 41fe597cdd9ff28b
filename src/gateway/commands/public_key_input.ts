/** A public key that a client sends to a command: the content of an `id.pub` file. */
import { decodeText } from "../../bytes/bytes.ts";
import { parsePublicKeyLine } from "../../keys/public_key.ts";
import { KeyError, type PublicKey } from "../../keys/types.ts";
import { type CommandContext, CommandError, EXIT } from "./command.ts";

/** @throws {CommandError} for anything else than one public key */
export async function readPublicKey(context: CommandContext, usage: string): Promise<PublicKey> {
  const text = decodeText(await context.input());
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw new CommandError(EXIT.data, "that is a private key: send the file that ends in .pub");
  }
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  if (lines.length !== 1) {
    const what = lines.length === 0 ? "there is no public key" : "that is more than one line";
    throw new CommandError(EXIT.data, `${what}; write ssh GATEWAY ${usage}`);
  }
  try {
    const { key, certificate } = parsePublicKeyLine(lines[0]);
    if (!certificate) return key;
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    throw new CommandError(EXIT.data, `that is no public key: ${error.message}`);
  }
  throw new CommandError(EXIT.data, "that is a certificate: send the public key that it is for");
}
