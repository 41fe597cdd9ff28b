/** `token`: one-time tokens for machines that have no identity at all. */
import type { JoinToken } from "../../ca/enrolment.ts";
import { lifetimeOf, readArguments } from "./arguments.ts";
import {
  asked,
  type Command,
  type CommandContext,
  CommandError,
  EXIT,
  jsonOutput,
  type Output,
  requireEnrolment,
  requireRight,
} from "./command.ts";

const USAGE = "token create --name NAME [--ttl 1h], token ls, or token rm ID";

type Action = (context: CommandContext, args: readonly string[], rule: string) => Promise<Output>;

/** By the word behind `token`. */
const actions: Readonly<Record<string, Action>> = { create, ls, rm };

export const token: Command = {
  usage: "token create|ls|rm",
  summary: "join tokens for machines without an identity (needs the right 'admin')",
  async run(context, [name = "", ...args]) {
    const { rule } = requireRight(context, "admin");
    const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
    if (!action) throw new CommandError(EXIT.usage, `write ${USAGE}`, rule);
    return await action(context, args, rule);
  },
};

async function create(context: CommandContext, args: readonly string[], rule: string): Promise<Output> {
  const read = readArguments(args, { flags: ["--json"], values: ["--name", "--ttl"] }, USAGE);
  const name = read.values.get("--name");
  if (name === undefined) throw new CommandError(EXIT.usage, `what will it be called? write ${USAGE}`, rule);
  const { tokens } = requireEnrolment(context);
  const made = await asked(rule, tokens.create({ name, lifetime: lifetimeOf(read) }, actor(context)));
  if (read.flags.has("--json")) return jsonOutput({ ...facts(made), token: made.token }, rule);
  const until = new Date(made.expiresAt).toISOString();
  // Out is the token and nothing else, for `TOKEN=$(ssh … token create --name web)`.
  return { out: [made.token], err: [`for ${made.name}, once, until ${until}; id ${made.id}`], rule };
}

async function ls(context: CommandContext, args: readonly string[], rule: string): Promise<Output> {
  const { flags } = readArguments(args, { flags: ["--json"] }, USAGE);
  const list = (await asked(rule, requireEnrolment(context).tokens.list())).map(facts);
  if (flags.has("--json")) return jsonOutput(list, rule);
  return {
    out: list.map(({ id, name, expires, used }) =>
      `${id}  ${name}  ${used ? `used ${used}` : `until ${expires}`}`
    ),
    rule,
  };
}

async function rm(context: CommandContext, args: readonly string[], rule: string): Promise<Output> {
  const { words: [id] } = readArguments(args, { words: 1 }, USAGE);
  if (id === undefined) throw new CommandError(EXIT.usage, `which one? write ${USAGE}`, rule);
  const { tokens } = requireEnrolment(context);
  if (await asked(rule, tokens.remove(id, actor(context)))) return { rule };
  throw new CommandError(EXIT.data, "there is no such token; try token ls", rule);
}

function actor({ client }: CommandContext) {
  return { identity: client.identity, remote: client.description };
}

function facts({ id, name, expiresAt, usedAt }: JoinToken) {
  return {
    id,
    name,
    expires: new Date(expiresAt).toISOString(),
    ...(usedAt !== undefined && { used: new Date(usedAt).toISOString() }),
  };
}
