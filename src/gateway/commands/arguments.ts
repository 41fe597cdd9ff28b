/** Arguments of commands: words between white space, without quotes. */
import { printable } from "../../bytes/printable.ts";
import { parseDuration } from "../../identity/ranges.ts";
import { CommandError, EXIT } from "./command.ts";

/** What a command takes. */
export interface Known {
  /** Alone: `--json`. */
  readonly flags?: readonly string[];
  /** With a word behind them: `--ttl 5m`. */
  readonly values?: readonly string[];
  /** With everything behind it: `--reason lost in a train`. */
  readonly rest?: string;
  /** Words that are no options. Default none. */
  readonly words?: number;
}

export interface Arguments {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly words: readonly string[];
}

/** @throws {CommandError} `usage` */
export function readArguments(args: readonly string[], known: Known, usage: string): Arguments {
  const { flags = [], values = [], rest, words: most = 0 } = known;
  const found = { flags: new Set<string>(), values: new Map<string, string>(), words: [] as string[] };
  const wrong = (what: string) => new CommandError(EXIT.usage, `${what}; write ${usage}`);
  for (let i = 0; i < args.length; i++) {
    const word = args[i];
    if (flags.includes(word)) {
      found.flags.add(word);
    } else if (word === rest || values.includes(word)) {
      const value = word === rest ? args.slice(i + 1).join(" ") : args[++i];
      if (!value) throw wrong(`${word} needs a value`);
      if (found.values.has(word)) throw wrong(`${word} is there twice`);
      found.values.set(word, value);
      if (word === rest) break;
    } else if (word.startsWith("--") || found.words.length >= most) {
      throw wrong(`'${printable(word, 40)}' is not understood`);
    } else {
      found.words.push(word);
    }
  }
  return found;
}

/** The value of `--ttl` in milliseconds, where there is one. @throws {CommandError} */
export function lifetimeOf({ values }: Arguments): number | undefined {
  const ttl = values.get("--ttl");
  try {
    return ttl === undefined ? undefined : parseDuration(ttl);
  } catch (error) {
    throw new CommandError(EXIT.usage, `--ttl: ${(error as Error).message}`);
  }
}
