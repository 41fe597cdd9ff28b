/**
 * `sshm completion SHELL` prints a script for the shell; the script asks `sshm complete WORDS…`, which answers with one
 * candidate per line, `WORD<tab>MEANING`. So all shells complete alike, and what is completed is what there is.
 */
import type { Argument, Command, Option } from "commander";
import { addExamples, type Cli, run } from "./cli.ts";
import { print, printJson } from "./output.ts";

/** The word that the scripts ask with. Not a command for people. */
export const COMPLETE = "complete";

export interface Candidate {
  readonly word: string;
  readonly meaning: string;
}

/**
 * What the last of `words` can become.
 * @param words those after the program's name; the last one is being typed and may be empty
 */
export function completions(program: Command, words: readonly string[]): Candidate[] {
  const done = words.slice(0, -1);
  const typed = words.at(-1) ?? "";
  let command = program;
  let positional = 0;
  /** The flag whose value comes next. */
  let open: Option | undefined;
  for (const word of done) {
    if (open) open = undefined;
    else if (word.startsWith("-")) {
      open = optionsOf(command).find(({ long, short, required }) =>
        required && (word === long || word === short)
      );
    } else {
      const next = command.commands.find((candidate) => candidate.name() === word);
      if (next) [command, positional] = [next, 0];
      else positional++;
    }
  }
  return candidates(command, positional, open, typed).filter(({ word }) => word.startsWith(typed));
}

function candidates(
  command: Command,
  positional: number,
  open: Option | undefined,
  typed: string,
): Candidate[] {
  if (open) return (open.argChoices ?? []).map((word) => ({ word, meaning: "" }));
  if (typed.startsWith("-")) {
    return optionsOf(command).map(({ long, short, description }) => ({
      word: (long ?? short)!,
      meaning: description,
    }));
  }
  const argument = command.registeredArguments[positional] as Argument | undefined;
  return [
    ...command.commands.map((child) => ({ word: child.name(), meaning: child.description() })),
    ...(argument?.argChoices ?? []).map((word) => ({ word, meaning: "" })),
  ];
}

/** Its own and those of the commands above it. */
function optionsOf(command: Command): Option[] {
  const above = command.parent ? optionsOf(command.parent) : [];
  return [...command.options, ...above];
}

/** Prints what {@link completions} finds, for the scripts. */
export async function answerCompletion(cli: Cli, program: Command, words: readonly string[]): Promise<void> {
  const found = completions(program, words);
  await print(cli.host, ...found.map(({ word, meaning }) => meaning ? `${word}\t${meaning}` : word));
}

/** Where nothing is found the shell completes file names. */
const SCRIPTS = {
  bash: `_sshm() {
  local IFS=$'\\n'
  COMPREPLY=($(sshm ${COMPLETE} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _sshm sshm`,
  zsh: `#compdef sshm
_sshm() {
  local -a found
  found=("\${(@f)$(sshm ${COMPLETE} "\${(@)words[2,CURRENT]}" 2>/dev/null | sed 's/\\t/:/')}")
  if [[ -n $found ]]; then _describe sshm found; else _files; fi
}
compdef _sshm sshm`,
  fish: `complete -c sshm -a '(sshm ${COMPLETE} (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'`,
} as const;

export function addCompletionCommand(program: Command, cli: Cli): void {
  const command = program.command("completion").description(
    "a script that completes sshm's commands and flags",
  );
  command.addArgument(command.createArgument("<SHELL>", "the shell").choices(Object.keys(SCRIPTS)));
  addExamples(
    run(cli, command, async ({ json }, [shell]) => {
      const script = SCRIPTS[shell as keyof typeof SCRIPTS];
      if (json) await printJson(cli.host, { shell, script });
      else await print(cli.host, script);
    }),
    [
      ["source <(sshm completion bash)", "in ~/.bashrc"],
      ["source <(sshm completion zsh)", "in ~/.zshrc, after compinit"],
      ["sshm completion fish > ~/.config/fish/completions/sshm.fish", "once"],
    ],
  );
}
