import assert from "node:assert/strict";
import { type CommandLine, type Flag, formatHelp, readCommandLine } from "../../src/agent/command_line.ts";
import { AgentError } from "../../src/agent/exit_codes.ts";

const FLAGS: readonly Flag[] = [
  { flags: "--name <NAME>", help: "a name", variable: "NAME" },
  { flags: "-s, --some-number <N>", help: "numbers", variable: "NUMBERS", parse: number, list: true },
  { flags: "--form <a|b>", help: "a form", variable: "FORM", choices: ["a", "b"] },
  { flags: "--quiet", help: "no word", variable: "QUIET" },
];

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new TypeError(`'${text}' is no number`);
  return Number(text);
}

function read(args: string, environment: Record<string, string> = {}): CommandLine | "help" | "version" {
  return readCommandLine(FLAGS, args.split(" ").filter(Boolean), (name) => environment[name]);
}

/** The same, of a line that asks for no text. */
function line(args: string, environment: Record<string, string> = {}): CommandLine {
  const found = read(args, environment);
  assert.ok(typeof found === "object");
  return found;
}

const LINES: [args: string, values: Record<string, unknown>, command: string[]][] = [
  ["", {}, []],
  ["--name x --quiet", { name: "x", quiet: true }, []],
  ["--name=x", { name: "x" }, []],
  ["--name=x=y", { name: "x=y" }, []],
  ["--name=", { name: "" }, []],
  ["--name a --name b", { name: "b" }, []],
  ["-s 1 -s2 --some-number=3", { someNumber: [1, 2, 3] }, []],
  ["--name --quiet", { name: "--quiet" }, []],
  ["--name -- --quiet", { name: "--", quiet: true }, []],
  ["--quiet run --name x -- y", { quiet: true }, ["run", "--name", "x", "--", "y"]],
  ["--quiet -- --name x", { quiet: true }, ["--name", "x"]],
  ["--quiet -", { quiet: true }, ["-"]],
  ["--", {}, []],
  ["-- --", {}, ["--"]],
];

for (const [args, values, command] of LINES) {
  Deno.test(`'${args}' is read`, () => assert.deepEqual(read(args), { values, command }));
}

const MISTAKES: [args: string, environment: Record<string, string>, sentence: string][] = [
  ["--nam x", {}, "unknown option '--nam' (Did you mean --name?)"],
  ["--quiet=1", {}, "unknown option '--quiet=1' (Did you mean --quiet?)"],
  ["--something-else", {}, "unknown option '--something-else'"],
  ["-x", {}, "unknown option '-x'"],
  ["--name", {}, "--name <NAME>: its argument is missing"],
  ["-s", {}, "-s, --some-number <N>: its argument is missing"],
  ["-s x", {}, "--some-number: 'x' is no number"],
  ["--form c", {}, "--form: 'c' is not one of a, b"],
  ["", { NUMBERS: "1 x" }, "NUMBERS: 'x' is no number"],
  ["-s 1", { NUMBERS: "x" }, "NUMBERS: 'x' is no number"],
  ["", { FORM: "c" }, "FORM: 'c' is not one of a, b"],
  ["", { QUIET: "maybe" }, "QUIET: 'maybe' is neither true nor false"],
];

for (const [args, environment, sentence] of MISTAKES) {
  Deno.test(`refused: ${sentence}`, () => {
    assert.throws(
      () => read(args, environment),
      (error) => error instanceof AgentError && error.reason === "usage" && error.message === sentence,
    );
  });
}

Deno.test("variables stand in for flags that are not on the line", () => {
  const environment = { NAME: "n", NUMBERS: " 1\n2 ", FORM: "b", QUIET: "no" };
  assert.deepEqual(line("", environment).values, { name: "n", someNumber: [1, 2], form: "b", quiet: false });
  assert.deepEqual(line("--quiet -s 3 --form a", environment).values, {
    name: "n",
    someNumber: [3],
    form: "a",
    quiet: true,
  });
  assert.deepEqual(line("", { NAME: "" }).values, {});
});

Deno.test("help is what its flag asks for, and the command's own is the command's", () => {
  assert.equal(read("--help"), "help");
  assert.equal(read("--quiet -h"), "help");
  assert.equal(read("--version"), "version");
  assert.deepEqual(line("run --help").command, ["run", "--help"]);
  assert.equal(
    formatHelp(FLAGS, "tool", "Does things.", "runs"),
    `Usage: tool [options] [COMMAND...]

Does things.

Arguments:
  COMMAND                runs

Options:
  --name <NAME>          a name
  -s, --some-number <N>  numbers
  --form <a|b>           a form (choices: "a", "b")
  --quiet                no word
  -V, --version          print the version
  -h, --help             this text
`,
  );
});
