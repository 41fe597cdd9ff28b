/** `ls`: nodes that the client may connect to, and those it serves itself. */
import { sameIdentity } from "../../identity/principal.ts";
import { shortName } from "../../routing/names.ts";
import type { Lease } from "../../routing/registry.ts";
import { type Command, type CommandContext, EXIT, jsonOnly, jsonOutput } from "./command.ts";

export const ls: Command = {
  usage: "ls [--json]",
  summary: "nodes and ports that you may connect to",
  async run(context, args) {
    const asked = jsonOnly(args);
    if (!("json" in asked)) return asked;
    const seen = await visibleNodes(context);
    // The same answer whether there is nothing, or nothing for this client.
    if (seen.length === 0 && !context.client.identity.owner) {
      return { err: ["no rule lets you connect to anything that is registered now"], exit: EXIT.refused };
    }
    seen.sort((a, b) => a.name < b.name ? -1 : 1);
    if (asked.json) return jsonOutput(seen);
    const { now } = context.client.context();
    return {
      out: seen.map(({ name, ports, owner, since }) => {
        // Clocks are put right, and a registration is not from tomorrow.
        const minutes = Math.max(Math.floor((now - Date.parse(since)) / 60_000), 0);
        return `${name}  ${ports.join(",")}  ${owner}  since ${minutes} min`;
      }),
    };
  },
};

/** Leases that the client may connect to, or holds. */
export async function visibleNodes(context: CommandContext) {
  return (await context.gateway.leases()).flatMap((lease) => visible(lease, context));
}

function visible(lease: Lease, { client, parts }: CommandContext) {
  const { name, endpoints, owner, since } = lease;
  const alias = shortName(name, parts.naming.domain);
  const own = sameIdentity(owner, client.identity);
  const ports = endpoints
    .filter(({ port, published }) => {
      const resource = { kind: "node", name, port, published, ...(alias && { aliases: [alias] }) } as const;
      return own || parts.judge.decide(client.identity, "connect", resource, client.context()).allowed;
    })
    .map(({ port, published }) => published ? `${port}*` : `${port}`);
  if (ports.length === 0) return [];
  return [{ name, alias, ports, owner: owner.name, since: new Date(since).toISOString() }];
}
