/** The size in `RekeyLimit` of ssh_config(5) and sshd_config(5). */

/** Smaller limits than this are refused: there would be nothing but key exchange. */
const SMALLEST_REKEY = 16;

/**
 * Reads `1073741824`, `500M`, `1.5G` as bytes; `default` as undefined.
 * @throws {TypeError} with a sentence
 */
export function parseRekeyBytes(text: string): number | undefined {
  if (text.toLowerCase() === "default") return undefined;
  const match = /^(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)$/i.exec(text);
  if (!match) throw new TypeError(`'${text}' is not a size`);
  const bytes = Math.floor(Number(match[1]) * 1024 ** " KMGT".indexOf(match[2].toUpperCase() || " "));
  if (bytes < SMALLEST_REKEY) throw new TypeError(`'${text}' is too small for a rekey limit`);
  return bytes;
}
