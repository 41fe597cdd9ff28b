/** Reads an sshd_config with the files it includes. */
import { SshdConfigError } from "./error.ts";
import { aliases, type Apply, keywords } from "./keywords.ts";
import { splitArguments, splitLine } from "./lexer.ts";
import { type Condition, parseMatch } from "./match.ts";
import { unsupported } from "./unsupported.ts";

/** Where configuration files come from. */
export interface ConfigSource {
  /** The text of a file. Rejects when it cannot be read. */
  read(path: string): Promise<string>;
  /** Absolute paths that match a pattern with `*`, `?` and `[…]`, in lexical order; none is no error. */
  glob(pattern: string): Promise<string[]>;
}

/** A line with an effect. */
export interface Directive {
  readonly file: string;
  readonly line: number;
  /** All of them must hold; none for a line outside of every Match. */
  readonly conditions: readonly Condition[];
  readonly apply: Apply;
}

export interface ParsedSshdConfig {
  /** In the order in which they count. */
  readonly directives: readonly Directive[];
  /** Sentences with file and line about what has no effect; each keyword once. */
  readonly warnings: readonly string[];
}

/** Included files that include files …: OpenSSH's limit. */
const MAX_DEPTH = 16;

/** Where relative paths of Include start. */
const INCLUDE_FOLDER = "/etc/ssh";

/**
 * Reads `file`. Lines in a Match block are read as strictly as others, whether or not it will ever match.
 * @throws {SshdConfigError} for what is wrong, and for what would weaken the server if it were passed over
 */
export async function parseSshdConfig(file: string, source: ConfigSource): Promise<ParsedSshdConfig> {
  const parser = new Parser(source);
  await parser.read(file, [], 0);
  return { directives: parser.directives, warnings: parser.warnings };
}

class Parser {
  readonly directives: Directive[] = [];
  readonly warnings: string[] = [];
  readonly #source: ConfigSource;
  readonly #warned = new Set<string>();

  constructor(source: ConfigSource) {
    this.#source = source;
  }

  async read(
    file: string,
    outer: readonly Condition[],
    depth: number,
    from?: Directive | undefined,
  ): Promise<void> {
    let content: string;
    try {
      content = await this.#source.read(file);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw from
        ? new SshdConfigError(from, `${file} cannot be read: ${reason}`, { cause })
        : new SshdConfigError({ file, line: 0 }, `cannot be read: ${reason}`, { cause });
    }
    // A Match ends with its file.
    let conditions = outer;
    for (const [index, text] of content.split("\n").entries()) {
      const line = splitLine(text);
      if (line === undefined) continue;
      const position = { file, line: index + 1 };
      const fail = (problem: string) => new SshdConfigError(position, problem);
      try {
        const args = splitArguments(line.rest);
        if (args.length === 0) throw new TypeError(`${line.keyword} needs an argument`);
        const name = line.keyword.toLowerCase();
        if (name === "match") conditions = [...outer, parseMatch(args)];
        else if (name === "include") await this.#include(args, conditions, depth, position);
        else this.#directive({ ...line, args }, conditions, position);
      } catch (error) {
        if (error instanceof TypeError) throw fail(error.message);
        throw error;
      }
    }
  }

  async #include(
    patterns: readonly string[],
    conditions: readonly Condition[],
    depth: number,
    position: { file: string; line: number },
  ): Promise<void> {
    if (depth >= MAX_DEPTH) throw new TypeError(`Include goes deeper than ${MAX_DEPTH} files`);
    for (const pattern of patterns) {
      const absolute = pattern.startsWith("/") ? pattern : `${INCLUDE_FOLDER}/${pattern}`;
      for (const file of await this.#source.glob(absolute)) {
        await this.read(file, conditions, depth + 1, { ...position, conditions, apply: () => {} });
      }
    }
  }

  #directive(
    line: { keyword: string; args: readonly string[]; rest: string },
    conditions: readonly Condition[],
    position: { file: string; line: number },
  ): void {
    const written = line.keyword.toLowerCase();
    const name = Object.hasOwn(aliases, written) ? aliases[written] : written;
    if (Object.hasOwn(keywords, name)) {
      const keyword = keywords[name];
      if (conditions.length > 0 && !keyword.inMatch) {
        throw new TypeError(`${line.keyword} is not allowed within a Match block`);
      }
      const warn = (sentence: string) => this.warnings.push(`${position.file}:${position.line}: ${sentence}`);
      const apply = keyword.parse(line, warn);
      this.directives.push({ ...position, conditions, apply });
      return;
    }
    if (!Object.hasOwn(unsupported, name)) throw new TypeError(`there is no keyword '${line.keyword}'`);
    const { reason, harmless } = unsupported[name];
    const args = line.args.map((arg) => arg.toLowerCase());
    if (harmless && !harmless(args)) {
      throw new TypeError(
        `${line.keyword} ${line.args.join(" ")} ${reason}: take the line out to go without`,
      );
    }
    // Harmless words of a keyword that is dangerous with others ask for nothing.
    if (harmless || this.#warned.has(name)) return;
    this.#warned.add(name);
    this.warnings.push(`${position.file}:${position.line}: ${line.keyword} ${reason}`);
  }
}
