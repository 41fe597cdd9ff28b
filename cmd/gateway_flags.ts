/** Flags of the gateway, from its table of settings. */
import { Command, CommanderError, Option } from "commander";
import { exitCodes, StartError } from "../src/gateway/exit_codes.ts";
import { flagOf, type Setting, settings } from "../src/gateway/settings.ts";
import type { ConfigSources } from "../src/gateway/config.ts";
import { formatEndings } from "../src/platform/exit_codes.ts";

export interface Flags {
  readonly settings: ConfigSources["flags"];
  readonly config?: string;
  readonly check: boolean;
  readonly printSchema: boolean;
}

/**
 * @returns undefined when help or version was asked for, and printed
 * @throws {StartError} `usage`
 */
export function parseFlags(args: readonly string[], version: string): Flags | undefined {
  const program = new Command("ssh-mesh-gateway")
    .description("The gateway of ssh-mesh: workloads register here, people reach them from here.")
    .version(version)
    .exitOverride()
    .configureOutput({ writeErr() {} })
    .allowExcessArguments(false)
    .addHelpText("after", epilogue());
  for (const [key, { argument, help, list, fileOnly }] of Object.entries<Setting>(settings)) {
    if (fileOnly) continue;
    const option = new Option(`${flagOf(key)} <${argument}>`, list ? `${help}; repeatable` : help);
    if (list) option.argParser((value, earlier: string[] | undefined) => [...earlier ?? [], value]);
    program.addOption(option);
  }
  program
    .option("--config <FILE>", "YAML or JSON with the settings above, as keys with '_' for '-'")
    .option("--check", "validate everything and exit")
    .option("--print-schema", "print the JSON Schema of the configuration file and exit");
  try {
    program.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new StartError("usage", error.message.replace(/^error: /, "").replaceAll("\n", " "), {
      cause: error,
    });
  }
  const { config, check, printSchema, ...rest } = program.opts();
  const bySetting = Object.entries(rest).map((
    [name, value],
  ) => [name.replaceAll(/[A-Z]/g, underscore), value]);
  return {
    settings: Object.fromEntries(bySetting),
    config,
    check: check ?? false,
    printSchema: printSchema ?? false,
  };
}

/** `allowDial` → `allow_dial`: commander makes camel case. */
function underscore(letter: string): string {
  return `_${letter.toLowerCase()}`;
}

function epilogue(): string {
  return [
    "",
    "Every setting is also a variable (SSHM_ALLOW_DIAL, several values between spaces) and a key of the",
    "configuration file (allow_dial). A flag beats a variable, a variable the file. Only the file has:",
    ...Object.entries<Setting>(settings).filter(([, { fileOnly }]) => fileOnly)
      .map(([key, { help }]) => `  ${key}  ${help}`),
    "",
    formatEndings(exitCodes),
  ].join("\n");
}
