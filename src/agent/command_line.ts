/**
 * Reads a command line by a table of flags, and writes the help that the table holds.
 *
 * A package would do more, and cost every agent a tenth of its memory: those that are strict load Deno's Node layer.
 */
import { AgentError } from "./exit_codes.ts";

/** One flag. */
export interface Flag {
  /** As help shows it: `--name <NAME>`, `-L, --local-forward <…>`; without `<…>` it takes no value. */
  readonly flags: string;
  readonly help: string;
  /** The environment variable that stands for it. */
  readonly variable?: string;
  /** Reads one value; the TypeError it throws becomes the sentence of the mistake. */
  readonly parse?: (text: string) => unknown;
  /** May be repeated; its variable holds values between white space. */
  readonly list?: boolean;
  readonly choices?: readonly string[];
}

/** What a command line says. */
export interface CommandLine {
  /** By the flag's long name in camel case: a value, those of a list, or whether a switch is on. */
  readonly values: Readonly<Record<string, unknown>>;
  /** What follows the flags, from the first word that is none, or after `--`. */
  readonly command: readonly string[];
}

const HELP: Flag = { flags: "-h, --help", help: "this text" };
const VERSION: Flag = { flags: "-V, --version", help: "print the version" };

/**
 * Reads `args` (without the program's name). A variable counts only where its flag is not on the line; a mistake in it
 * is one all the same.
 * @returns which text is asked for, where one is
 * @throws {AgentError} `usage`
 */
export function readCommandLine(
  flags: readonly Flag[],
  args: readonly string[],
  environment: (name: string) => string | undefined,
): CommandLine | "help" | "version" {
  const defaults: Record<string, unknown> = {};
  for (const flag of flags) {
    const value = flag.variable === undefined ? undefined : environment(flag.variable);
    if (value) defaults[keyOf(flag)] = readVariable(flag, value);
  }
  const values: Record<string, unknown> = {};
  let at = 0;
  while (at < args.length && /^-./.test(args[at])) {
    const word = args[at++];
    if (word === "--") break;
    const [name, attached] = split(word);
    const flag = [...flags, VERSION, HELP].find((flag) => namesOf(flag).includes(name));
    if (!flag || (!takesValue(flag) && attached !== undefined)) {
      throw usage(`unknown option '${word}'${suggestion(flags, name)}`);
    }
    if (flag === HELP) return "help";
    if (flag === VERSION) return "version";
    const key = keyOf(flag);
    if (!takesValue(flag)) {
      values[key] = true;
      continue;
    }
    const text = attached ?? args[at++];
    if (text === undefined) throw usage(`${flag.flags}: its argument is missing`);
    const value = readArgument(flag, text);
    values[key] = flag.list ? [...values[key] as unknown[] ?? [], value] : value;
  }
  return { values: { ...defaults, ...values }, command: args.slice(at) };
}

/** Help in the usual form. @param about what the program does; @param command what the words after the flags are */
export function formatHelp(flags: readonly Flag[], name: string, about: string, command: string): string {
  const options = [...flags, VERSION, HELP].map((flag): [string, string] => [
    flag.flags,
    flag.choices
      ? `${flag.help} (choices: ${flag.choices.map((choice) => `"${choice}"`).join(", ")})`
      : flag.help,
  ]);
  const width = Math.max(...options.map(([term]) => term.length));
  const row = ([term, text]: [string, string]) => `  ${term.padEnd(width)}  ${text}`;
  return [
    `Usage: ${name} [options] [COMMAND...]`,
    about,
    `Arguments:\n${row(["COMMAND", command])}`,
    `Options:\n${options.map(row).join("\n")}\n`,
  ].join("\n\n");
}

/** `--name`, `--name=VALUE`, `-n`, `-nVALUE`. */
function split(word: string): [name: string, attached?: string] {
  if (!word.startsWith("--")) return [word.slice(0, 2), word.slice(2) || undefined];
  const equals = word.indexOf("=");
  return equals < 0 ? [word] : [word.slice(0, equals), word.slice(equals + 1)];
}

function namesOf({ flags }: Flag): string[] {
  return flags.replace(/ <.*$/, "").split(", ");
}

function keyOf(flag: Flag): string {
  return namesOf(flag).at(-1)!.slice(2).replaceAll(/-(.)/g, (_, letter) => letter.toUpperCase());
}

function takesValue({ flags }: Flag): boolean {
  return flags.includes("<");
}

function readArgument(flag: Flag, text: string): unknown {
  const { parse, choices } = flag;
  const name = namesOf(flag).at(-1);
  if (choices && !choices.includes(text)) {
    throw usage(`${name}: '${text}' is not one of ${choices.join(", ")}`);
  }
  return attempt(() => parse ? parse(text) : text, `${name}:`);
}

function readVariable(flag: Flag, value: string): unknown {
  const { variable, parse = (text: string) => text, list, choices } = flag;
  return attempt(() => {
    if (!takesValue(flag)) return truth(value);
    if (list) return value.trim().split(/\s+/).map(parse);
    if (choices && !choices.includes(value)) {
      throw new TypeError(`'${value}' is not one of ${choices.join(", ")}`);
    }
    return parse(value);
  }, `${variable}:`);
}

function truth(value: string): boolean {
  if (/^(1|true|yes)$/i.test(value)) return true;
  if (/^(0|false|no)$/i.test(value)) return false;
  throw new TypeError(`'${value}' is neither true nor false`);
}

/** Runs `read`; a TypeError becomes a mistake in usage. */
function attempt<T>(read: () => T, before: string): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError) throw usage(`${before} ${error.message}`);
    throw error;
  }
}

function usage(message: string): AgentError {
  return new AgentError("usage", message);
}

/** Slips of the finger in one name that are still that name. */
const MAX_SLIPS = 2;

function suggestion(flags: readonly Flag[], name: string): string {
  const [best] = flags.map((flag) => namesOf(flag).at(-1)!)
    .map((known) => ({ known, slips: distance(name, known) }))
    .filter(({ slips }) => slips <= MAX_SLIPS)
    .sort((a, b) => a.slips - b.slips);
  return best ? ` (Did you mean ${best.known}?)` : "";
}

/** Characters to insert, delete or replace on the way from `a` to `b`: Levenshtein's. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
  }
  return row[b.length];
}
