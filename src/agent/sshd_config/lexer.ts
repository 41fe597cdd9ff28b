/** Lines of an sshd_config: keyword, arguments, quotes, comments. */

/** One line that is neither empty nor a comment. */
export interface Line {
  /** As it was written. */
  readonly keyword: string;
  /** All after the keyword as it was written, for keywords that take a whole command. */
  readonly rest: string;
}

/** Splits keyword from rest: white space, one `=`, or both are between them. Undefined: nothing on this line. */
export function splitLine(text: string): Line | undefined {
  const line = text.replace(/[ \t\r\n\f]+$/, "").replace(/^[ \t\f]+/, "");
  if (line === "" || line.startsWith("#")) return undefined;
  const match = /^(?:"([^"]*)"|([^ \t="]+))[ \t]*=?[ \t]*(.*)$/s.exec(line);
  if (!match) return { keyword: line, rest: "" };
  return { keyword: match[1] ?? match[2], rest: match[3] };
}

/** Characters that a backslash takes the meaning from. A space only outside of quotes. */
const ESCAPABLE = `"'\\`;

/**
 * Splits arguments as OpenSSH's `argv_split` does: double and single quotes, backslash before a quote, a backslash or
 * (outside of quotes) a space; `#` at the start of an argument begins a comment.
 * @throws {TypeError} when a quote is not closed
 */
export function splitArguments(text: string): string[] {
  const args: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (isBlank(text[at])) {
      at++;
      continue;
    }
    if (text[at] === "#") break;
    let word = "";
    let quote = "";
    for (; at < text.length && (quote !== "" || !isBlank(text[at])); at++) {
      const char = text[at];
      const next = text[at + 1];
      if (
        char === "\\" && next !== undefined && (ESCAPABLE.includes(next) || (quote === "" && next === " "))
      ) {
        word += next;
        at++;
      } else if (quote === "" && (char === '"' || char === "'")) {
        quote = char;
      } else if (quote !== "" && char === quote) {
        quote = "";
      } else {
        word += char;
      }
    }
    if (quote !== "") throw new TypeError("a quote is not closed");
    args.push(word);
  }
  return args;
}

/** One text that {@link splitArguments} and a shell split into `args` again. */
export function joinArguments(args: readonly string[]): string {
  return args.map((arg) =>
    arg !== "" && !/[\s"'\\#]/.test(arg) ? arg : `"${arg.replaceAll(/["\\]/g, "\\$&")}"`
  ).join(" ");
}

function isBlank(char: string): boolean {
  return char === " " || char === "\t";
}
