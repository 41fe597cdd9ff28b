/** Flags and subcommands of the authority, from its table of settings. */
import { Argument, Command, CommanderError, Option } from "commander";
import { type RootKind, rootKinds } from "../src/ca/local.ts";
import { authoritySettings } from "../src/gateway/authority/config.ts";
import type { TokenCommand } from "../src/gateway/authority/token_commands.ts";
import type { ConfigSources } from "../src/gateway/config.ts";
import { exitCodes, StartError } from "../src/gateway/exit_codes.ts";
import { flagOf, type Setting } from "../src/gateway/settings.ts";
import { parseDuration } from "../src/identity/ranges.ts";
import { formatEndings } from "../src/platform/exit_codes.ts";

export interface CaFlags {
  readonly settings: ConfigSources["flags"];
  readonly config?: string;
  readonly check: boolean;
  /** What to do beside the running authority, or in its place. Neither: to be it. */
  readonly token?: TokenCommand;
  readonly rotation?: Rotation;
}

/** A new root, of a kind. */
export interface Rotation {
  readonly kind: RootKind;
  /** Milliseconds until it signs. */
  readonly overlap?: number;
}

/**
 * @returns undefined when help or version was asked for, and printed
 * @throws {StartError} `usage`
 */
export function parseCaFlags(args: readonly string[], version: string): CaFlags | undefined {
  let flags: CaFlags | undefined;
  const take = (options: Record<string, unknown>, command: Pick<CaFlags, "token" | "rotation"> = {}) => {
    flags = { ...common(options), check: options.check === true, ...command };
  };
  const program = strict(new Command("ssh-mesh-ca"))
    .description("The certificate authority of ssh-mesh, for gateways that do not sign themselves.")
    .version(version)
    .enablePositionalOptions()
    .addHelpText("after", epilogue());
  addSettings(program, Object.keys(authoritySettings))
    .option("--check", "validate everything and exit")
    .action((options) => take(options));
  const token = strict(program.command("token")).description(
    "join tokens, with which gateways become known here",
  );
  const tokenCommand = (name: string, description: string) =>
    addSettings(strict(token.command(name)).description(description), ["state", "domain"]);
  tokenCommand("create", "make a token, and print it this once")
    .requiredOption("--name <NAME>", "what the gateway will be called: a label, or a name under the domain")
    .option("--ttl <TIME>", "how long it may be used (default 1h)", duration("--ttl"))
    .option("--json", "as JSON")
    .action(({ name, ttl, json, ...options }) =>
      take(options, { token: { name: "create", for: name, lifetime: ttl, json: json ?? false } })
    );
  tokenCommand("ls", "list tokens, used ones too")
    .option("--json", "as JSON")
    .action(({ json, ...options }) => take(options, { token: { name: "ls", json: json ?? false } }));
  tokenCommand("rm", "take back a token, and what was enrolled and certified with it")
    .argument("<ID>")
    .action((id, options) => take(options, { token: { name: "rm", id } }));
  addSettings(strict(program.command("rotate")), ["state", "domain"])
    .description("make a new root, while the authority is stopped; a running one is asked by its API")
    .addArgument(new Argument("<KIND>", "what the root signs").choices(rootKinds))
    .option("--overlap <TIME>", "until it signs; trusted it is at once (default 24h)", duration("--overlap"))
    .action((kind: RootKind, { overlap, ...options }) => take(options, { rotation: { kind, overlap } }));
  try {
    program.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    const message = error.message.replace(/^error: /, "").replaceAll("\n", " ");
    // commander says `(outputHelp)` where a subcommand is missing.
    const sentence = error.code === "commander.help" ? "write token create, token ls or token rm" : message;
    throw new StartError("usage", sentence, { cause: error });
  }
  return flags;
}

function strict(command: Command): Command {
  return command.exitOverride().configureOutput({ writeErr() {} }).allowExcessArguments(false);
}

function addSettings(command: Command, keys: readonly string[]): Command {
  for (const key of keys) {
    const { argument, help, list, fileOnly } = authoritySettings[key] as Setting;
    if (fileOnly) continue;
    const option = new Option(`${flagOf(key)} <${argument.replace("[=ssh,tls]", "")}>`, help);
    if (list) option.argParser((value, earlier: string[] | undefined) => [...earlier ?? [], value]);
    command.addOption(option);
  }
  return command.option("--config <FILE>", "YAML or JSON with the settings above, as keys with '_' for '-'");
}

function common(
  { config, check: _check, ...rest }: Record<string, unknown>,
): Pick<CaFlags, "settings" | "config"> {
  // commander makes camel case: `trustDomain` → `trust_domain`.
  const bySetting = Object.entries(rest).map(([name, value]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value,
  ]);
  return { settings: Object.fromEntries(bySetting), config: config as string | undefined };
}

function duration(flag: string): (text: string) => number {
  return (text) => {
    try {
      return parseDuration(text);
    } catch (error) {
      throw new StartError("usage", `${flag}: ${(error as Error).message}`, { cause: error });
    }
  };
}

function epilogue(): string {
  return [
    "",
    "Every setting is also a variable (SSHM_TRUST_DOMAIN, several values between spaces) and a key of the",
    "configuration file (trust_domain). A flag beats a variable, a variable the file.",
    "",
    "Examples:",
    "  ssh-mesh-ca --domain ca.mycorp.com --listen 0.0.0.0:15443",
    "  ssh-mesh-ca token create --name gw1",
    "  ssh-mesh-ca rotate user --overlap 24h",
    "  ssh-mesh-gateway --ca https://ca.mycorp.com:15443 --ca-join TOKEN",
    "",
    formatEndings(exitCodes),
  ].join("\n");
}
