/** `ca` and `krl`: whose certificates count here, and which do not. For the configuration of stock programs. */
import { writeKrl } from "../../cert/krl.ts";
import { formatPublicKey } from "../../keys/public_key.ts";
import { type RootKind, rootKinds } from "../../ca/local.ts";
import { parseDuration } from "../../identity/ranges.ts";
import { readArguments } from "./arguments.ts";
import {
  asked,
  type Command,
  type CommandContext,
  CommandError,
  EXIT,
  jsonOutput,
  type Output,
  requireAuthority,
  requireRight,
} from "./command.ts";

const CA_USAGE = "ca user|host|x509, or ca --json";
const ROTATE_USAGE = "ca rotate user|host|x509 [--overlap TIME]";

export const ca: Command = {
  usage: "ca user|host|x509",
  summary:
    "keys of the authorities, or X.509 roots (--json: all); 'ca rotate KIND' makes a new one (right 'admin')",
  async run(context, args) {
    if (args[0] === "rotate") return await rotate(context, args.slice(1));
    const { flags, words: [kind] } = readArguments(args, { flags: ["--json"], words: 1 }, CA_USAGE);
    const { user, host, x509 } = await requireAuthority(context).authorities();
    const lines = {
      user: user.map((key) => formatPublicKey(key)),
      host: host.map((key) => formatPublicKey(key)),
    };
    if (flags.has("--json") && kind === undefined) return jsonOutput({ ...lines, x509 });
    if (flags.has("--json") || kind === undefined) throw new CommandError(EXIT.usage, `write ${CA_USAGE}`);
    if (kind === "user" || kind === "host") return { out: lines[kind] };
    if (kind === "x509") return { out: x509.flatMap((pem) => pem.trim().split(/\r?\n/)) };
    throw new CommandError(EXIT.usage, `there is no such authority; write ${CA_USAGE}`);
  },
};

/** `ca rotate KIND`: a new root, trusted at once, that signs once every verifier has had time to hear of it. */
async function rotate(context: CommandContext, args: readonly string[]): Promise<Output> {
  const { rule } = requireRight(context, "admin");
  const { words: [kind], values } = readArguments(args, { values: ["--overlap"], words: 1 }, ROTATE_USAGE);
  if (!(rootKinds as readonly (string | undefined)[]).includes(kind)) {
    throw new CommandError(EXIT.usage, `write ${ROTATE_USAGE}`, rule);
  }
  const { rotate } = context.parts;
  if (!rotate) {
    throw new CommandError(EXIT.unavailable, "the roots are another machine's: rotate them there", rule);
  }
  await asked(rule, rotate(kind as RootKind, overlapOf(values.get("--overlap"), rule)));
  return { rule };
}

function overlapOf(text: string | undefined, rule: string): { readonly overlap?: number } {
  if (text === undefined) return {};
  if (text === "0") return { overlap: 0 };
  try {
    return { overlap: parseDuration(text) };
  } catch (error) {
    throw new CommandError(EXIT.usage, `--overlap: ${(error as Error).message}`, rule);
  }
}

export const krl: Command = {
  usage: "krl",
  summary: "the list of what is revoked, as RevokedKeys of sshd takes it",
  async run(context, args) {
    readArguments(args, {}, "krl > revoked_keys");
    const { krl } = await requireAuthority(context).revoked();
    return { bytes: writeKrl(krl) };
  },
};
